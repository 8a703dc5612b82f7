//! Every recorded request is answered as its client needs: byte for byte as its own server did, but for ids, and for
//! what a server may choose.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]
#![allow(dead_code, reason = "not every test file uses all of the support")]

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use messageu_wire::dialect::Dialect;
use messageu_wire::fields::{ClientId, MessageId};
use messageu_wire::operations::{Operation, Response};
use support::{Answer, Server, read_answer};

#[derive(serde::Deserialize)]
struct Recording {
    program: String,
    dialect: String,
    pin: Option<String>,
    exchanges: Vec<Exchange>,
}

#[derive(serde::Deserialize)]
struct Exchange {
    step: String,
    connection: u32,
    operation: String,
    request: String,
    response: String,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn replace(bytes: &mut [u8], ids: &HashMap<ClientId, ClientId>) {
    for at in 0..bytes.len().saturating_sub(15) {
        let window = ClientId(bytes[at..at + 16].try_into().unwrap());
        if let Some(id) = ids.get(&window) {
            bytes[at..at + 16].copy_from_slice(&id.0);
        }
    }
}

/// What a server may choose is made alike: message ids by order of appearance, and the roster without the asker.
fn normalise(
    response: Response,
    numbers: &mut HashMap<MessageId, u32>,
    program: &str,
    asker: ClientId,
) -> Response {
    let next = |numbers: &mut HashMap<MessageId, u32>, id: MessageId| {
        let fresh = numbers.len() as u32;
        // This server gives every message the same number.
        MessageId(if program == "romansko" { 1 } else { *numbers.entry(id).or_insert(fresh) })
    };
    match response {
        Response::SendMessage(mut receipt) => {
            receipt.message_id = receipt.message_id.map(|id| next(numbers, id));
            // This server counts from 0 for each recipient; its receipts name what pulls then name.
            if program == "slash827" {
                receipt.message_id = None;
            }
            receipt.into()
        }
        Response::PullMessages(mut pull) => {
            for message in &mut pull.messages {
                message.message_id = message.message_id.map(|id| next(numbers, id));
                if program == "slash827" {
                    message.message_id = None;
                }
            }
            pull.into()
        }
        Response::ListClients(mut list) => {
            list.clients.retain(|entry| {
                entry.client_id != asker && entry.name.to_text().contains(char::is_alphabetic)
            });
            list.into()
        }
        other => other,
    }
}

struct Replay {
    address: SocketAddr,
    dialect: Dialect,
    connections: HashMap<u32, TcpStream>,
    ids: HashMap<ClientId, ClientId>,
    back: HashMap<ClientId, ClientId>,
    our_numbers: HashMap<MessageId, u32>,
    their_numbers: HashMap<MessageId, u32>,
    names: Vec<String>,
}

impl Replay {
    fn exchange(&mut self, program: &str, exchange: &Exchange) {
        let what = format!("{program}: {}", exchange.step);
        println!("{what}");
        let mut request = unhex(&exchange.request);
        replace(&mut request, &self.ids);
        let operation = *Operation::ALL.iter().find(|op| op.name() == exchange.operation).unwrap();
        let address = self.address;
        let stream = self.connections.entry(exchange.connection).or_insert_with(|| {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream
        });
        stream.write_all(&request).unwrap();
        let (ours, bytes) = read_answer(stream, self.dialect, operation);
        let Answer::Response(ours) = ours else { panic!("{what}: refused") };
        // The bytes are those of the dialect, none more.
        let asker = ClientId(request[..16].try_into().unwrap());
        assert!(bytes == self.dialect.encode_response(&ours, asker).unwrap(), "{what}: layout");
        let recorded = unhex(&exchange.response);
        if program != "jb22h" {
            assert_eq!(bytes[0], recorded[0], "{what}: version byte");
        }
        let theirs = read_recorded(&recorded, self.dialect, operation);
        if let (Response::Register(ours), Response::Register(theirs)) = (&ours, &theirs) {
            self.ids.insert(theirs.client_id, ours.client_id);
            self.back.insert(ours.client_id, theirs.client_id);
            self.names.push(String::from_utf8_lossy(&request[22..]).split('\0').next().unwrap().to_owned());
        }
        // The same after ids are taken back. A roster has others in it too, who are not of this conversation.
        let theirs_asker = ClientId(unhex(&exchange.request)[..16].try_into().unwrap());
        let mut ours_bytes = Vec::new();
        ours.encode(self.dialect.profile, asker, &mut ours_bytes);
        replace(&mut ours_bytes, &self.back);
        let mut ours = Response::decode(operation, &ours_bytes, self.dialect.profile).unwrap();
        if let (Response::ListClients(ours), Response::ListClients(theirs)) = (&mut ours, &theirs) {
            ours.clients
                .retain(|entry| theirs.clients.iter().any(|other| other.client_id == entry.client_id));
        }
        let ours = normalise(ours, &mut self.our_numbers, program, theirs_asker);
        let theirs = normalise(theirs, &mut self.their_numbers, program, theirs_asker);
        assert!(ours == theirs, "{what}:\n ours {ours:.200?}\n theirs {theirs:.200?}");
    }
}

fn read_recorded(bytes: &[u8], dialect: Dialect, operation: Operation) -> Response {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut here, _) = listener.accept().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || there.write_all(&bytes).map(|()| there));
    let answer = read_answer(&mut here, dialect, operation).0;
    drop(writer.join().unwrap());
    match answer {
        Answer::Response(response) => response,
        Answer::Refused => panic!("a recorded refusal"),
    }
}

#[test]
fn every_recorded_conversation_replays_against_one_server() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/recorded");
    let data = tempfile::tempdir().unwrap();
    let pins = ["uid-echo", "no-message-id", "no-key-id"];
    let listen: Vec<String> =
        pins.iter().map(|pin| format!("127.0.0.1:0,profile={pin}")).chain(["127.0.0.1:0".into()]).collect();
    let listen: Vec<&str> = listen.iter().map(String::as_str).collect();
    let server = Server::start(data.path(), &listen, &[]);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let recording: Recording =
            serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let listener =
            recording.pin.as_ref().map_or(3, |pin| pins.iter().position(|name| name == pin).unwrap());
        let mut replay = Replay {
            address: server.addresses[listener],
            dialect: recording.dialect.parse().unwrap(),
            connections: HashMap::new(),
            ids: HashMap::new(),
            back: HashMap::new(),
            our_numbers: HashMap::new(),
            their_numbers: HashMap::new(),
            names: Vec::new(),
        };
        for (at, exchange) in recording.exchanges.iter().enumerate() {
            replay.exchange(&recording.program, exchange);
            count += 1;
            // As the program did: a connection is closed after its last request.
            if !recording.exchanges[at + 1..].iter().any(|later| later.connection == exchange.connection) {
                let mut stream = replay.connections.remove(&exchange.connection).unwrap();
                if replay.dialect.profile.closes {
                    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{} reads to the end", recording.program);
                }
            }
        }
    }
    assert_eq!(count, 328);
}
