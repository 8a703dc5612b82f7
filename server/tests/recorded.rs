//! Every recorded request is answered as its client needs: with the fields of its own server's answer, but for ids, and
//! for what a server may choose; and with those bytes of the dialect that make them.

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
use std::time::Duration;

use messageu_vectors::fields::{ResponseFields, ResponsePayload};
use messageu_vectors::{Exchange, Hex, Recording, recordings};
use messageu_wire::fields::ClientId;
use messageu_wire::operation::list_clients;
use support::{Answer, Server, read_answer};

/// Ids and the ones that stand for them on the other side.
type Ids = HashMap<ClientId, ClientId>;

/// Puts one side's ids in place of the other's.
fn replace_in(bytes: &mut [u8], ids: &Ids) {
    for at in 0..bytes.len().saturating_sub(15) {
        let window = ClientId(bytes[at..at + 16].try_into().unwrap());
        if let Some(id) = ids.get(&window) {
            bytes[at..at + 16].copy_from_slice(&id.0);
        }
    }
}

/// Every client id in an answer.
fn ids_of(fields: &mut ResponseFields) -> Vec<&mut Hex> {
    let mut ids: Vec<&mut Hex> = fields.echo.iter_mut().collect();
    match &mut fields.payload {
        ResponsePayload::Register(registered) => ids.push(&mut registered.client_id),
        ResponsePayload::ListClients(list) => {
            ids.extend(list.clients.iter_mut().map(|client| &mut client.client_id));
        }
        ResponsePayload::FetchKey(key) => ids.extend(&mut key.client_id),
        ResponsePayload::SendMessage(receipt) => ids.extend(&mut receipt.to),
        ResponsePayload::PullMessages(pull) => {
            ids.extend(pull.messages.iter_mut().map(|message| &mut message.from));
        }
        ResponsePayload::Nothing(_) => {}
    }
    ids
}

/// Every message id in an answer.
fn message_ids_of(fields: &mut ResponseFields) -> Vec<&mut u32> {
    match &mut fields.payload {
        ResponsePayload::SendMessage(receipt) => receipt.message_id.iter_mut().collect(),
        ResponsePayload::PullMessages(pull) => {
            pull.messages.iter_mut().filter_map(|message| message.message_id.as_mut()).collect()
        }
        _ => Vec::new(),
    }
}

/// Leaves in a list whom `listed` takes, and makes the sizes right again.
fn retain(fields: &mut ResponseFields, listed: impl Fn(&Hex) -> bool) {
    if let ResponsePayload::ListClients(list) = &mut fields.payload {
        list.clients.retain(|client| listed(&client.client_id));
        list.count = list.clients.len();
        fields.declared_size = u32::try_from(list.count * list_clients::ENTRY_SIZE).unwrap();
        // What pads a list depends on how many others are in it.
        fields.behind = 0;
    }
}

/// What one server's answers say, with all made alike that a server may choose.
#[derive(Default)]
struct Choices {
    numbers: HashMap<u32, u32>,
}

impl Choices {
    /// Message ids are counted by their first appearance.
    fn make_alike(
        &mut self,
        mut fields: ResponseFields,
        recording: &Recording,
        exchange: &Exchange,
    ) -> ResponseFields {
        // What these servers tell is no key to anything, and their clients look at none.
        let useless = ["one-message-id", "receipt-names-another-id"];
        let useless = useless.iter().any(|quirk| recording.quirks.contains_key(*quirk));
        let mut digits = 0;
        for id in message_ids_of(&mut fields) {
            digits += id.to_string().len();
            let fresh = self.numbers.len() as u32;
            *id = if useless { 0 } else { *self.numbers.entry(*id).or_insert(fresh) };
        }
        if exchange.shows("digits-in-receipts") {
            fields.declared_size -= digits as u32;
        }
        fields
    }
}

struct Replay<'a> {
    recording: &'a Recording,
    address: SocketAddr,
    connections: HashMap<u32, TcpStream>,
    to_ours: Ids,
    to_theirs: Ids,
    our_choices: Choices,
    their_choices: Choices,
}

impl Replay<'_> {
    fn exchange(&mut self, exchange: &Exchange) {
        let dialect = self.recording.dialect();
        let what = format!("{}: {}", self.recording.program, exchange.step);
        println!("{what}");
        let mut request = exchange.request.to_vec();
        replace_in(&mut request, &self.to_ours);
        let asker = ClientId(request[..16].try_into().unwrap());
        let address = self.address;
        let stream = self.connections.entry(exchange.connection).or_insert_with(|| {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream
        });
        stream.write_all(&request).unwrap();
        let (answer, bytes) = read_answer(stream, dialect, exchange.operation());
        let Answer::Response(response) = answer else { panic!("{what}: refused") };
        let mut ours = ResponseFields::of(dialect, &response, asker, &bytes);
        assert!(
            bytes == ours.encode(dialect, exchange.operation(), asker),
            "{what}: not as the dialect lays it out"
        );
        let mut theirs = exchange.response_fields.clone();
        if let (ResponsePayload::Register(ours), ResponsePayload::Register(theirs)) =
            (&ours.payload, &theirs.payload)
        {
            let (ours, theirs) = (ours.client_id.client_id(), theirs.client_id.client_id());
            self.to_ours.insert(theirs, ours);
            self.to_theirs.insert(ours, theirs);
        }
        for id in ids_of(&mut ours) {
            if let Some(theirs) = self.to_theirs.get(&id.client_id()) {
                *id = (*theirs).into();
            }
        }
        if exchange.shows("answers-version-one") {
            theirs.version = 2;
        }
        // Others are in our list too, who are not of this conversation; the asker is in none of ours.
        let asker = exchange.request_fields.client_id.clone();
        retain(&mut ours, |id| self.to_ours.contains_key(&id.client_id()));
        retain(&mut theirs, |id| !exchange.shows("lists-asker") || *id != asker);
        let ours = self.our_choices.make_alike(ours, self.recording, exchange);
        let theirs = self.their_choices.make_alike(theirs, self.recording, exchange);
        assert!(ours == theirs, "{what}:\n ours {ours:.400?}\n theirs {theirs:.400?}");
    }
}

#[test]
fn every_recorded_conversation_replays_against_one_server() {
    let data = tempfile::tempdir().unwrap();
    let pins = ["uid-echo", "no-message-id", "no-key-id"];
    let listen: Vec<String> =
        pins.iter().map(|pin| format!("127.0.0.1:0,profile={pin}")).chain(["127.0.0.1:0".into()]).collect();
    let listen: Vec<&str> = listen.iter().map(String::as_str).collect();
    let server = Server::start(data.path(), &listen, &[]);
    let mut count = 0;
    for recording in recordings() {
        let listener =
            recording.pin.as_ref().map_or(3, |pin| pins.iter().position(|name| name == pin).unwrap());
        let mut replay = Replay {
            recording: &recording,
            address: server.addresses[listener],
            connections: HashMap::new(),
            to_ours: Ids::new(),
            to_theirs: Ids::new(),
            our_choices: Choices::default(),
            their_choices: Choices::default(),
        };
        for (at, exchange) in recording.exchanges.iter().enumerate() {
            replay.exchange(exchange);
            count += 1;
            // As the program did: a connection is closed after its last request.
            if !recording.exchanges[at + 1..].iter().any(|later| later.connection == exchange.connection) {
                let mut stream = replay.connections.remove(&exchange.connection).unwrap();
                if recording.dialect().profile.closes {
                    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{} reads to the end", recording.program);
                }
            }
        }
    }
    println!("figure: {count} recorded requests answered as their clients need");
    assert_eq!(count, 328);
}
