//! Those who use the server: senders, recipients with every habit that programs have, and strangers.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messageu_wire::dialect::Dialect;
use messageu_wire::fields::CLIENT_ID_SIZE;
use messageu_wire::message::{CONTENT_MAX, MessageType};
use messageu_wire::operation::{list_clients, pull_messages, send_message};
use messageu_wire::operations::{Operation, Request, Response};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use super::network::{SimStream, Weather};
use super::support::ledger::{Mark, Place};
use super::support::{Answer, Incoming, PULL, Peer};
use super::world::{BOUND, Connection, World, limits};

/// A pull that took no longer than this had its verdict before the next one could lose patience.
const PROMPT: Duration = Duration::from_secs(1);

/// What the next link of a client is like.
pub(crate) fn weather(dice: &mut StdRng) -> Weather {
    let slowness = dice.random_range(0..100);
    let mut weather = Weather::calm(slowness);
    let mut time = Instant::now();
    if dice.random_ratio(1, 4) {
        for _ in 0..dice.random_range(1..=3) {
            let from = time + Duration::from_millis(dice.random_range(0..3_000));
            time = from + Duration::from_millis(dice.random_range(0..20_000));
            weather.partitions.push((from, time));
        }
    }
    if dice.random_ratio(1, 4) {
        weather.cut_at = Some(Instant::now() + Duration::from_millis(dice.random_range(0..3_000)));
    }
    weather
}

async fn pause(dice: &mut StdRng, most: u64) {
    sleep(Duration::from_millis(dice.random_range(0..=most))).await;
}

/// Sends so many messages, each once, whatever becomes of it.
pub(crate) async fn send_all(
    world: &World,
    sender: u32,
    peer: &Peer,
    recipients: &[Peer],
    count: u64,
    mut dice: StdRng,
) {
    let mut number = 0;
    while number < count {
        pause(&mut dice, 1_000).await;
        let weather = weather(&mut dice);
        let Some(mut connection) = world.connect(weather, &mut dice).await else { continue };
        let mut left = dice.random_range(1..=count);
        while left > 0 && number < count {
            let pipelined = dice.random_range(1..=left.min(count - number).min(4));
            let marks: Vec<Mark> =
                (1..=pipelined).map(|next| Mark { sender, number: number + next }).collect();
            number += pipelined;
            left -= pipelined;
            if send(world, &mut connection.stream, peer, recipients, &marks, &mut dice).await.is_err() {
                break;
            }
            pause(&mut dice, 100).await;
        }
        if dice.random_ratio(1, 8) {
            connection.stream.vanish();
        }
    }
}

/// Sends some messages at once, and then reads what is said to each.
async fn send(
    world: &World,
    stream: &mut SimStream,
    peer: &Peer,
    recipients: &[Peer],
    marks: &[Mark],
    dice: &mut StdRng,
) -> io::Result<()> {
    let mut requests = Vec::new();
    for mark in marks {
        let to = dice.random_range(0..recipients.len());
        let content = mark.content(match dice.random_range(0..20) {
            0..14 => dice.random_range(0..500),
            14..19 => dice.random_range(0..70_000),
            _ => dice.random_range(65_000..200_000),
        });
        world.ledger().sent(*mark, to as u32, content.len());
        let size = content.len().try_into().unwrap();
        let request = send_message::Request { to: recipients[to].id, kind: MessageType::TEXT, size };
        requests.extend(peer.request(&Request::SendMessage(request), &content));
    }
    if dice.random_ratio(1, 10) {
        // A program that ends in the midst of a request.
        requests.truncate(dice.random_range(0..requests.len()));
        stream.write_all(&requests).await?;
        return Err(io::ErrorKind::Interrupted.into());
    }
    stream.write_all(&requests).await?;
    for mark in marks {
        match read_answer(stream, peer.dialect, Operation::SendMessage, 1, None).await {
            Reading::Whole(Answer::Response(_)) => world.ledger().acknowledged(*mark),
            Reading::Whole(Answer::Refused) => world.ledger().refused(*mark),
            Reading::Cut(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        world.note(format!("{mark:?} is answered"));
    }
    Ok(())
}

/// How a recipient takes its mail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Habit {
    /// Several pulls on one connection, then a close.
    Session,
    /// A pull, and a close.
    OneShot,
    /// Closes its side first, and reads to the end.
    HalfClose,
    /// Stays connected, says nothing more, and pulls on another connection.
    StaysSilent,
    /// Begins to ask for the list of clients before its mail is there, and goes on behind it.
    AsksEarly,
    /// Goes away at some byte of the answer.
    BreaksOff,
}

const HABITS: [Habit; 6] = [
    Habit::Session,
    Habit::OneShot,
    Habit::HalfClose,
    Habit::StaysSilent,
    Habit::AsksEarly,
    Habit::BreaksOff,
];

/// Pulls until told to stop, with a habit and a link that change.
pub(crate) async fn pull_all(
    world: &World,
    recipient: u32,
    peer: &Peer,
    over: &AtomicBool,
    mut dice: StdRng,
) {
    let mut silent = Vec::new();
    while !over.load(Ordering::Relaxed) {
        pause(&mut dice, 500).await;
        let habit = HABITS[dice.random_range(0..HABITS.len())];
        let mut weather = weather(&mut dice);
        if habit == Habit::BreaksOff {
            // A reset that comes after the grace period comes too late: nobody can know then what was read.
            weather = Weather { partitions: Vec::new(), ..weather };
        }
        let fair = weather.is_fair();
        let told = weather.tell();
        let Some(mut connection) = world.connect(weather, &mut dice).await else { continue };
        if !fair {
            world.ledger().interrupted(connection.number);
        }
        world.note(format!("{recipient} connects as {} by {habit:?}: {told}", connection.number));
        pull_with(world, recipient, peer, habit, &mut connection, &mut dice).await;
        if habit == Habit::StaysSilent {
            silent.push(connection);
            if silent.len() > 2 {
                silent.swap_remove(dice.random_range(0..silent.len()));
            }
        }
    }
}

async fn pull_with(
    world: &World,
    recipient: u32,
    peer: &Peer,
    habit: Habit,
    connection: &mut Connection,
    dice: &mut StdRng,
) {
    let pulls = if habit == Habit::Session { dice.random_range(1..=4) } else { 1 };
    for _ in 0..pulls {
        if pull(world, recipient, peer, habit, connection, dice).await == Pulled::Cut {
            world.ledger().interrupted(connection.number);
            return;
        }
        pause(dice, 300).await;
    }
}

/// What came of a pull.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pulled {
    /// So many messages.
    Mail(usize),
    /// The store failed.
    Refused,
    /// The connection broke, or the recipient broke off.
    Cut,
}

async fn pull(
    world: &World,
    recipient: u32,
    peer: &Peer,
    habit: Habit,
    connection: &mut Connection,
    dice: &mut StdRng,
) -> Pulled {
    let pulled = ask_for_mail(world, recipient, peer, habit, connection, dice).await.unwrap_or(Pulled::Cut);
    world.note(format!("{recipient} pulled on {} by {habit:?}: {pulled:?}", connection.number));
    pulled
}

/// One pull, and what belongs to the habit; none if it did not come to its end.
async fn ask_for_mail(
    world: &World,
    recipient: u32,
    peer: &Peer,
    habit: Habit,
    connection: &mut Connection,
    dice: &mut StdRng,
) -> Option<Pulled> {
    let Connection { stream, number, life } = connection;
    let list = peer.request(&Request::ListClients(list_clients::Request), &[]);
    let (early, rest) = list.split_at(match habit {
        Habit::AsksEarly => dice.random_range(1..CLIENT_ID_SIZE),
        _ => 0,
    });
    let requests = [&peer.request(&PULL, &[]), early].concat();
    let began = Instant::now();
    stream.write_all(&requests).await.ok()?;
    if habit == Habit::HalfClose {
        stream.shutdown().await.ok()?;
    }
    let far = if dice.random() { 200 } else { 100_000 };
    let most = (habit == Habit::BreaksOff).then(|| dice.random_range(0..far));
    let reading = read_answer(stream, peer.dialect, Operation::PullMessages, 8 << 10, most).await;
    let (messages, pulled) = match reading {
        Reading::Whole(Answer::Response(Response::PullMessages(mail))) => {
            let count = mail.messages.len();
            (mail.messages, Pulled::Mail(count))
        }
        Reading::Whole(Answer::Refused) => (Vec::new(), Pulled::Refused),
        Reading::Whole(other) => panic!("a pull was answered with {other:?}"),
        Reading::Cut(messages) => (messages, Pulled::Cut),
    };
    let place = Place { life: *life, connection: *number, pull: world.next_pull() };
    for message in &messages {
        let mut ledger = world.ledger();
        ledger.arrived(recipient, &message.content, place);
        if message.message_id.is_some_and(|id| world.storage.undeleted().contains(&id.0)) {
            ledger.excuse(&message.content);
        }
    }
    if began.elapsed() > PROMPT {
        world.ledger().interrupted(*number);
    }
    match habit {
        _ if pulled == Pulled::Cut => {}
        Habit::HalfClose => {
            let end = timeout(BOUND, stream.read(&mut [0])).await.expect("no end after the answer");
            end.ok().filter(|read| *read == 0)?;
        }
        Habit::AsksEarly => {
            stream.write_all(rest).await.ok()?;
            if let Reading::Cut(_) = read_answer(stream, peer.dialect, Operation::ListClients, 1, None).await
            {
                return None;
            }
        }
        _ => {}
    }
    Some(pulled)
}

/// Pulls once, when no link breaks and no server falls any more.
pub(crate) async fn pull_in_peace(world: &World, recipient: u32, peer: &Peer, dice: &mut StdRng) -> Pulled {
    let mut connection = world.connect(Weather::calm(5), dice).await.expect("the server is up");
    let pulled = pull(world, recipient, peer, Habit::OneShot, &mut connection, dice).await;
    if pulled == Pulled::Cut {
        world.ledger().interrupted(connection.number);
    }
    pulled
}

/// Somebody who speaks no dialect, or stops in the midst of a request: the server must part with it.
pub(crate) async fn be_strange(world: &World, peer: &Peer, mut dice: StdRng) {
    for _ in 0..3 {
        pause(&mut dice, 3_000).await;
        let weather = weather(&mut dice);
        let Some(Connection { mut stream, .. }) = world.connect(weather, &mut dice).await else { continue };
        let mut bytes = match dice.random_range(0..3) {
            0 => (0..dice.random_range(0..100)).map(|_| dice.random()).collect(),
            1 => peer.request(&Request::ListClients(list_clients::Request), &[]),
            _ => {
                let size = CONTENT_MAX >> dice.random_range(0..32);
                let claim = send_message::Request { to: peer.id, kind: MessageType::FILE, size };
                peer.request(&Request::SendMessage(claim), &vec![7; dice.random_range(0..1_000)])
            }
        };
        bytes.truncate(dice.random_range(0..=bytes.len()));
        let _ = stream.write_all(&bytes).await;
        if dice.random_ratio(1, 3) {
            stream.vanish();
            continue;
        }
        let to_the_end = async { while let Ok(1..) = stream.read(&mut [0; 100]).await {} };
        let ended = timeout(limits().session_idle + BOUND, to_the_end).await;
        assert!(ended.is_ok(), "a stranger is not parted with");
    }
}

enum Reading {
    Whole(Answer),
    /// The connection broke, or the reader left: with the messages that came whole.
    Cut(Vec<pull_messages::Message>),
}

/// Reads an answer, so many bytes at a time, and no more than `most`.
async fn read_answer(
    stream: &mut SimStream,
    dialect: Dialect,
    operation: Operation,
    step: usize,
    most: Option<usize>,
) -> Reading {
    let mut incoming = Incoming::new(dialect, operation);
    let mut left = most.unwrap_or(usize::MAX);
    let mut taken = 0;
    while let Some(bytes) = read(stream, step.min(left)).await {
        left -= bytes.len();
        taken += bytes.len();
        if let Some(answer) = incoming.push(&bytes) {
            let mut tail = dialect.response_tail(taken as u64);
            while tail > 0 {
                match read(stream, tail).await {
                    Some(zeros) => tail -= zeros.len(),
                    None => break,
                }
            }
            return Reading::Whole(answer);
        }
    }
    Reading::Cut(incoming.whole_messages())
}

/// Some bytes, at most so many; none at the end, or when the connection breaks.
async fn read(stream: &mut SimStream, most: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; most];
    let read = timeout(BOUND, stream.read(&mut bytes)).await.expect("neither an answer nor an end");
    bytes.truncate(read.ok().filter(|read| *read > 0)?);
    Some(bytes)
}

/// Dice of one's own.
pub(crate) fn dice(dice: &mut StdRng) -> StdRng {
    StdRng::from_rng(dice)
}
