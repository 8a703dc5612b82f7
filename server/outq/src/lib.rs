//! How many bytes of a TCP connection its peer has not acknowledged: the one question to the kernel that no safe
//! library asks. It has a crate of its own so that every other crate can forbid unsafe code.

use std::io;
use std::os::fd::AsFd;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;

/// Bytes that were written to a TCP socket and that its peer's kernel has not acknowledged yet; `None` on systems that
/// do not say.
///
/// A shutdown for writing counts as one byte more, until it is acknowledged.
///
/// # Errors
/// What the kernel says: the descriptor is no connected socket.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub fn unacknowledged(socket: &impl AsFd) -> io::Result<Option<u32>> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed for the length of the call, and TIOCOUTQ writes one int behind the pointer.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { Ok(u32::try_from(bytes).ok()) } else { Err(io::Error::last_os_error()) }
}

/// Nothing: this system does not say.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn unacknowledged(_: &impl AsFd) -> io::Result<Option<u32>> {
    Ok(None)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn counts_down_as_the_peer_takes_the_bytes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(more) = ours.write(&[0; 65_536]) {
            written += more;
        }
        assert!(super::unacknowledged(&ours).unwrap().unwrap() > 0);
        let mut buffer = vec![0; written];
        theirs.read_exact(&mut buffer).unwrap();
        while super::unacknowledged(&ours).unwrap() != Some(0) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn something_else_than_a_socket_is_an_error() {
        assert!(super::unacknowledged(&std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
