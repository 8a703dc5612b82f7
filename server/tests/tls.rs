//! TLS on the port of the classic dialects: who is let in, what the server is known by, and what certificates it takes.

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
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::message::MessageType;
use rustls::HandshakeKind;
use support::tls::{TlsClient, pin_text, say, stays_open, tls12_hello};
use support::{Answer, Peer, Server, until};

/// Asks the program for its pin: what it prints, or what it complains about.
fn pin_command(data: &Path, more: &[&str]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_messageu-server"));
    let output = command.arg("pin").arg("--data").arg(data).args(more).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

fn seen_pin(address: SocketAddr) -> String {
    pin_text(TlsClient::new().connect(address).unwrap().1)
}

/// A certificate with its key, as somebody else would make them.
fn certificate(directory: &Path, name: &str) -> [String; 2] {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["example.org".to_owned()]).unwrap().self_signed(&key).unwrap();
    let paths = ["crt", "key"].map(|kind| directory.join(format!("{name}.{kind}")));
    std::fs::write(&paths[0], certificate.pem()).unwrap();
    std::fs::write(&paths[1], key.serialize_pem()).unwrap();
    std::fs::set_permissions(&paths[1], std::fs::Permissions::from_mode(0o600)).unwrap();
    paths.map(|path| path.to_str().unwrap().to_owned())
}

#[test]
fn a_server_says_at_its_start_what_it_is_known_by_and_keeps_it() {
    let data = tempfile::tempdir().unwrap();
    assert!(pin_command(data.path(), &[]).unwrap_err().contains("at its first start"));
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let pin = seen_pin(server.addresses[0]);
    assert_eq!(server.pin.as_deref(), Some(pin.as_str()));
    assert_eq!(pin_command(data.path(), &[]).unwrap(), pin);
    server.kill();
    let again = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    assert_eq!(seen_pin(again.addresses[0]), pin);
    let mode = std::fs::metadata(data.path().join("messageu.db.tls.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_server_in_memory_has_a_certificate_in_memory() {
    let data = tempfile::tempdir().unwrap();
    let pins = [(), ()].map(|()| {
        let server = Server::start(data.path(), &["127.0.0.1:0"], &["--db", "memory:"]);
        let pin = seen_pin(server.addresses[0]);
        assert_eq!(server.pin.as_deref(), Some(pin.as_str()));
        pin
    });
    assert_ne!(pins[0], pins[1]);
    assert!(pin_command(data.path(), &["--db", "memory:"]).unwrap_err().contains("ends with its server"));
}

#[test]
fn tls_and_the_classic_dialects_share_a_port() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let address = server.addresses[0];
    let (mut modern, _) = TlsClient::new().connect(address).unwrap();
    let classic = Peer::register(address, Dialect::classic(Family::E), "alice");
    assert!(matches!(classic.send(classic.id, MessageType::TEXT, b"hello"), Answer::Response(_)));
    assert_eq!(classic.pull().len(), 1);
    assert!(stays_open(&mut modern, Duration::from_millis(200)));
}

#[test]
fn a_classic_request_may_begin_with_the_first_byte_of_tls() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    let list = messageu_wire::operation::list_clients::Request;
    let mut request = peer.request(&messageu_wire::operations::Request::ListClients(list), &[]);
    request[0] = 0x16;
    let mut stream = peer.connect();
    // The first byte alone does not tell: the server has to wait for the second.
    stream.write_all(&request[..1]).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    stream.write_all(&request[1..]).unwrap();
    let mut answer = [0; 3];
    stream.read_exact(&mut answer).unwrap();
    assert_ne!(answer[0], 0x15, "an alert");
    assert_ne!(u16::from_le_bytes([answer[1], answer[2]]), 0);
}

#[test]
fn whoever_does_not_offer_the_protocol_gets_no_certificate() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    for protocols in [&[][..], &[&b"http/1.1"[..]], &[b"h2", b"mu2"], &[b"mu33"]] {
        let error = TlsClient::offering(protocols).connect(server.addresses[0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{protocols:?}: {error}");
    }
    assert!(TlsClient::offering(&[b"h2", b"mu3"]).connect(server.addresses[0]).is_ok());
}

#[test]
fn tls_below_1_3_is_refused_with_the_alert_for_it() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let answer = say(server.addresses[0], &tls12_hello());
    assert_eq!((answer[0], &answer[5..]), (0x15, &[2, 70][..]), "{answer:02x?}");
}

#[test]
fn nothing_is_resumed_and_nothing_comes_early() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let client = TlsClient::new();
    for _ in 0..3 {
        let (mut stream, _) = client.connect(server.addresses[0]).unwrap();
        assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Full));
        // What tickets there were would have come by now.
        assert!(stays_open(&mut stream, Duration::from_millis(50)));
        assert_eq!(stream.conn.tls13_tickets_received(), 0);
        assert!(stream.conn.early_data().is_none());
    }
}

#[test]
fn handshakes_that_trickle_are_cut_off_and_others_are_served_meanwhile() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &["--request-time", "1"]);
    let address = server.addresses[0];
    let hello = tls12_hello();
    let began = Instant::now();
    let mut slow: Vec<TcpStream> = [1, 2, 5, hello.len() - 1]
        .map(|bytes| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.write_all(&hello[..bytes]).unwrap();
            stream
        })
        .into();
    TlsClient::new().connect(address).unwrap();
    for stream in &mut slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, b"");
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[test]
fn bytes_that_only_begin_like_tls_are_cut_off() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let address = server.addresses[0];
    for bytes in [
        [&[0x16, 3][..], &[0xff; 40]].concat(),
        [&[0x16, 3, 1, 0x40, 1][..], &[0; 16_385]].concat(),
        [&[0x16, 3, 1, 0, 4][..], &[2, 0, 0, 0]].concat(),
        [&[0x16, 3, 3, 0, 0][..], &[0x16, 3, 3, 0, 0]].concat(),
        // A hello that claims to be longer than any.
        [&[0x16, 3, 1, 0, 8][..], &[1, 0xff, 0xff, 0xff, 3, 3, 0, 0]].concat(),
    ] {
        let answer = say(address, &bytes);
        assert!(answer.is_empty() || answer[0] == 0x15, "{:02x?}: {answer:02x?}", &bytes[..8]);
    }
    TlsClient::new().connect(address).unwrap();
}

#[test]
fn a_handshake_takes_a_seat_from_its_first_moment_on() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &["--max-clients", "2"]);
    let address = server.addresses[0];
    let mut begun = TcpStream::connect(address).unwrap();
    begun.write_all(&tls12_hello()[..5]).unwrap();
    let (done, _) = TlsClient::new().connect(address).unwrap();
    assert!(TlsClient::new().connect(address).is_err());
    drop((begun, done));
    until("a seat", || TlsClient::new().connect(address).is_ok());
}

#[test]
fn beyond_loopback_version_3_is_served_alone_unless_that_is_said() {
    let data = tempfile::tempdir().unwrap();
    let refusal = [2, 0x28, 0x23, 0, 0, 0, 0];
    let here = |server: &Server| SocketAddr::from(([127, 0, 0, 1], server.addresses[0].port()));
    let server = Server::start(data.path(), &["0.0.0.0:0"], &[]);
    TlsClient::new().connect(here(&server)).unwrap();
    assert_eq!(say(here(&server), &[7; 300]), refusal);
    server.kill();
    let server = Server::start(data.path(), &["0.0.0.0:0"], &["--legacy"]);
    TlsClient::new().connect(here(&server)).unwrap();
    Peer::register(here(&server), Dialect::classic(Family::E), "alice");
}

#[test]
fn a_listener_serves_one_generation_alone_where_that_is_said() {
    let data = tempfile::tempdir().unwrap();
    let listen = ["127.0.0.1:0,only=modern", "127.0.0.1:0,only=classic", "127.0.0.1:0,family=E"];
    let server = Server::start(data.path(), &listen, &[]);
    let [modern, classic, pinned] = server.addresses[..] else { panic!() };
    TlsClient::new().connect(modern).unwrap();
    assert_eq!(say(modern, &[7; 300]), [2, 0x28, 0x23, 0, 0, 0, 0]);
    for classic in [classic, pinned] {
        Peer::register(classic, Dialect::classic(Family::E), &format!("alice{classic}"));
        assert!(TlsClient::new().connect(classic).is_err());
    }
}

#[test]
fn where_the_classic_dialects_are_served_alone_there_is_no_certificate() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0,only=classic"], &[]);
    assert_eq!(server.pin, None);
    assert!(!data.path().join("messageu.db.tls.pem").exists());
}

#[test]
fn a_certificate_of_ones_own_is_served_and_told() {
    let data = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate(data.path(), "own");
    let options = ["--tls-cert", &certificate, "--tls-key", &key];
    let server = Server::start(data.path(), &["127.0.0.1:0"], &options);
    let pin = seen_pin(server.addresses[0]);
    assert_eq!(pin_command(data.path(), &options).unwrap(), pin);
    assert_eq!(server.pin, Some(pin));
    assert!(!data.path().join("messageu.db.tls.pem").exists());
}

#[test]
fn a_certificate_that_cannot_be_used_is_a_complaint_that_says_why() {
    let data = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate(data.path(), "own");
    let [_, other] = self::certificate(data.path(), "other");
    let empty = data.path().join("empty").to_str().unwrap().to_owned();
    std::fs::write(&empty, "nothing here").unwrap();
    for (options, says) in [
        (&["--tls-cert", &certificate][..], "--tls-cert needs --tls-key"),
        (&["--tls-key", &key], "--tls-key needs --tls-cert"),
        (&["--tls-cert", &certificate, "--tls-key", &other], "does not belong to the certificate"),
        (&["--tls-cert", &empty, "--tls-key", &key], "there is no certificate in"),
        (&["--tls-cert", &certificate, "--tls-key", &empty], "there is no private key"),
        (&["--tls-cert", "none.crt", "--tls-key", &key], "none.crt cannot be read"),
    ] {
        let complaint = pin_command(data.path(), options).unwrap_err();
        assert!(complaint.contains(says), "{options:?}: {complaint}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_messageu-server"));
        command.args(["--port", "0", "--data"]).arg(data.path()).args(options);
        let output = command.output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(String::from_utf8(output.stderr).unwrap().contains(says), "{options:?}");
    }
}

#[test]
fn a_reload_takes_a_renewed_certificate_and_keeps_the_old_one_if_it_is_wrong() {
    let data = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate(data.path(), "own");
    let log = data.path().join("log");
    let own = ["--tls-cert", &certificate, "--tls-key", &key];
    let options = [&own[..], &["--log-file", log.to_str().unwrap()]].concat();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &options);
    let address = server.addresses[0];
    let (mut before, pin) = TlsClient::new().connect(address).unwrap();
    let renewed = self::certificate(data.path(), "renewed");
    std::fs::copy(&renewed[0], &certificate).unwrap();
    server.signal("-HUP");
    let complained = || std::fs::read_to_string(&log).unwrap().contains("does not belong to the certificate");
    until("a complaint about another key's certificate", complained);
    assert_eq!(seen_pin(address), pin_text(pin));
    std::fs::copy(&renewed[1], &key).unwrap();
    server.signal("-HUP");
    until("the other certificate", || seen_pin(address) != pin_text(pin));
    assert_eq!(seen_pin(address), pin_command(data.path(), &own).unwrap());
    assert!(stays_open(&mut before, Duration::from_millis(100)));
}
