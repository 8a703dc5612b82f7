//! Requests that come without waiting for the answers before them.
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

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use messageu_wire::operation::{list_clients, send_message};
use messageu_wire::operations::{Operation, Request, Response};
use support::{Answer, Incoming, PULL, Peer, Server};

fn send(to: ClientId, content: &[u8]) -> Request {
    let size = content.len().try_into().unwrap();
    Request::SendMessage(send_message::Request { to, kind: MessageType::TEXT, size })
}

/// The answers to these operations, in order, and nothing else, until the server ends its side.
fn answers(stream: &mut TcpStream, dialect: Dialect, operations: &[Operation]) -> Vec<Answer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let mut bytes = bytes.chunks(1);
    let answers = operations.iter().map(|operation| {
        let mut incoming = Incoming::new(dialect, *operation);
        bytes.by_ref().find_map(|byte| incoming.push(byte)).unwrap()
    });
    let answers = answers.collect();
    assert_eq!(bytes.len(), 0, "more than was asked for");
    answers
}

#[test]
fn what_is_asked_behind_sends_is_answered_behind_them_and_sees_them() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let dialect = Dialect::classic(Family::E);
    let alice = Peer::register(server.addresses[0], dialect, "alice");
    let bob = Peer::register(server.addresses[0], dialect, "bob");

    // Sends of all sizes, some to nobody, and now and then something else.
    let list = Request::ListClients(list_clients::Request);
    let (mut bytes, mut operations, mut to_nobody, mut contents) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..300_usize {
        let content =
            vec![u8::try_from(number % 251).unwrap(); [10, 300, 5_000, 10, 300, 10, 70_000][number % 41 % 7]];
        let to = if number % 7 == 3 { ClientId([9; 16]) } else { bob.id };
        let request = send(to, &content);
        bytes.extend(alice.request(&request, &content));
        to_nobody.push(number % 7 == 3);
        operations.push(request.operation());
        if number % 7 != 3 {
            contents.push(content);
        }
        if number % 50 == 20 {
            bytes.extend(alice.request(&list, &[]));
            operations.push(list.operation());
            to_nobody.push(false);
        }
    }
    bytes.extend(bob.request(&PULL, &[]));
    operations.push(PULL.operation());

    let mut stream = alice.connect();
    let mut writing = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        writing.write_all(&bytes).unwrap();
        writing.shutdown(Shutdown::Write).unwrap();
    });
    let mut answers = answers(&mut stream, dialect, &operations);
    writer.join().unwrap();

    let Some(Answer::Response(Response::PullMessages(mail))) = answers.pop() else { panic!("no mail") };
    for (answer, to_nobody) in answers.iter().zip(to_nobody) {
        assert_eq!(*answer == Answer::Refused, to_nobody, "{answer:?}");
    }
    let arrived: Vec<_> = mail.messages.iter().map(|message| message.content.clone()).collect();
    assert!(arrived == contents, "{} of {} arrived, or in another order", arrived.len(), contents.len());
    let ids = answers.iter().filter_map(|answer| match answer {
        Answer::Response(Response::SendMessage(receipt)) => receipt.message_id,
        _ => None,
    });
    assert!(
        ids.eq(mail.messages.iter().filter_map(|message| message.message_id)),
        "receipts name other messages"
    );
}

#[test]
fn sends_before_bytes_that_are_no_request_are_answered_first() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let dialect = Dialect::classic(Family::E);
    let alice = Peer::register(server.addresses[0], dialect, "alice");
    let mut bytes = Vec::new();
    for _ in 0..20 {
        bytes.extend(alice.request(&send(alice.id, b"text"), b"text"));
    }
    bytes.extend([alice.id.0.as_slice(), &[0xff; 64]].concat());

    let mut stream = alice.connect();
    stream.write_all(&bytes).unwrap();
    let answers = answers(&mut stream, dialect, &[Operation::SendMessage; 21]);
    assert!(answers[..20].iter().all(|answer| matches!(answer, Answer::Response(_))), "{answers:?}");
    assert_eq!(answers[20], Answer::Refused);
    assert_eq!(alice.pull().len(), 20);
}
