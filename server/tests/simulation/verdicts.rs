//! Whether a pull has arrived, at moments that a run by chance seldom meets.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use bytes::BytesMut;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::{Client, Content, NewMessage, QueueLimits, Sequence, Store};
use messageu_server::{Relay, Transport, serve};
use messageu_wire::dialect::{Dialect, Family, Pin as Pinned};
use messageu_wire::fields::{ClientId, Name, PublicKey};
use messageu_wire::message::MessageType;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::network::{SimStream, Weather, connect};
use super::support::{PULL, Peer};
use super::world::limits;

/// A stream that notes the sizes of what is written to it, and is reset just before it is peeked into if that is said.
struct Watched {
    stream: SimStream,
    is_reset_when_peeked: bool,
    writes: Arc<Mutex<Vec<usize>>>,
}

impl Watched {
    fn new(stream: SimStream, is_reset_when_peeked: bool) -> Self {
        Self { stream, is_reset_when_peeked, writes: Arc::default() }
    }
}

impl Transport for Watched {
    async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        self.stream.try_read_buf(buffer)
    }

    fn try_peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_reset_when_peeked {
            self.stream.cut();
        }
        self.stream.try_peek(buffer)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.stream.take_error()
    }

    fn unacknowledged(&self) -> io::Result<Option<u32>> {
        self.stream.unacknowledged()
    }

    fn reset_when_dropped(&self) {
        self.stream.reset_when_dropped();
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.lock().unwrap().push(bytes.len());
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_right_behind_the_last_byte_of_a_pull_is_not_taken_for_its_arrival() {
    let (mut ours, theirs) = connect(Weather::calm(1), &mut StdRng::seed_from_u64(0));
    // So large that it is written before the server looks up, and nothing is left to write and fail.
    let mailbox = Mailbox::serve(Watched::new(theirs, true), &[7; 64 << 10]).await;
    ours.write_all(&mailbox.pull()).await.unwrap();
    let mut read = Vec::new();
    assert_eq!(ours.read_to_end(&mut read).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(mailbox.waiting().await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_less_than_64_kib_is_one_write_with_its_padding() {
    for (dialect, padding) in [("e", 0), ("d/padded-1024", 1024)] {
        for content in [0, 5, 1024, 60_000] {
            let (mut ours, theirs) = connect(Weather::calm(1), &mut StdRng::seed_from_u64(0));
            let theirs = Watched::new(theirs, false);
            let writes = theirs.writes.clone();
            let dialect: Dialect = dialect.parse().unwrap();
            let mailbox = Mailbox::serve_in(dialect, theirs, &vec![7; content]).await;
            ours.write_all(&mailbox.pull()).await.unwrap();
            let frame = 7 + 25 + content;
            let size = if padding == 0 { frame } else { frame.next_multiple_of(padding) };
            ours.read_exact(&mut vec![0; size]).await.unwrap();
            // What the transport has no room for at once follows.
            assert_eq!(writes.lock().unwrap()[0], size, "{dialect}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_stopping_servers_own_side_does_not_put_the_verdict_off() {
    let grace = limits().pull_grace;
    let (before, after) = (Instant::now() + grace / 2, Instant::now() + grace * 2);
    let weather = Weather { partitions: vec![(before, after)], ..Weather::calm(1) };
    let (mut ours, theirs) = connect(weather, &mut StdRng::seed_from_u64(0));
    let mailbox = Mailbox::serve(theirs, b"hello").await;
    ours.write_all(&mailbox.pull()).await.unwrap();
    ours.read_exact(&mut [0; 7 + 25 + 5]).await.unwrap();
    sleep_until(before + grace / 4).await;
    mailbox.shutdown.cancel();
    sleep_until(before + grace * 3 / 4).await;
    assert_eq!(mailbox.waiting().await, 0);
}

/// Somebody with one message, and a server over one connection.
struct Mailbox {
    store: Arc<MemoryStore>,
    peer: Peer,
    shutdown: CancellationToken,
}

impl Mailbox {
    async fn serve(stream: impl Transport, content: &[u8]) -> Self {
        Self::serve_in(Dialect::classic(Family::E), stream, content).await
    }

    async fn serve_in(dialect: Dialect, stream: impl Transport, content: &[u8]) -> Self {
        let peer = Peer { address: ([127, 0, 0, 1], 1).into(), dialect, id: ClientId([1; 16]) };
        let client = Client {
            id: peer.id,
            name: Name::new("alice").unwrap(),
            public_key: PublicKey([7; 160]),
            profile: peer.dialect.profile.name.to_owned(),
        };
        let store = Arc::new(MemoryStore::new());
        store.register(client, UNIX_EPOCH).await.unwrap();
        let content = Content::Inline(content.to_vec().into());
        let message = NewMessage { to: peer.id, from: peer.id, kind: MessageType::FILE, content };
        store.enqueue(message, QueueLimits::default()).await.unwrap();
        let relay = Arc::new(Relay::new(store.clone(), limits(), None));
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(stream, peer.address, Pinned::default(), relay, shutdown.clone()));
        Self { store, peer, shutdown }
    }

    /// The bytes of a pull.
    fn pull(&self) -> Vec<u8> {
        self.peer.request(&PULL, &[])
    }

    async fn waiting(&self) -> usize {
        self.store.pending(self.peer.id, Sequence::default(), 10, 0).await.unwrap().len()
    }
}
