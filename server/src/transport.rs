//! What a connection asks of the stream below it. A trait, so that the very code that serves sockets can be run over a
//! simulated network too.

use std::io;

use bytes::BytesMut;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A stream of bytes with what the server has to know of its peer beside them.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static {
    /// Waits until a read would give something: bytes, the end, or an error.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Reads what is there into the room that the buffer has; [`io::ErrorKind::WouldBlock`] if nothing is.
    ///
    /// # Errors
    /// Those of the stream.
    fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize>;

    /// Reads what is there without taking it; [`io::ErrorKind::WouldBlock`] if nothing is.
    ///
    /// # Errors
    /// Those of the stream.
    fn try_peek(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// The error that the stream has met since this was last asked, such as a reset.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// Bytes that were written and that the peer's system has not acknowledged; `None` where that is not known. An end
    /// of writing may count as one more.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn unacknowledged(&self) -> io::Result<Option<u32>>;

    /// Lets the stream end in a reset when it is dropped, and what is on its way be lost.
    fn reset_when_dropped(&self);
}

impl Transport for TcpStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.readable()
    }

    fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        self.try_read_buf(buffer)
    }

    fn try_peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (peeked, _) = rustix::net::recv(self, buffer, RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
        Ok(peeked)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }

    fn unacknowledged(&self) -> io::Result<Option<u32>> {
        messageu_outq::unacknowledged(self)
    }

    fn reset_when_dropped(&self) {
        // Fails on a socket that is gone, and such a one says nothing more.
        let _ = self.set_zero_linger();
    }
}
