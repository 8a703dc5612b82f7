//! The recorded conversations from the client's side: it asks as those programs did, and understands what their servers
//! answered.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use messageu_client::{Client, Pulled};
use messageu_vectors::fields::{
    Client as Listed, Clients, Key, KeyRequest, Message, Messages, Receipt, Registered, Registration,
    RequestPayload, ResponsePayload, Send,
};
use messageu_vectors::{Exchange, Hex, Recording, recordings};
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::message::MessageType;
use messageu_wire::operations::{Operation, Request};
use support::{Fake, Reply, User};

/// How long anything may take; nothing here does.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the client writes for the fields of a recorded request: it neither miscounts nor sends what memory held.
fn expected_request(recording: &Recording, exchange: &Exchange) -> Vec<u8> {
    let (dialect, operation) = (recording.dialect(), exchange.operation());
    let mut fields = exchange.request_fields.clone();
    if exchange.shows("id-at-registration") {
        fields.client_id = ClientId::NOBODY.into();
    }
    if exchange.quirks.iter().any(|quirk| quirk.contains("-declares-") && !quirk.starts_with("pull-")) {
        let (_, content) = fields.to_request(operation);
        let size = Request::head_size(operation, dialect.profile) + content.len();
        fields.declared_size = size.try_into().unwrap();
    }
    fields.encode(dialect, operation)
}

/// A server that waits for each recorded request in its turn, a connection each, and gives the recorded answer.
fn recorded_server(recording: &Recording) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let recording = recording.clone();
    let server = std::thread::spawn(move || {
        for exchange in &recording.exchanges {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let expected = expected_request(&recording, exchange);
            let mut request = vec![0; expected.len()];
            stream.read_exact(&mut request).unwrap();
            let differs = request.iter().zip(&expected).position(|(ours, theirs)| ours != theirs);
            assert_eq!(differs, None, "{}: {}: {}", recording.program, exchange.step, exchange.operation);
            stream.write_all(&exchange.response).unwrap();
            // The client closes when it has understood the answer; it writes nothing more.
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        }
    });
    (address, server)
}

/// Makes the typed call of a recorded request, and gives what it returns as the fields of a response.
async fn call(client: &Client, exchange: &Exchange) -> ResponsePayload {
    let me = exchange.request_fields.client_id.client_id();
    match &exchange.request_fields.payload {
        RequestPayload::Register(Registration { name, public_key }) => {
            let id = client.register(&Name::new(name).unwrap(), public_key.public_key()).await.unwrap();
            ResponsePayload::Register(Registered { client_id: id.into() })
        }
        RequestPayload::FetchKey(KeyRequest { client_id }) => {
            let key = client.fetch_key(me, client_id.client_id()).await.unwrap();
            ResponsePayload::FetchKey(Key { client_id: None, public_key: Hex::from(key.0.as_slice()) })
        }
        RequestPayload::SendMessage(Send { to, kind, size, content }) => {
            let head = (to.client_id(), MessageType(*kind), u64::from(*size));
            let id = client.send(me, head, [Ok(content.to_vec())], &mut |_, _| ()).await.unwrap();
            ResponsePayload::SendMessage(Receipt { to: None, message_id: id.map(|id| id.0) })
        }
        RequestPayload::Nothing(_) if exchange.operation() == Operation::ListClients => {
            let entries = client.list_clients(me).await.unwrap();
            let listed = entries
                .iter()
                .map(|entry| Listed { client_id: entry.client_id.into(), name: entry.name.to_text() });
            let clients: Vec<Listed> = listed.collect();
            ResponsePayload::ListClients(Clients { count: clients.len(), clients })
        }
        RequestPayload::Nothing(_) => pull(client, me).await,
    }
}

async fn pull(client: &Client, me: ClientId) -> ResponsePayload {
    let mut messages: Vec<Message> = Vec::new();
    let mut pull = client.pull(me).await.unwrap();
    loop {
        match pull.next().await.unwrap() {
            Pulled::Head(head) => messages.push(Message {
                from: head.from.into(),
                message_id: head.message_id.map(|id| id.0),
                kind: head.kind.0,
                size: head.size,
                content: Hex::default(),
            }),
            Pulled::Content(piece) => messages.last_mut().unwrap().content.0.extend(piece),
            Pulled::EndOfContent => {}
            Pulled::End => break,
        }
    }
    pull.confirm().await;
    ResponsePayload::PullMessages(Messages { count: messages.len(), messages })
}

/// What of a recorded answer the typed calls return: not what the caller knows already.
fn returned(mut payload: ResponsePayload) -> ResponsePayload {
    match &mut payload {
        ResponsePayload::FetchKey(key) => key.client_id = None,
        ResponsePayload::SendMessage(receipt) => receipt.to = None,
        _ => {}
    }
    payload
}

#[tokio::test]
async fn every_typed_call_asks_as_recorded_and_returns_the_recorded_fields() {
    let mut calls = 0;
    for recording in recordings() {
        let (address, server) = recorded_server(&recording);
        for exchange in &recording.exchanges {
            let client = Client {
                address: address.to_string().parse().unwrap(),
                dialect: recording.dialect(),
                version: exchange.request_fields.version,
                timeout: PATIENCE,
            };
            let found = call(&client, exchange).await;
            let recorded = returned(exchange.response_fields.payload.clone());
            let name = format!("{}: {}: {}", recording.program, exchange.step, exchange.operation);
            assert!(found == recorded, "{name}:\n found {found:.400?}\n recorded {recorded:.400?}");
            calls += 1;
        }
        tokio::task::spawn_blocking(move || server.join().unwrap()).await.unwrap();
    }
    println!("figure: {calls} recorded answers understood by typed calls");
    assert_eq!(calls, 328);
}

#[test]
fn the_program_shows_the_messages_of_every_recorded_server() {
    for recording in recordings() {
        let mut left: HashMap<Operation, Vec<Vec<u8>>> = HashMap::new();
        for exchange in &recording.exchanges {
            left.entry(exchange.operation()).or_default().push(exchange.response.to_vec());
        }
        let pulls = left[&Operation::PullMessages].len();
        let server = Fake::start(move |received| {
            let answers = left.get_mut(&received.request.operation()).unwrap();
            let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            Reply::Answer(answer)
        });
        let user = User::new("alice", server.address);
        let with = |arguments: &[&str]| user.run(&[&["--dialect", &recording.dialect], arguments].concat());
        let mut shown = 0;
        for arguments in
            [&["register", "alice"][..], &["list"]].into_iter().chain(vec![&["receive"][..]; pulls])
        {
            let run = with(arguments);
            assert_eq!(run.code, Some(0), "{}: {arguments:?}: {run:?}", recording.program);
            shown += run.out.matches("-----<EOM>-----").count();
        }
        assert!(pulls > 0 && shown > 0, "{}: {pulls} pulls, {shown} messages", recording.program);
    }
}
