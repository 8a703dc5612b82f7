//! Crowds: the many who trickle, claim and wait do not keep the server from the others, and cost it little.

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
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::message::{CONTENT_MAX, MessageType};
use messageu_wire::operation::{list_clients, send_message};
use messageu_wire::operations::Request;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use support::{Answer, Peer, Server, cannot_run_here, peak_memory, setting, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Barrier;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The refusal of the plain dialects.
const REFUSAL: [u8; 7] = [2, 0x28, 0x23, 0, 0, 0, 0];

/// Bytes of the receipt of a send in family E.
const RECEIPT: usize = 7 + 16 + 4;

/// Requests of each honest client while it is measured.
const ROUNDS: usize = 4;

/// How many times as long the honest may wait with the crowd there. What grows with the square of a crowd, or waits for
/// its bytes, is far beyond.
const SLOWER: u32 = 5;

fn send(peer: &Peer, size: u32) -> Request {
    Request::SendMessage(send_message::Request { to: peer.id, kind: MessageType::FILE, size })
}

/// Held by the one crowd that there is at a time.
static CROWD: Mutex<()> = Mutex::new(());

/// Lets this process have so many connections, if the system does.
fn allow_connections(count: u64) -> bool {
    let most = getrlimit(Resource::Nofile).maximum;
    let granted = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    granted.is_ok() && most.is_none_or(|most| most >= count + 2_100)
}

#[test]
fn the_honest_keep_their_latency_beside_nine_times_as_many_who_trickle() {
    let _crowd = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
    let crowd = setting("MESSAGEU_TEST_CONNECTIONS", 10_000);
    if !allow_connections(crowd) {
        return cannot_run_here("a process may not have enough connections (ulimit -Hn)");
    }
    let (honest, tricklers) = (crowd as usize / 10, crowd as usize / 10 * 9);
    let data = tempfile::tempdir().unwrap();
    let (seats, sends) = ((crowd + 10).to_string(), (crowd * ROUNDS as u64).to_string());
    let limits = [
        ["--max-clients", &seats],
        ["--queue-limit", &sends],
        ["--recipient-messages", &sends],
        ["--request-time", "3600"],
        ["--idle-time", "3600"],
    ]
    .concat();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &limits);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    let request: Arc<[u8]> = peer.request(&send(&peer, 100), &[7; 100]).into();
    let claim = peer.request(&send(&peer, 1_000_000), &[]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connections = Vec::new();
        for _ in 0..honest {
            connections.push(tokio::net::TcpStream::connect(peer.address).await.unwrap());
        }
        // Once for nothing, so that no phase is the first.
        let (connections, _) = latencies(connections, &request).await;
        let (connections, alone) = latencies(connections, &request).await;
        let over = CancellationToken::new();
        let mut trickling = Vec::new();
        for _ in 0..tricklers {
            let mut stream = tokio::net::TcpStream::connect(peer.address).await.unwrap();
            stream.write_all(&claim).await.unwrap();
            trickling.push(tokio::spawn(trickle(stream, over.clone())));
        }
        let (_connections, beside) = latencies(connections, &request).await;
        over.cancel();
        for trickler in trickling {
            trickler.await.unwrap();
        }
        let (middle, late) = ((alone.middle, beside.middle), (alone.late, beside.late));
        println!(
            "figure: {honest} honest: median {:?}, with {tricklers} who trickle {:?}; 99th percentile {:?} and {:?}; \
             the server's memory at most {} kB",
            middle.0,
            middle.1,
            late.0,
            late.1,
            peak_memory(server.id())
        );
        for (alone, beside) in [middle, late] {
            assert!(beside < alone * SLOWER + Duration::from_millis(50), "{beside:?} instead of {alone:?}");
        }
    });
}

/// How long answers took.
struct Latencies {
    middle: Duration,
    late: Duration,
}

/// Has each connection ask and wait, all at the same time, a few times over.
async fn latencies(
    connections: Vec<tokio::net::TcpStream>,
    request: &Arc<[u8]>,
) -> (Vec<tokio::net::TcpStream>, Latencies) {
    let together = Arc::new(Barrier::new(connections.len()));
    let asking = connections.into_iter().map(|mut stream| {
        let (request, together) = (Arc::clone(request), Arc::clone(&together));
        tokio::spawn(async move {
            together.wait().await;
            let mut times = Vec::new();
            for _ in 0..ROUNDS {
                let began = Instant::now();
                stream.write_all(&request).await.unwrap();
                let mut receipt = [0; RECEIPT];
                let read = timeout(Duration::from_secs(120), stream.read_exact(&mut receipt)).await;
                read.expect("no answer").unwrap();
                times.push(began.elapsed());
            }
            (stream, times)
        })
    });
    let asking: Vec<_> = asking.collect();
    let (mut connections, mut times) = (Vec::new(), Vec::new());
    for task in asking {
        let (stream, more) = task.await.unwrap();
        connections.push(stream);
        times.extend(more);
    }
    times.sort_unstable();
    (connections, Latencies { middle: times[times.len() / 2], late: times[times.len() * 99 / 100] })
}

/// A byte a second, for as long as it is let.
async fn trickle(mut stream: tokio::net::TcpStream, over: CancellationToken) {
    while over.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_some() {
        stream.write_all(&[7]).await.unwrap();
    }
}

#[test]
fn claims_of_4_gib_by_a_thousand_connections_at_once_cost_next_to_nothing() {
    let _crowd = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
    let claims = setting("MESSAGEU_TEST_CLAIMS", 1_000);
    if !allow_connections(claims) {
        return cannot_run_here("a process may not have enough connections (ulimit -Hn)");
    }
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &["--max-clients", &(claims + 10).to_string()]);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    let before = peak_memory(server.id());
    let claim = [peer.request(&send(&peer, CONTENT_MAX), &[]), vec![7; 1_000]].concat();
    let claims: Vec<TcpStream> = (0..claims)
        .map(|_| {
            let mut stream = peer.connect();
            stream.write_all(&claim).unwrap();
            stream
        })
        .collect();
    assert_eq!(peer.pull(), []);
    let grown = peak_memory(server.id()) - before;
    println!("figure: {} claims of 4 GiB: {grown} kB of memory", claims.len());
    assert!(grown < 64 * claims.len() as u64, "{grown} kB for {} claims", claims.len());
}

#[test]
fn without_a_free_descriptor_newcomers_are_refused_and_the_others_served() {
    let _crowd = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &["--log", "off"]);
    let alone = sockets(&server);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    let list = Request::ListClients(list_clients::Request);
    let mut seated = peer.connect();
    assert!(matches!(peer.ask_on(&mut seated, &list, &[]), Answer::Response(_)));
    until("the end of the other connection", || sockets(&server) == alone + 1);
    let process = Pid::from_raw(server.id() as i32);
    let before = getrlimit(Resource::Nofile).maximum;
    let first_free = (0_u64..)
        .find(|number| std::fs::symlink_metadata(descriptors(&server).join(number.to_string())).is_err());
    prlimit(process, Resource::Nofile, Rlimit { current: first_free, maximum: before }).unwrap();

    let newcomers: Vec<Vec<u8>> = (0..30)
        .map(|_| {
            let mut stream = peer.connect();
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all);
            all
        })
        .collect();
    assert!(newcomers.iter().all(|answer| answer[..] == REFUSAL), "{newcomers:?}");
    assert!(matches!(peer.ask_on(&mut seated, &send(&peer, 5), b"hello"), Answer::Response(_)));

    prlimit(process, Resource::Nofile, Rlimit { current: before, maximum: before }).unwrap();
    until("room for a newcomer", || peer.ask(&list, &[]) != Answer::Refused);
    assert_eq!(peer.pull().len(), 1);
}

/// Where the system lists the file descriptors that the server has.
fn descriptors(server: &Server) -> PathBuf {
    format!("/proc/{}/fd", server.id()).into()
}

fn sockets(server: &Server) -> usize {
    let open = std::fs::read_dir(descriptors(server)).unwrap();
    let targets = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}
