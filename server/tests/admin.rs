//! What is for whoever runs the server: measures, health, and their bounds.

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

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use support::admin::{Reply, Site};
use support::disk::SmallDisk;
use support::{Answer, Peer, Server, cannot_run_here, until};

/// A server over a directory, the page of whoever runs it, and a client.
fn started(more: &[&str]) -> (tempfile::TempDir, Server, Site, Peer) {
    let data = tempfile::tempdir().unwrap();
    let (server, site) = Site::start(data.path(), more);
    let peer = Peer::register(server.addresses[0], Dialect::classic(Family::E), "alice");
    (data, server, site, peer)
}

fn read_to_end(mut stream: &TcpStream) -> usize {
    stream.read_to_end(&mut Vec::new()).unwrap()
}

#[test]
fn requests_messages_and_connections_are_counted_where_they_belong() {
    let (_data, _server, site, peer) = started(&["--max-content", "1000"]);
    for content in [b"four".as_slice(), b"seven77"] {
        assert!(matches!(peer.send(peer.id, MessageType::TEXT, content), Answer::Response(_)));
    }
    assert_eq!(peer.send(peer.id, MessageType::FILE, &[0; 1001]), Answer::Refused);
    assert_eq!(peer.send(ClientId([9; 16]), MessageType::TEXT, b""), Answer::Refused);
    // An answer is counted when it is written.
    let answered = r#"messageu_requests_total{operation="send_message",outcome="answered"}"#;
    until("the counts", || site.measures()[answered] == 2.0);
    let measures = site.measures();
    let of = |name: &str| measures[name];
    assert_eq!(of("messageu_clients"), 1.0);
    assert_eq!(of("messageu_connections_accepted_total"), 5.0);
    assert_eq!(of("messageu_waiting_messages"), 2.0);
    assert_eq!(of("messageu_waiting_bytes"), 11.0);
    assert_eq!(of(r#"messageu_requests_total{operation="register",outcome="answered"}"#), 1.0);
    assert_eq!(of(r#"messageu_requests_total{operation="send_message",outcome="refused"}"#), 2.0);
    assert_eq!(of(r#"messageu_refusals_total{reason="content_too_large"}"#), 1.0);
    assert_eq!(of(r#"messageu_refusals_total{reason="unknown_target"}"#), 1.0);
    assert!(of("messageu_commit_requests_count") >= 3.0);
    assert!(of("messageu_commit_seconds_sum") > 0.0);
    assert!(of("messageu_database_bytes") + of("messageu_database_log_bytes") > 0.0);
    assert!(of("process_resident_memory_bytes") > 1e6);
    assert!(of("process_open_fds") > 5.0);

    assert_eq!(peer.pull().len(), 2);
    until("the end of the pull", || site.measures()["messageu_waiting_messages"] == 0.0);
    let measures = site.measures();
    for (fate, messages, bytes) in
        [("accepted", 2.0, 11.0), ("acknowledged", 2.0, 11.0), ("expired", 0.0, 0.0)]
    {
        assert_eq!(measures[&format!("messageu_messages_total{{fate={fate:?}}}")], messages);
        assert_eq!(measures[&format!("messageu_message_bytes_total{{fate={fate:?}}}")], bytes);
    }
}

#[test]
fn what_waits_is_counted_again_after_a_restart() {
    let (data, server, _, peer) = started(&[]);
    for _ in 0..3 {
        assert!(matches!(peer.send(peer.id, MessageType::TEXT, &[1; 100]), Answer::Response(_)));
    }
    server.kill();
    let (_server, site) = Site::start(data.path(), &[]);
    let measures = site.measures();
    assert_eq!((measures["messageu_waiting_messages"], measures["messageu_waiting_bytes"]), (3.0, 300.0));
}

#[test]
fn open_connections_are_those_there_are_and_those_beyond_the_limit_are_turned_away() {
    let (_data, _server, site, peer) = started(&["--max-clients", "2"]);
    until("the end of the first connection", || site.measures()["messageu_connections_open"] == 0.0);
    let seated = [peer.connect(), peer.connect()];
    until("both connections", || site.measures()["messageu_connections_open"] == 2.0);
    let before = site.measures()["messageu_connections_turned_away_total"];
    let mut turned_away = peer.connect();
    turned_away.read_to_end(&mut Vec::new()).unwrap();
    let measures = site.measures();
    assert_eq!(measures["messageu_connections_turned_away_total"], before + 1.0);
    assert_eq!(measures["messageu_connections_open"], measures["messageu_connections_max"]);
    drop(seated);
    until("the end of both", || site.measures()["messageu_connections_open"] == 0.0);
}

#[test]
fn every_line_of_the_measures_is_in_the_format_and_tells_of_nobody() {
    let (_data, _server, site, peer) = started(&[]);
    assert!(matches!(peer.send(peer.id, MessageType::TEXT, b"secret"), Answer::Response(_)));
    let reply = site.get("/metrics");
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let (mut declared, mut samples) = (BTreeMap::new(), 0);
    for line in reply.body.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(declared.insert(name.to_owned(), kind.to_owned()), None, "{name} is declared twice");
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            let name = sample.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            let kind =
                declared.get(name).or_else(|| declared.get(family?)).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            samples += 1;
        }
    }
    assert!(samples > 50);
    let id = peer.id.to_string();
    for telling in ["alice", "secret", &id, "127.0.0.1"] {
        assert!(!reply.body.contains(telling), "{telling}");
    }
}

#[test]
fn a_server_that_works_is_alive_and_ready() {
    let (_data, _server, site, _) = started(&[]);
    assert_eq!((site.get("/healthz").status, site.get("/healthz").body), (200, "alive\n".to_owned()));
    until("the listeners", || site.get("/readyz").status == 200);
    assert_eq!(site.get("/readyz").body, "ready\n");
}

#[test]
fn a_server_whose_disk_is_almost_full_is_alive_and_not_ready_until_there_is_room() {
    let Some(disk) = SmallDisk::mount(16) else { return cannot_run_here("no small disk can be mounted") };
    let (_server, site) = Site::start(disk.path(), &["--log", "off"]);
    until("the listeners", || site.get("/readyz").status == 200);
    let filler = disk.fill(64 << 10);
    let reply = site.get("/readyz");
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("the disk is almost full"), "{}", reply.body);
    assert_eq!(site.get("/healthz").status, 200);
    let measures = site.measures();
    assert!(measures["messageu_disk_free_bytes"] < measures["messageu_disk_reserve_bytes"]);
    std::fs::remove_file(filler).unwrap();
    assert_eq!(site.get("/readyz").status, 200);
}

#[test]
fn a_server_whose_database_cannot_be_written_is_not_ready_and_says_why() {
    let (data, _server, site, _) = started(&["--log", "off"]);
    let other = rusqlite::Connection::open(data.path().join("messageu.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // On a busy machine the store may take longer to say so than is waited for it.
    until("the end of being ready, and why", || {
        let reply = site.get("/readyz");
        reply.status == 503 && reply.body.contains("database is locked")
    });
    assert!(site.measures()["messageu_commits_failed_total"] >= 1.0);
    drop(other);
    until("the end of the lock", || site.get("/readyz").status == 200);
}

#[test]
fn a_server_that_is_stopping_is_not_ready_any_more() {
    let (_data, server, site, peer) = started(&[]);
    // A request in flight keeps it from its end.
    let mut stream = peer.connect();
    stream.write_all(&[1; 3]).unwrap();
    until("the connection", || site.measures()["messageu_connections_open"] == 1.0);
    server.signal("-TERM");
    until("the end of being ready", || site.get("/readyz").status == 503);
    let reply = site.get("/readyz");
    assert!(reply.body.contains("stopping"), "{}", reply.body);
    drop(stream);
    assert!(server.wait().success());
}

#[test]
fn it_answers_beyond_loopback_only_if_that_is_said() {
    let data = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_messageu-server"))
        .args(["--port", "0", "--admin", "0.0.0.0:0", "--data"])
        .arg(data.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("--insecure-admin"), "{complaint}");
    let options = ["--admin", "0.0.0.0:0", "--insecure-admin"];
    let server = Server::start(data.path(), &["127.0.0.1:0"], &options);
    assert!(server.addresses[1].ip().is_unspecified());
}

#[test]
fn there_is_nothing_to_change_and_nothing_else_to_see() {
    let (_data, _server, site, _) = started(&[]);
    let reply = site.ask("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!((reply.status, reply.header("allow")), (405, "GET, HEAD"));
    assert_eq!(site.get("/../etc/passwd").status, 404);
    let head = site.ask("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((head.status, head.body), (200, String::new()));
}

#[test]
fn it_answers_by_addresses_and_by_its_own_names_alone() {
    let (_data, _server, site, _) = started(&["--admin-host", "server.example"]);
    let by = |host: &str| site.ask(&format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    for host in ["127.0.0.1:9357", "localhost", "server.example:9357"] {
        assert_eq!(by(host).status, 200, "{host}");
    }
    // What a page would ask whose name was made to point here when it was open.
    let refused = by("rebound.example");
    assert_eq!(refused.status, 421);
    assert!(refused.body.contains("--admin-host"), "{}", refused.body);
    assert_eq!(site.ask("GET /healthz HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn a_server_that_had_no_descriptors_left_is_ready_again_when_it_has() {
    let (_data, server, site, peer) = started(&["--log", "off"]);
    until("the listeners", || site.get("/readyz").status == 200);
    let few = Some(site.measures()["process_open_fds"] as u64 + 5);
    let process = rustix::process::Pid::from_raw(server.id().try_into().unwrap());
    let limit = rustix::process::Rlimit { current: few, maximum: few };
    rustix::process::prlimit(process, rustix::process::Resource::Nofile, limit).unwrap();
    let crowd: Vec<TcpStream> = (0..20).map(|_| peer.connect()).collect();
    // The last of them can only be told, or waits.
    assert!(read_to_end(crowd.last().unwrap()) > 0);
    drop(crowd);
    // Nobody else comes: where readiness decides who does, nobody would.
    until("readiness", || site.try_get("/readyz").is_some_and(|reply| reply.status == 200));
}

#[test]
fn what_is_no_request_or_too_large_a_one_is_refused_within_its_bounds() {
    let (_data, _server, site, _) = started(&[]);
    let large = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(16 << 10));
    assert_eq!(site.ask(&large).status, 431);
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(site.ask(&many).status, 431);
    assert_eq!(site.ask("\0\0\0\0\r\n\r\n").status, 400);
    assert_eq!(site.get("/healthz").status, 200);
}

#[test]
fn a_crowd_that_says_nothing_costs_a_bounded_number_of_descriptors_and_then_gives_way() {
    let (_data, _server, site, _) = started(&[]);
    let before = site.measures()["process_open_fds"];
    let silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(site.address).unwrap()).collect();
    // Those that are there first have a few seconds to say something.
    until("an answer", || site.try_get("/healthz").is_some_and(|reply| reply.status == 200));
    let measures = site.measures();
    assert!(measures["process_open_fds"] < before + 40.0, "{}", measures["process_open_fds"]);
    drop(silent);
}

#[test]
fn the_page_is_whole_in_itself_and_may_do_nothing_else() {
    let (_data, _server, site, _) = started(&[]);
    let reply = site.get("/");
    assert_eq!((reply.status, reply.header("content-type")), (200, "text/html; charset=utf-8"));
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!reply.body.contains(outside), "{outside}");
    }
    let policy = reply.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
}

#[test]
fn a_measure_costs_the_peers_nothing_while_a_scraper_stalls() {
    let (_data, _server, site, peer) = started(&[]);
    let mut stalled = TcpStream::connect(site.address).unwrap();
    stalled.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stalled.shutdown(Shutdown::Write).unwrap();
    assert!(matches!(peer.send(peer.id, MessageType::TEXT, b"through"), Answer::Response(_)));
    let Reply { status, .. } = site.get("/metrics");
    assert_eq!(status, 200);
}

/// The names of metrics that an expression has, without what a histogram appends.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let names = words.filter(|word| word.starts_with("messageu_") || word.starts_with("process_"));
    names.map(|name| {
        ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name)
    })
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let (_data, _server, site, _) = started(&[]);
    let metrics = site.get("/metrics").body;
    let there: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let dashboard =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/grafana.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let targets =
        dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    let expressions: Vec<&str> = targets.flatten().map(|target| target["expr"].as_str().unwrap()).collect();
    let shown: BTreeSet<&str> = expressions.iter().flat_map(|expression| names(expression)).collect();
    assert_eq!(shown, there);
    // Labels too: what is asked for is there.
    for expression in &expressions {
        let grouped = expression.split_once("by (").and_then(|(_, rest)| rest.split_once(')'));
        let Some((label, _)) = grouped else { continue };
        for name in names(expression) {
            let mut samples = metrics.lines().filter(|line| line.starts_with(name));
            assert!(samples.any(|line| line.contains(&format!("{label}=\""))), "{expression}");
        }
    }
}
