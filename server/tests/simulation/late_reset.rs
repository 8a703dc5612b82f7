//! A reset that comes behind the last byte of an answer, at the one moment when the server looks whether its client has
//! spoken early.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use bytes::BytesMut;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::{Client, Content, NewMessage, QueueLimits, Sequence, Store};
use messageu_server::{Relay, Transport, serve};
use messageu_wire::dialect::{Dialect, Family, Pin as Pinned};
use messageu_wire::fields::{ClientId, Name, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::operation::pull_messages;
use messageu_wire::operations::Request;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::network::{SimStream, Weather, connect};
use super::support::Peer;
use super::world::limits;

/// A stream that is reset just before it is peeked into.
struct ResetWhenPeeked(SimStream);

impl Transport for ResetWhenPeeked {
    async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        self.0.try_read_buf(buffer)
    }

    fn try_peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.cut();
        self.0.try_peek(buffer)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    fn unacknowledged(&self) -> io::Result<Option<u32>> {
        self.0.unacknowledged()
    }

    fn reset_when_dropped(&self) {
        self.0.reset_when_dropped();
    }
}

impl AsyncRead for ResetWhenPeeked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for ResetWhenPeeked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_right_behind_the_last_byte_of_a_pull_is_not_taken_for_its_arrival() {
    let store = Arc::new(MemoryStore::new());
    let peer = Peer {
        address: ([127, 0, 0, 1], 1).into(),
        dialect: Dialect::classic(Family::E),
        id: ClientId([1; 16]),
    };
    let client = Client {
        id: peer.id,
        name: Name::new("alice").unwrap(),
        public_key: PublicKey([7; 160]),
        profile: peer.dialect.profile.name.to_owned(),
    };
    store.register(client, UNIX_EPOCH).await.unwrap();
    // So large that it is written before the server looks up, and nothing is left to write and fail.
    let content = Content::Inline(vec![7; 64 << 10].into());
    let message = NewMessage { to: peer.id, from: peer.id, kind: MessageType::FILE, content };
    store.enqueue(message, QueueLimits::default()).await.unwrap();

    let weather = Weather { slowness: 1, partitions: Vec::new(), cut_at: None };
    let (mut ours, theirs) = connect(weather, &mut StdRng::seed_from_u64(0));
    let relay = Arc::new(Relay::new(store.clone(), limits(), None));
    let serving =
        serve(ResetWhenPeeked(theirs), peer.address, Pinned::default(), relay, CancellationToken::new());
    tokio::spawn(serving);
    let pull = Request::PullMessages(pull_messages::Request);
    ours.write_all(&peer.request(&pull, &[])).await.unwrap();
    let mut read = Vec::new();
    assert_eq!(ours.read_to_end(&mut read).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    sleep(Duration::from_secs(60)).await;
    let waiting = store.pending(peer.id, Sequence::default(), 10, 0).await.unwrap();
    assert_eq!(waiting.len(), 1);
}
