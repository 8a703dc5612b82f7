//! Wireshark's dissector, run by `tshark`: the recordings and generated frames of version 3 show no error, and what the
//! wire refuses shows one. `.ci/readings` installs `tshark` and runs this.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

mod random;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use arbitrary::{Arbitrary, Unstructured};
use messageu_vectors::recordings;
use messageu_wire::fields::ClientId;
use messageu_wire::modern::Request;
use messageu_wire::modern::field::Tag;
use messageu_wire::modern::frame::{RequestReader, encode_request};
use random::{Random, mutated};

const SERVER: u16 = 1357;
/// Bytes of a segment: fewer than most frames have, so that they are put together again.
const SEGMENT: usize = 700;

/// What somebody sent.
struct Sent<'a> {
    by_client: bool,
    bytes: &'a [u8],
}

/// Connections as a file of captured packets: raw IPv4, no checksums.
fn capture(connections: &[Vec<Sent<'_>>]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend([2, 0, 4, 0]);
    for word in [0_u32, 0, 1 << 18, 101] {
        file.extend(word.to_le_bytes());
    }
    for (index, connection) in connections.iter().enumerate() {
        let client = 10_000 + u16::try_from(index).unwrap();
        let mut sequences = [1_u32, 1];
        for Sent { by_client, bytes } in connection {
            let (from, to) = if *by_client { (client, SERVER) } else { (SERVER, client) };
            let (own, other) = (usize::from(!by_client), usize::from(*by_client));
            for segment in bytes.chunks(SEGMENT) {
                let mut packet = vec![0x45, 0];
                packet.extend(u16::try_from(40 + segment.len()).unwrap().to_be_bytes());
                packet.extend([0, 0, 0, 0, 64, 6, 0, 0]);
                for host in [own, other] {
                    packet.extend([10, 0, 0, 1 + host as u8]);
                }
                packet.extend(from.to_be_bytes());
                packet.extend(to.to_be_bytes());
                packet.extend(sequences[own].to_be_bytes());
                packet.extend(sequences[other].to_be_bytes());
                packet.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
                packet.extend_from_slice(segment);
                let size = u32::try_from(packet.len()).unwrap();
                for word in [0, 0, size, size] {
                    file.extend(word.to_le_bytes());
                }
                file.extend(packet);
                sequences[own] += u32::try_from(segment.len()).unwrap();
            }
        }
    }
    file
}

/// What a connection shows: how many frames, and the errors.
#[derive(Default, Debug)]
struct Shown {
    frames: usize,
    errors: Vec<String>,
}

/// What `tshark` shows of connections, by their numbers.
fn dissect(name: &str, dialect: &str, connections: &[Vec<Sent<'_>>]) -> BTreeMap<usize, Shown> {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("{name}.pcap"));
    fs::write(&file, capture(connections)).unwrap();
    let output = Command::new("tshark")
        .args(["-X", &format!("lua_script:{}", xtask::root().join("generated/messageu.lua").display())])
        .args(["-o", &format!("messageu.dialect:{dialect}"), "-d", &format!("tcp.port=={SERVER},messageu")])
        .args(["-T", "fields", "-e", "tcp.stream", "-e", "_ws.col.Info", "-e", "_ws.expert.message"])
        .args(["-E", "aggregator=|", "-e", "_ws.lua.error", "-r"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut shown: BTreeMap<usize, Shown> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let mut columns = line.split('\t');
        let stream = columns.next().unwrap().parse().unwrap();
        let (info, expert, broken) =
            (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap());
        assert_eq!(broken, "", "the dissector itself failed");
        let shown = shown.entry(stream).or_default();
        shown.frames += info.matches(['?', '!']).count();
        shown.errors.extend(expert.split('|').filter(|error| !error.is_empty()).map(str::to_owned));
    }
    shown
}

#[test]
#[ignore = "needs tshark; .ci/readings runs it"]
fn recordings_show_every_frame_and_no_error() {
    for recording in recordings() {
        let mut connections: BTreeMap<u32, Vec<Sent<'_>>> = BTreeMap::new();
        for exchange in &recording.exchanges {
            let connection = connections.entry(exchange.connection).or_default();
            connection.push(Sent { by_client: true, bytes: &exchange.request });
            connection.push(Sent { by_client: false, bytes: &exchange.response });
        }
        let connections: Vec<_> = connections.into_values().collect();
        let shown = dissect(&recording.program, &recording.dialect, &connections);
        let frames: usize = shown.values().map(|shown| shown.frames).sum();
        let errors: Vec<_> = shown.values().flat_map(|shown| &shown.errors).collect();
        assert_eq!((frames, errors), (2 * recording.exchanges.len(), vec![]), "{}", recording.program);
    }
}

/// Whether the wire accepts a request; nothing where it is not one frame.
fn is_accepted(bytes: &[u8]) -> Option<bool> {
    let mut reader = RequestReader::new();
    reader.push(bytes);
    match reader.poll() {
        Ok(Some(frame)) => (!reader.is_inside_request()).then_some(frame.request.is_ok()),
        Ok(None) => None,
        Err(_) => Some(false),
    }
}

#[test]
#[ignore = "needs tshark; .ci/readings runs it"]
fn requests_of_version_3_show_an_error_where_the_wire_refuses_them() {
    let mut random = Random::new("dissector");
    let mut requests = Vec::new();
    while requests.len() < 6_000 {
        let seed = random.bytes(4_000);
        let mut seed = Unstructured::new(&seed);
        let (id, tag) = (ClientId::arbitrary(&mut seed).unwrap(), Tag::arbitrary(&mut seed).unwrap());
        let request = encode_request(id, tag, &Request::arbitrary(&mut seed).unwrap());
        let mutants = mutated(&request, 4, &mut random);
        requests.extend(std::iter::once(request).chain(mutants).filter(|bytes| is_accepted(bytes).is_some()));
    }
    let connections: Vec<_> = requests.iter().map(|bytes| vec![Sent { by_client: true, bytes }]).collect();
    let shown = dissect("version-3", "version 3", &connections);
    let mut refused = 0;
    for (index, request) in requests.iter().enumerate() {
        // What no name is known of is a value, and an envelope is opaque to the server.
        let of_layout = |error: &&String| !error.contains("has no name") && !error.starts_with("inside: ");
        let shown = &shown[&index];
        let error = shown.errors.iter().find(of_layout);
        let accepted = is_accepted(request).unwrap();
        assert_eq!(error.is_none(), accepted, "{error:?} of {request:02x?}");
        refused += usize::from(!accepted);
    }
    assert!(refused > 1_000, "{refused}");
}
