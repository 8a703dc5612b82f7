//! Redis: entries of a stream, each on disk before its answer (`appendfsync always`).

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use tempfile::TempDir;

use super::{free_address, listening};
use crate::account::connect;
use crate::load::{Ready, Replies, Reply, Ring};
use crate::place::Place;
use crate::process::Program;

/// The program's name.
pub const PROGRAM: &str = "redis-server";

/// A server that was started here.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    _program: Program,
    _directory: TempDir,
}

impl Redis {
    /// Starts one.
    ///
    /// # Errors
    /// When it does not listen.
    pub async fn start(path: &Path, place: &Place) -> Result<Self> {
        let directory = place.directory()?;
        let address = free_address()?;
        let mut command = Command::new(path);
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir"]);
        command.arg(directory.path()).stdout(Stdio::null());
        let mut program = Program::start(&mut command)?;
        listening(&mut program, address).await?;
        Ok(Self { address, _program: program, _directory: directory })
    }

    /// Connections that each add to a stream of their own.
    ///
    /// # Errors
    /// When they cannot be made.
    pub async fn connections(&self, count: usize, depth: usize, size: usize) -> Result<Vec<Ready<Resp>>> {
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            let key = format!("queue:{number}");
            let add = command(&[b"XADD", key.as_bytes(), b"*", b"content", &vec![0x5a; size]]);
            connections.push(Ready {
                stream: connect(self.address).await?,
                ring: Ring::of_one(&add, depth),
                replies: Resp,
                quota: u64::MAX,
            });
        }
        Ok(connections)
    }
}

/// A command: an array of strings, in RESP.
fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Replies that are strings, or errors.
#[derive(Clone, Copy, Debug)]
pub struct Resp;

impl Replies for Resp {
    fn first(&self, bytes: &[u8]) -> Reply {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            return if matches!(bytes.first(), None | Some(b'$' | b'-')) {
                Reply::More
            } else {
                Reply::Nonsense
            };
        };
        let (line, whole) = (&bytes[..end], end + 1);
        match line.split_first() {
            Some((b'-', _)) => Reply::Refused(whole),
            Some((b'$', digits)) => {
                let size = str::from_utf8(digits).ok().and_then(|text| text.trim_end().parse::<usize>().ok());
                match size.map(|size| whole + size + 2) {
                    None => Reply::Nonsense,
                    Some(whole) if bytes.len() < whole => Reply::More,
                    Some(whole) => Reply::Accepted(whole),
                }
            }
            _ => Reply::Nonsense,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Resp, command};
    use crate::load::{Replies, Reply};

    #[test]
    fn a_command_is_an_array_of_strings() {
        assert_eq!(command(&[b"XADD", b"q", b"*"]), b"*3\r\n$4\r\nXADD\r\n$1\r\nq\r\n$1\r\n*\r\n");
    }

    #[test]
    fn a_reply_is_a_string_or_an_error() {
        for (bytes, expected) in [
            (&b""[..], Reply::More),
            (b"$3", Reply::More),
            (b"$3\r\n1-", Reply::More),
            (b"$3\r\n1-0\r\n$3", Reply::Accepted(9)),
            (b"-ERR no\r\n", Reply::Refused(9)),
            (b":1\r\n", Reply::Nonsense),
            (b"$x\r\n", Reply::Nonsense),
        ] {
            assert_eq!(Resp.first(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
