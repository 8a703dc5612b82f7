//! The server is killed under load, again and again; a ledger outside of it says what had to survive.

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

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::message::MessageType;
use messageu_wire::operation::{pull_messages, send_message};
use messageu_wire::operations::{Operation, Request, Response};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::ledger::{InDoubt, Ledger, Mark, Place};
use support::{Answer, Incoming, PULL, Peer, Server, rows, setting, until};

const SENDERS: u32 = 6;
const RECIPIENTS: u32 = 3;

/// Acknowledgements that a life of the server has at most before it is killed; it may also be none.
const ACKNOWLEDGED_A_LIFE: u64 = 150;

/// Sends that are on their way at once on one connection.
const PIPELINED: usize = 8;

/// So long that no machine is slow enough for it to end: what comes twice has no excuse but the kill.
const GRACE: [&str; 2] = ["--pull-grace", "600000"];

#[test]
fn a_server_that_is_killed_under_load_keeps_what_it_acknowledged_and_repeats_nothing_else() {
    let kills = setting("MESSAGEU_TEST_KILLS", 30);
    let began = Instant::now();
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &GRACE);
    let crowd = Crowd::register(&server);
    let stage = Stage::default();
    let mut dice = StdRng::seed_from_u64(kills);
    std::thread::scope(|scope| {
        let _end = EndOnDrop(&stage);
        let (stage, crowd) = (&stage, &crowd);
        let senders: Vec<_> =
            (0..SENDERS).map(|sender| scope.spawn(move || send_all(stage, crowd, sender))).collect();
        for recipient in 0..RECIPIENTS {
            scope.spawn(move || pull_all(stage, crowd, recipient));
        }
        let mut server = server;
        for _ in 0..kills {
            stage.raise(server.addresses[0]);
            let enough = stage.acknowledged() + dice.random_range(0..=ACKNOWLEDGED_A_LIFE);
            until("the next acknowledgement", || stage.acknowledged() >= enough);
            stage.strike(server);
            if dice.random_ratio(1, 4) {
                kill_while_starting(data.path(), Duration::from_micros(dice.random_range(0..20_000)));
            }
            server = Server::start(data.path(), &["127.0.0.1:0"], &GRACE);
        }
        stage.sending_is_over.store(true, Ordering::Relaxed);
        stage.raise(server.addresses[0]);
        for sender in senders {
            sender.join().unwrap();
        }
        stage.drain();
        until("an empty database", || rows(data.path()) == 0);
        server.signal("-TERM");
        assert!(server.wait().success());
    });
    let balance = stage.ledger.lock().unwrap().balance(InDoubt::KeepsItsPlace);
    println!("figure: {kills} kills of the server: {balance}; {} s", began.elapsed().as_secs());
    assert!(balance.is_even(), "{balance:?}");
    assert_eq!(integrity(data.path()), "ok");
}

/// Kills a server that may be in the midst of putting right what the last kill left behind.
fn kill_while_starting(data: &Path, after: Duration) {
    let server = Server::spawn(data, &["127.0.0.1:0"], &GRACE, &[]);
    std::thread::sleep(after);
    server.kill();
}

/// Everybody who takes part.
struct Crowd {
    senders: Vec<Peer>,
    recipients: Vec<Peer>,
}

impl Crowd {
    fn register(server: &Server) -> Self {
        let peer = |name: String| Peer::register(server.addresses[0], Dialect::classic(Family::E), &name);
        Self {
            senders: (0..SENDERS).map(|sender| peer(format!("sender {sender}"))).collect(),
            recipients: (0..RECIPIENTS).map(|recipient| peer(format!("recipient {recipient}"))).collect(),
        }
    }
}

/// Which life the server is in, and what has happened so far.
#[derive(Default)]
struct Stage {
    life: Mutex<Life>,
    changed: Condvar,
    ledger: Mutex<Ledger>,
    acknowledgements: AtomicU64,
    connections: AtomicU64,
    pulls: AtomicU64,
    /// Pulls since [`Stage::drain`] that found nothing, each recipient's for itself.
    drained: Mutex<Vec<u32>>,
    sending_is_over: AtomicBool,
    all_is_over: AtomicBool,
}

#[derive(Clone, Copy, Default)]
struct Life {
    number: u32,
    address: Option<SocketAddr>,
}

impl Stage {
    /// The server lives, at this address.
    fn raise(&self, address: SocketAddr) {
        let mut life = self.life.lock().unwrap();
        *life = Life { number: life.number + 1, address: Some(address) };
        self.changed.notify_all();
    }

    fn strike(&self, server: Server) {
        // First, so that nobody takes the end of a connection for the end of a living server's patience.
        self.life.lock().unwrap().address = None;
        server.kill();
    }

    /// The next life after this one, as soon as it has begun; none when all is over.
    fn life_after(&self, number: u32, is_over: &AtomicBool) -> Option<(u32, SocketAddr)> {
        let began = Instant::now();
        let mut life = self.life.lock().unwrap();
        loop {
            if is_over.load(Ordering::Relaxed) {
                return None;
            }
            if let (Life { number: next, address: Some(address) }, true) = (*life, life.number > number) {
                return Some((next, address));
            }
            assert!(
                life.address.is_none() || life.number > number,
                "life {number} ended before it was killed"
            );
            assert!(began.elapsed() < Duration::from_secs(120), "no life after {number}");
            life = self.changed.wait_timeout(life, Duration::from_millis(100)).unwrap().0;
        }
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledgements.load(Ordering::Relaxed)
    }

    /// Waits until every recipient has found nothing left.
    fn drain(&self) {
        self.drained.lock().unwrap().clear();
        let all: Vec<u32> = (0..RECIPIENTS).collect();
        until("the last of the mail", || {
            all.iter().all(|recipient| self.drained.lock().unwrap().contains(recipient))
        });
        self.all_is_over.store(true, Ordering::Relaxed);
    }
}

/// Ends the other threads, also when this one fails.
struct EndOnDrop<'a>(&'a Stage);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.sending_is_over.store(true, Ordering::Relaxed);
        self.0.all_is_over.store(true, Ordering::Relaxed);
    }
}

/// Sends until told to stop, each message once, whether it is acknowledged or not.
fn send_all(stage: &Stage, crowd: &Crowd, sender: u32) {
    let mut dice = StdRng::seed_from_u64(sender.into());
    let (mut life, mut number) = (0, 0);
    while let Some((next, address)) = stage.life_after(life, &stage.sending_is_over) {
        life = next;
        // It ends by the kill, or because sending is over.
        let _ = send_on_one_connection(stage, crowd, sender, address, &mut number, &mut dice);
    }
}

fn send_on_one_connection(
    stage: &Stage,
    crowd: &Crowd,
    sender: u32,
    address: SocketAddr,
    number: &mut u64,
    dice: &mut StdRng,
) -> io::Result<()> {
    let peer = &crowd.senders[sender as usize];
    let mut stream = connect(address)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    while !stage.sending_is_over.load(Ordering::Relaxed) {
        let mut requests = Vec::new();
        let mut marks = Vec::new();
        for _ in 0..dice.random_range(1..=PIPELINED) {
            *number += 1;
            let mark = Mark { sender, number: *number };
            let to = dice.random_range(0..RECIPIENTS);
            let content = mark.content(size(dice));
            stage.ledger.lock().unwrap().sent(mark, to, content.len());
            let send = send_message::Request {
                to: crowd.recipients[to as usize].id,
                kind: MessageType::TEXT,
                size: content.len().try_into().unwrap(),
            };
            requests.extend(peer.request(&Request::SendMessage(send), &content));
            marks.push(mark);
        }
        stream.write_all(&requests)?;
        for mark in marks {
            match read_small_answer(&mut answers, peer.dialect, Operation::SendMessage)? {
                Answer::Response(_) => stage.ledger.lock().unwrap().acknowledged(mark),
                Answer::Refused => panic!("{mark:?} was refused"),
            }
            stage.acknowledgements.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Contents of every way of storing: in a row, in one chunk, in several.
fn size(dice: &mut StdRng) -> usize {
    match dice.random_range(0..100) {
        0..80 => dice.random_range(0..1_000),
        80..97 => dice.random_range(4_000..70_000),
        _ => dice.random_range(70_000..300_000),
    }
}

/// Pulls until told to stop: sometimes on one connection, sometimes each on its own.
fn pull_all(stage: &Stage, crowd: &Crowd, recipient: u32) {
    let mut dice = StdRng::seed_from_u64(u64::from(recipient) << 32);
    let mut life = 0;
    while let Some((next, address)) = stage.life_after(life, &stage.all_is_over) {
        life = next;
        while !stage.all_is_over.load(Ordering::Relaxed) {
            let pulls = dice.random_range(1..=3);
            if pull_on_one_connection(stage, crowd, recipient, (life, address), pulls).is_err() {
                break;
            }
        }
    }
}

fn pull_on_one_connection(
    stage: &Stage,
    crowd: &Crowd,
    recipient: u32,
    (life, address): (u32, SocketAddr),
    pulls: u32,
) -> io::Result<()> {
    let peer = &crowd.recipients[recipient as usize];
    let connection = stage.connections.fetch_add(1, Ordering::Relaxed);
    let mut stream = connect(address)?;
    for _ in 0..pulls {
        std::thread::sleep(Duration::from_millis(10));
        let pull = stage.pulls.fetch_add(1, Ordering::Relaxed);
        stream.write_all(&peer.request(&PULL, &[]))?;
        let (messages, end) = read_mail(&mut stream, peer.dialect);
        let mut ledger = stage.ledger.lock().unwrap();
        for message in &messages {
            ledger.arrived(recipient, &message.content, Place { life, connection, pull });
        }
        drop(ledger);
        end?;
        if messages.is_empty() && stage.sending_is_over.load(Ordering::Relaxed) {
            stage.drained.lock().unwrap().push(recipient);
        }
    }
    Ok(())
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    Ok(stream)
}

/// Reads an answer that others may follow, byte by byte.
fn read_small_answer(stream: &mut impl Read, dialect: Dialect, operation: Operation) -> io::Result<Answer> {
    let mut incoming = Incoming::new(dialect, operation);
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        if let Some(answer) = incoming.push(&byte) {
            return Ok(answer);
        }
    }
}

/// Reads the answer to a pull: the messages that came whole, and how it ended.
fn read_mail(stream: &mut TcpStream, dialect: Dialect) -> (Vec<pull_messages::Message>, io::Result<()>) {
    let mut incoming = Incoming::new(dialect, Operation::PullMessages);
    let mut buffer = vec![0; 65_536];
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(0) => return (incoming.whole_messages(), Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => read,
            Err(error) => return (incoming.whole_messages(), Err(error)),
        };
        match incoming.push(&buffer[..read]) {
            None => {}
            Some(Answer::Response(Response::PullMessages(mail))) => return (mail.messages, Ok(())),
            Some(other) => panic!("a pull was answered with {other:?}"),
        }
    }
}

fn integrity(data: &Path) -> String {
    let database = rusqlite::Connection::open(data.join("messageu.db")).unwrap();
    database.query_one("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}
