//! The server as a service: what it tells its manager, sockets that were bound for it, its log, and limits that change
//! while it runs.

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

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::message::MessageType;
use messageu_wire::operation::send_message;
use messageu_wire::operations::Request;
use support::admin::Site;
use support::{Answer, Peer, Server, cannot_run_here, until};

/// What takes the place of the service manager.
struct Manager {
    socket: UnixDatagram,
    place: tempfile::TempDir,
}

impl Manager {
    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(place.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { socket, place }
    }

    fn address(&self) -> std::path::PathBuf {
        self.place.path().join("notify")
    }

    /// Waits for a message that says this.
    fn hears(&self, what: &str) -> String {
        loop {
            let mut buffer = [0; 4096];
            let size = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{what}: {error}"));
            let message = String::from_utf8(buffer[..size].to_vec()).unwrap();
            if message.lines().any(|line| line == what) {
                return message;
            }
        }
    }
}

fn peer_of(server: &Server, name: &str) -> Peer {
    Peer::register(server.addresses[0], Dialect::classic(Family::E), name)
}

#[test]
fn the_manager_hears_that_it_is_ready_alive_reloading_and_stopping() {
    let data = tempfile::tempdir().unwrap();
    let manager = Manager::start();
    let address = manager.address();
    let environment = [("NOTIFY_SOCKET", address.as_os_str()), ("WATCHDOG_USEC", OsStr::new("400000"))];
    let server = Server::start_with(data.path(), &["127.0.0.1:0"], &[], &environment);
    manager.hears("READY=1");
    let peer = peer_of(&server, "alice");
    assert!(matches!(peer.send(peer.id, MessageType::TEXT, b"hello"), Answer::Response(_)));
    let _session = peer.connect();
    until("its state", || manager.hears("WATCHDOG=1").contains("STATUS=1 connections, 1 messages waiting"));
    server.signal("-HUP");
    assert!(manager.hears("RELOADING=1").contains("MONOTONIC_USEC="));
    manager.hears("READY=1");
    manager.hears("WATCHDOG=1");
    server.signal("-TERM");
    manager.hears("STOPPING=1");
    assert!(server.wait().success());
}

/// Starts a server that finds sockets bound for it; two of them, since standard input and error can be passed on safely.
fn with_sockets(data: &Path, sockets: [TcpListener; 2], names: &str, more: &[&str]) -> Child {
    let [first, second] = sockets.map(|socket| Stdio::from(OwnedFd::from(socket)));
    let script = r#"LISTEN_PID=$$ exec "$@" 3<&0 4<&2 0</dev/null 2>/dev/null"#;
    Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_messageu-server"), "--log", "warn", "--data"])
        .arg(data)
        .args(more)
        .envs([("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", names)])
        .stdin(first)
        .stderr(second)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills it when it is dropped.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sockets_that_were_bound_for_it_are_served_by_their_names_and_keep_those_who_come_early() {
    let data = tempfile::tempdir().unwrap();
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (pinned, admin) = (bind(), bind());
    let (address, site) = (pinned.local_addr().unwrap(), Site { address: admin.local_addr().unwrap() });
    // Comes before the server is there.
    let uid_echo = Dialect::all().find(|dialect| dialect.profile.name == "uid-echo").unwrap();
    let early = std::thread::spawn(move || Peer::register(address, uid_echo, "early"));
    let mut server = Started(with_sockets(data.path(), [pinned, admin], "profile=uid-echo:admin", &[]));
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), format!("ready {address}"));
    assert_eq!(lines.next().unwrap(), format!("admin {}", site.address));
    let peer = early.join().unwrap();
    assert!(matches!(peer.send(peer.id, MessageType::TEXT, b"hello"), Answer::Response(_)));
    assert_eq!(peer.pull().len(), 1);
    until("being ready", || site.get("/readyz").status == 200);
}

#[test]
fn sockets_beyond_loopback_are_not_served_unless_that_is_said() {
    let data = tempfile::tempdir().unwrap();
    let bind = |address: &str| TcpListener::bind(address).unwrap();
    for (addresses, names) in
        [(["0.0.0.0:0", "127.0.0.1:0"], "only=classic:y"), (["127.0.0.1:0", "0.0.0.0:0"], "x:admin")]
    {
        let sockets = addresses.map(bind);
        let output = with_sockets(data.path(), sockets, names, &[]).wait_with_output().unwrap();
        assert!(!output.status.success(), "{names}");
        assert_eq!(output.stdout, b"");
        let sockets = addresses.map(bind);
        let mut server =
            Started(with_sockets(data.path(), sockets, names, &["--legacy", "--insecure-admin"]));
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "), "{line}");
    }
}

#[test]
fn sockets_that_were_meant_for_somebody_else_are_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let environment = [("LISTEN_PID", OsStr::new("1")), ("LISTEN_FDS", OsStr::new("1"))];
    let server = Server::start_with(data.path(), &["127.0.0.1:0"], &[], &environment);
    peer_of(&server, "alice");
}

/// Lines of the log.
fn log(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn the_log_goes_to_its_file_and_to_a_new_one_when_that_is_moved_away() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("server.log");
    let options = ["--log-file", path.to_str().unwrap(), "--log", "debug"];
    let server = Server::start(data.path(), &["127.0.0.1:0"], &options);
    until("the first line", || log(&path).contains("serving"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let peer = peer_of(&server, "alice");
    for signal in ["-USR1", "-HUP"] {
        let moved = data.path().join(format!("moved{signal}"));
        std::fs::rename(&path, &moved).unwrap();
        let stranger = messageu_wire::fields::ClientId([9; 16]);
        assert_eq!(peer.send(stranger, MessageType::TEXT, b""), Answer::Refused);
        until("a line in the file that was moved", || log(&moved).contains("refused"));
        server.signal(signal);
        until("a new file", || path.exists());
        let size = log(&moved).len();
        assert_eq!(peer.send(stranger, MessageType::TEXT, b""), Answer::Refused);
        until("a line in the new file", || log(&path).contains("refused"));
        assert!(log(&moved)[size..].lines().count() <= 1, "the file that was moved goes on");
    }
}

/// A server with a file of options, and a connection that stays.
struct Reloaded {
    server: Server,
    site: Site,
    peer: Peer,
    session: std::net::TcpStream,
    data: tempfile::TempDir,
}

impl Reloaded {
    fn start(options: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let [config, log] = ["server.toml", "server.log"].map(|name| data.path().join(name));
        std::fs::write(&config, options).unwrap();
        let more =
            ["--config", config.to_str().unwrap(), "--log-file", log.to_str().unwrap(), "--log", "info"];
        let (server, site) = Site::start(data.path(), &more);
        let peer = peer_of(&server, "alice");
        let session = peer.connect();
        Self { server, site, peer, session, data }
    }

    /// Changes the file, reloads, and waits for the log to say something.
    fn reload(&self, options: &str, says: &str) {
        std::fs::write(self.data.path().join("server.toml"), options).unwrap();
        self.server.signal("-HUP");
        until(says, || self.log().contains(says));
    }

    fn log(&self) -> String {
        log(&self.data.path().join("server.log"))
    }

    /// Sends so many bytes on the connection that stays.
    fn send(&mut self, size: u32) -> Answer {
        let send = send_message::Request { to: self.peer.id, kind: MessageType::TEXT, size };
        self.peer.ask_on(&mut self.session, &Request::SendMessage(send), &vec![7; size as usize])
    }
}

#[test]
fn limits_change_for_those_who_are_connected_and_no_connection_is_lost() {
    let mut reloaded = Reloaded::start("max-content = 100\n");
    assert_eq!(reloaded.send(200), Answer::Refused);
    reloaded.reload("max-content = 300\nmax-clients = 5\n", "max-content from 100 to 300");
    assert!(reloaded.log().contains("max-clients from the default to 5"), "{}", reloaded.log());
    assert!(matches!(reloaded.send(200), Answer::Response(_)));
    assert_eq!(reloaded.send(301), Answer::Refused);
    assert_eq!(reloaded.site.measures()["messageu_connections_max"], 5.0);
    reloaded.reload("max-clients = 5\n", "max-content from 300 to the default");
    assert!(matches!(reloaded.send(301), Answer::Response(_)));
}

#[test]
fn a_file_that_is_not_right_changes_nothing_and_is_told_of() {
    let mut reloaded = Reloaded::start("max-content = 100\n");
    for (options, says) in [
        ("max-content = 300\nmax-clients = 0\n", "--max-clients must be at least 1"),
        ("max-content = 300\nmax-clint = 7\n", "max-clint"),
        ("max-content = ", "is not right"),
    ] {
        reloaded.reload(options, says);
        assert_eq!(reloaded.send(200), Answer::Refused, "{options}");
    }
    std::fs::remove_file(reloaded.data.path().join("server.toml")).unwrap();
    reloaded.server.signal("-HUP");
    until("the missing file", || reloaded.log().contains("cannot be read"));
    assert_eq!(reloaded.send(200), Answer::Refused);
    assert!(!reloaded.log().contains(" INFO messageu_server::service: reloaded"), "{}", reloaded.log());
}

#[test]
fn what_cannot_change_while_it_runs_is_named_and_a_flag_goes_before_the_file() {
    let mut reloaded = Reloaded::start("max-content = 100\n");
    let options = "max-content = 100\nlog-format = \"json\"\nadmin = \"127.0.0.1:1\"\ndb = \"other.db\"\n";
    reloaded.reload(options, "these take effect at the next start");
    // Its --admin is a flag.
    let line = reloaded.log().lines().last().unwrap().to_owned();
    assert!(
        line.contains("db from") && line.contains("log-format from") && !line.contains("admin"),
        "{line}"
    );
    assert_eq!(reloaded.send(200), Answer::Refused);
    assert!(!reloaded.data.path().join("other.db").exists());
}

#[test]
fn a_hangup_without_a_file_of_options_ends_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["127.0.0.1:0"], &[]);
    let address: SocketAddr = server.addresses[0];
    server.signal("-HUP");
    server.signal("-USR1");
    for number in 0..3 {
        Peer::register(address, Dialect::classic(Family::E), &format!("user {number}"));
    }
}

/// What is in the directory for those who run the server.
fn contributed(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(name)
}

#[test]
fn the_file_of_options_that_comes_along_is_right_line_by_line() {
    let text = std::fs::read_to_string(contributed("server.toml")).unwrap();
    let options = text.lines().filter_map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")));
    let options: Vec<&str> = options.collect();
    assert!(options.len() > 5, "{options:?}");
    let reloaded = Reloaded::start("max-content = 100\n");
    reloaded.reload(&options.join("\n"), "max-content from 100 to the default");
    let log = reloaded.log();
    let changed = log.lines().last().unwrap();
    // What is below the line takes effect at once; what is above it has flags here, which go before.
    let below = text.split_once("\n# ---\n").unwrap().1;
    for option in &options {
        let name = option.split(" = ").next().unwrap();
        assert_eq!(changed.contains(&format!("{name} from")), below.contains(option), "{name}: {changed}");
    }
}

#[test]
fn the_units_are_right_as_far_as_systemd_can_tell() {
    let place = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for unit in std::fs::read_dir(contributed("systemd")).unwrap().map(Result::unwrap) {
        let text = std::fs::read_to_string(unit.path()).unwrap();
        // Where it is installed is not where it is now.
        let text = text.replace("/usr/local/bin/messageu-server", env!("CARGO_BIN_EXE_messageu-server"));
        units.push(place.path().join(unit.file_name()));
        std::fs::write(units.last().unwrap(), text).unwrap();
    }
    assert_eq!(units.len(), 3);
    let verify = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&units).output();
    let Ok(output) = verify else {
        return cannot_run_here("systemd-analyze is not installed");
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{complaint}");
}
