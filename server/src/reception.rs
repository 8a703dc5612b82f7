//! What a connection is: its first two bytes tell version 3, which is spoken over TLS, from the classic dialects.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use messageu_wire::dialect::Pin;
use messageu_wire::fields::ClientId;
use messageu_wire::modern::transport::RECORD_START;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::connection;
use crate::limits::{LINGER_REFUSED, OPENING_PATIENCE};
use crate::listener::Serves;
use crate::metrics::Metrics;
use crate::modern::{self, Modern};
use crate::relay::Relay;

/// Who has come, and where.
pub(crate) struct Visitor {
    pub(crate) stream: TcpStream,
    /// For the log.
    pub(crate) peer: SocketAddr,
    /// What the listener serves.
    pub(crate) serves: Serves,
    /// What it is pinned to.
    pub(crate) pin: Pin,
}

/// Serves a connection until its end, in whatever it speaks.
pub(crate) async fn receive(visitor: Visitor, relay: Arc<Relay>, shutdown: CancellationToken) {
    let Visitor { stream, peer, serves, pin } = visitor;
    let modern = relay.modern.clone().filter(|_| serves.modern());
    let Some(modern) = modern else {
        return Box::pin(connection::serve(stream, peer, pin, relay, shutdown)).await;
    };
    let opening = tokio::select! {
        opening = look(&stream, &relay) => opening,
        () = shutdown.cancelled() => return,
    };
    match opening {
        Ok(true) => Box::pin(shake_hands(stream, peer, modern, relay, shutdown)).await,
        Ok(false) if serves.classic() => {
            Box::pin(connection::serve(stream, peer, pin, relay, shutdown)).await;
        }
        Ok(false) => {
            Metrics::count(&relay.metrics.rejected);
            tracing::debug!(%peer, "not TLS, and the classic dialects are not served here");
            refuse(stream, pin, &relay).await;
        }
        Err(error) => tracing::debug!(%peer, %error, "said nothing"),
    }
}

/// Whether a connection begins as TLS does, without taking anything from it.
async fn look(stream: &TcpStream, relay: &Relay) -> io::Result<bool> {
    let limits = relay.limits();
    let mut deadline = Instant::now() + limits.idle;
    let mut opening = [0; 2];
    loop {
        match timeout_at(deadline, stream.peek(&mut opening)).await?? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            1 if opening.first() == RECORD_START.first() => {
                deadline = deadline.min(Instant::now() + limits.request_time);
                if Instant::now() >= deadline {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                // What can be peeked at is there already: only time tells whether more comes.
                sleep(OPENING_PATIENCE).await;
            }
            _ => return Ok(opening == RECORD_START),
        }
    }
}

/// Serves whoever speaks TLS. A handshake has the time of a request.
async fn shake_hands(
    stream: TcpStream,
    peer: SocketAddr,
    modern: Arc<Modern>,
    relay: Arc<Relay>,
    shutdown: CancellationToken,
) {
    let deadline = Instant::now() + relay.limits().request_time;
    let handshake = tokio::select! {
        handshake = timeout_at(deadline, Box::pin(modern.tls.accept(stream))) => handshake,
        () = shutdown.cancelled() => return,
    };
    match handshake.map_err(io::Error::from).flatten() {
        Ok((stream, channel)) => {
            Metrics::count(&relay.metrics.handshakes);
            modern::serve(stream, channel, peer, modern, relay, shutdown).await;
        }
        Err(error) => {
            Metrics::count(&relay.metrics.handshakes_failed);
            tracing::debug!(%peer, %error, "no handshake");
        }
    }
}

/// Refuses a request of a classic dialect, whatever it is.
async fn refuse(mut stream: TcpStream, pin: Pin, relay: &Relay) {
    let deadline = Instant::now() + relay.limits().pull_grace;
    let refusal = pin.refusal_dialect().encode_refusal(ClientId::NOBODY);
    let farewell = async {
        stream.write_all(&refusal).await?;
        stream.shutdown().await?;
        // A close with unread bytes would be a reset, and the refusal be lost to it.
        let mut request = stream.take(LINGER_REFUSED);
        tokio::io::copy(&mut request, &mut tokio::io::sink()).await
    };
    // Whoever is gone needs no answer.
    let _ = timeout_at(deadline, farewell).await;
}
