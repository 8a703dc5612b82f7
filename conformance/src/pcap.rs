//! Conversations as a capture that Wireshark reads: real bytes, in segments with made headers.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::tape::{Entry, Event};

/// Link type of packets that begin with an IP header.
const RAW_IP: u32 = 101;
/// Most bytes of a segment.
const SEGMENT: usize = 1_400;
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// Writes captures; each connection gets a port of its own.
#[derive(Debug)]
pub struct Capture<W> {
    out: W,
    server_port: u16,
    connections: u16,
}

/// Where the two directions of a connection are.
#[derive(Clone, Copy, Debug)]
struct Flow {
    port: u16,
    /// The next sequence numbers: of the client, and of the server.
    next: [u32; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum From {
    Client,
    Server,
}

impl<W: Write> Capture<W> {
    /// Begins a capture of talks with a server on this port.
    ///
    /// # Errors
    /// What writing gives.
    pub fn new(mut out: W, server_port: u16) -> io::Result<Self> {
        // Magic number, version 2.4, no time zone, no accuracy, whole packets.
        out.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
        out.write_all(&2_u16.to_le_bytes())?;
        out.write_all(&4_u16.to_le_bytes())?;
        out.write_all(&[0; 8])?;
        out.write_all(&65_535_u32.to_le_bytes())?;
        out.write_all(&RAW_IP.to_le_bytes())?;
        Ok(Self { out, server_port, connections: 0 })
    }

    /// Appends what was noted of a case.
    ///
    /// # Errors
    /// What writing gives.
    pub fn add(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut flows = std::collections::BTreeMap::new();
        for Entry { time, connection, event } in entries {
            let fresh = flows.len();
            let flow = flows.entry(*connection).or_insert_with(|| {
                let offset = u16::try_from(fresh).unwrap_or(u16::MAX);
                Flow {
                    port: 1_024_u16.wrapping_add(self.connections.wrapping_add(offset) % 64_000),
                    next: [1_000, 2_000],
                }
            });
            match event {
                Event::Open => {
                    self.packet(*time, flow, From::Client, SYN, &[])?;
                    self.packet(*time, flow, From::Server, SYN | ACK, &[])?;
                    self.packet(*time, flow, From::Client, ACK, &[])?;
                }
                Event::Sent(bytes) => self.bytes(*time, flow, From::Client, bytes)?,
                Event::Came(bytes) => self.bytes(*time, flow, From::Server, bytes)?,
                Event::WeEnd => self.packet(*time, flow, From::Client, FIN | ACK, &[])?,
                Event::TheyEnd => self.packet(*time, flow, From::Server, FIN | ACK, &[])?,
                Event::WeReset => self.packet(*time, flow, From::Client, RST | ACK, &[])?,
                Event::TheyReset => self.packet(*time, flow, From::Server, RST | ACK, &[])?,
            }
        }
        self.connections = self.connections.wrapping_add(u16::try_from(flows.len()).unwrap_or(u16::MAX));
        self.out.flush()
    }

    fn bytes(&mut self, time: Duration, flow: &mut Flow, from: From, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(SEGMENT).try_for_each(|part| self.packet(time, flow, from, PSH | ACK, part))
    }

    fn packet(
        &mut self,
        time: Duration,
        flow: &mut Flow,
        from: From,
        flags: u8,
        payload: &[u8],
    ) -> io::Result<()> {
        let [client, server] = &mut flow.next;
        let (source, target, ports, own, other) = match from {
            From::Client => (CLIENT, SERVER, [flow.port, self.server_port], client, server),
            From::Server => (SERVER, CLIENT, [self.server_port, flow.port], server, client),
        };
        let acknowledged = if flags & ACK == 0 { 0 } else { *other };
        let tcp = segment(source, target, ports, [*own, acknowledged], flags, payload);
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        *own = own.wrapping_add(length + u32::from(flags & (SYN | FIN) != 0));
        let packet = [ip_header(source, target, tcp.len()), tcp].concat();
        let size = u32::try_from(packet.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.out.write_all(&u32::try_from(time.as_secs()).unwrap_or(u32::MAX).to_le_bytes())?;
        self.out.write_all(&time.subsec_micros().to_le_bytes())?;
        self.out.write_all(&size)?;
        self.out.write_all(&size)?;
        self.out.write_all(&packet)
    }
}

/// `source port u16 ‖ target port u16 ‖ sequence u32 ‖ acknowledged u32 ‖ words of the header and flags u16 ‖ window u16
/// ‖ checksum u16 ‖ urgent u16 ‖ payload`, big-endian.
fn segment(
    source: Ipv4Addr,
    target: Ipv4Addr,
    ports: [u16; 2],
    numbers: [u32; 2],
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let size = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let make = |checksum: u16| {
        let mut bytes: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
        bytes.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
        bytes.extend([0x50, flags, 0xff, 0xff]);
        bytes.extend(checksum.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(payload);
        bytes
    };
    let pseudo_header = [&source.octets()[..], &target.octets(), &[0, 6], &size].concat();
    make(checksum(&[&pseudo_header[..], &make(0)].concat()))
}

/// A header of 20 bytes, without options and fragments.
fn ip_header(source: Ipv4Addr, target: Ipv4Addr, payload: usize) -> Vec<u8> {
    let size = u16::try_from(20 + payload).unwrap_or(u16::MAX).to_be_bytes();
    let make = |checksum: u16| {
        let mut bytes = vec![0x45, 0];
        bytes.extend(size);
        bytes.extend([0, 0, 0x40, 0, 64, 6]);
        bytes.extend(checksum.to_be_bytes());
        bytes.extend(source.octets());
        bytes.extend(target.octets());
        bytes
    };
    make(checksum(&make(0)))
}

/// The checksum of IP and TCP: the complement of the sum of all words in ones' complement.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(high) << 8 | u32::from(low),
        [high] => u32::from(high) << 8,
        _ => 0,
    });
    let mut sum = words.sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Capture, SEGMENT, checksum};
    use crate::tape::{Entry, Event};

    /// The IP packets of a capture.
    fn packets(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        bytes = &bytes[24..];
        while !bytes.is_empty() {
            let size = usize::try_from(u32::from_le_bytes(bytes[8..12].try_into().unwrap())).unwrap();
            found.push(bytes[16..16 + size].to_vec());
            bytes = &bytes[16 + size..];
        }
        found
    }

    #[test]
    fn a_capture_has_every_byte_in_order_and_right_checksums() {
        let time = Duration::from_secs(1_700_000_000);
        let large: Vec<u8> = (0..=255).cycle().take(3 * SEGMENT + 7).collect();
        let events = [
            Event::Open,
            Event::Sent(large.clone()),
            Event::Came(vec![7; 9]),
            Event::WeEnd,
            Event::TheyReset,
        ];
        let entries: Vec<Entry> =
            events.into_iter().map(|event| Entry { time, connection: 5, event }).collect();
        let mut out = Vec::new();
        Capture::new(&mut out, 1357).unwrap().add(&entries).unwrap();
        let packets = packets(&out);
        assert_eq!(packets.len(), 3 + 4 + 1 + 1 + 1);
        let (mut sent, mut next) = (Vec::new(), 1_001_u32);
        for packet in &packets {
            assert_eq!(checksum(&packet[..20]), 0, "the header's sum includes itself");
            let length = u16::try_from(packet.len() - 20).unwrap().to_be_bytes();
            let pseudo = [&packet[12..20], &[0, 6], &length, &packet[20..]].concat();
            assert_eq!(checksum(&pseudo), 0);
            let to_server = packet[22..24] == 1357_u16.to_be_bytes();
            if to_server && packet.len() > 40 {
                assert_eq!(packet[24..28], next.to_be_bytes());
                next += u32::try_from(packet.len() - 40).unwrap();
                sent.extend_from_slice(&packet[40..]);
            }
        }
        assert_eq!(sent, large);
    }
}
