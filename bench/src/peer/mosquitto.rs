//! mosquitto: messages of quality of service 1 for a subscriber with a persistent session who is away.
//!
//! It answers when the message is in memory, and writes its database now and then: not durable.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{free_address, listening};
use crate::account::connect;
use crate::load::{Fixed, Ready, Ring};
use crate::place::Place;
use crate::process::Program;

/// The program's name.
pub const PROGRAM: &str = "mosquitto";

// The first byte of each packet (MQTT 3.1.1).
const CONNECT: u8 = 0x10;
const CONNECTED: u8 = 0x20;
const PUBLISH_ONCE_AT_LEAST: u8 = 0x32;
const PUBLISHED: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBSCRIBED: u8 = 0x90;
const DISCONNECT: u8 = 0xe0;

/// A server that was started here.
#[derive(Debug)]
pub struct Mosquitto {
    address: SocketAddr,
    _program: Program,
    _directory: TempDir,
}

impl Mosquitto {
    /// Starts one.
    ///
    /// # Errors
    /// When it does not listen.
    pub async fn start(path: &Path, place: &Place) -> Result<Self> {
        let directory = place.directory()?;
        let address = free_address()?;
        let configuration = directory.path().join("mosquitto.conf");
        // As root it would become another user, whose this directory is not.
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\nuser root\n\
             max_queued_messages 0\nmax_inflight_messages 0\nlog_type none\n",
            address.port(),
            directory.path().display()
        );
        std::fs::write(&configuration, text)?;
        let mut command = Command::new(path);
        command.arg("-c").arg(&configuration).stdout(Stdio::null()).stderr(Stdio::null());
        let mut program = Program::start(&mut command)?;
        listening(&mut program, address).await?;
        Ok(Self { address, _program: program, _directory: directory })
    }

    /// Connections that each publish to a topic of their own, to which somebody subscribed who is away.
    ///
    /// # Errors
    /// When they cannot be made.
    pub async fn connections(&self, count: usize, depth: usize, size: usize) -> Result<Vec<Ready<Fixed>>> {
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            let topic = format!("queue/{number}");
            let mut subscriber = self.connect(&format!("reader{number}"), false).await?;
            let filter = [&[0, 1][..], &text(&topic), &[1]].concat();
            subscriber.write_all(&packet(SUBSCRIBE, &filter)).await?;
            expect(&mut subscriber, &[SUBSCRIBED, 3, 0, 1, 1]).await?;
            subscriber.write_all(&packet(DISCONNECT, &[])).await?;
            let stream = self.connect(&format!("writer{number}"), true).await?;
            // Those in flight at the same time need numbers of their own.
            let publish = |id: usize| -> Result<Vec<u8>> {
                let id = u16::try_from(id)?.to_be_bytes();
                Ok(packet(PUBLISH_ONCE_AT_LEAST, &[text(&topic), id.to_vec(), vec![0x5a; size]].concat()))
            };
            let publishes = (1..=depth).map(publish).collect::<Result<Vec<_>>>()?;
            let replies = Fixed { size: 4, start: vec![PUBLISHED, 2], refusal: Vec::new() };
            connections.push(Ready { stream, ring: Ring::of_many(&publishes)?, replies, quota: u64::MAX });
        }
        Ok(connections)
    }

    async fn connect(&self, client: &str, clean: bool) -> Result<TcpStream> {
        let mut stream = connect(self.address).await?;
        // Level 4, no keep-alive.
        let head = [text("MQTT"), vec![4, u8::from(clean) << 1, 0, 0]].concat();
        stream.write_all(&packet(CONNECT, &[head, text(client)].concat())).await?;
        expect(&mut stream, &[CONNECTED, 2, 0, 0]).await?;
        Ok(stream)
    }
}

async fn expect(stream: &mut TcpStream, expected: &[u8]) -> Result<()> {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).await?;
    if bytes != expected {
        bail!("mosquitto answered {bytes:x?} where {expected:x?} belongs");
    }
    Ok(())
}

/// A text with its length in front.
fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

/// A packet: its first byte, its length in groups of seven bits, the rest.
fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut left = rest.len();
    loop {
        let group = u8::try_from(left & 0x7f).unwrap_or(0);
        left >>= 7;
        bytes.push(if left > 0 { group | 0x80 } else { group });
        if left == 0 {
            break;
        }
    }
    bytes.extend_from_slice(rest);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{PUBLISH_ONCE_AT_LEAST, packet, text};

    #[test]
    fn lengths_are_in_groups_of_seven_bits() {
        assert_eq!(packet(PUBLISH_ONCE_AT_LEAST, &[7; 3]), [0x32, 3, 7, 7, 7]);
        assert_eq!(packet(PUBLISH_ONCE_AT_LEAST, &[7; 321])[..3], [0x32, 0xc1, 2]);
    }

    #[test]
    fn a_text_has_its_length_in_front() {
        assert_eq!(text("ab"), [0, 2, b'a', b'b']);
    }
}
