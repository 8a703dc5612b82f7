//! A server process, a client that knows nothing but the wire, and a ledger of what must arrive.

pub(crate) mod admin;
pub(crate) mod disk;
pub(crate) mod ledger;
pub(crate) mod modern;
pub(crate) mod tls;
pub(crate) mod values;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use messageu_wire::dialect::Dialect;
use messageu_wire::fields::{ClientId, Name, NameField, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::operation::{pull_messages, register, send_message};
use messageu_wire::operations::{Operation, Request, Response};
use messageu_wire::response::{Event, ResponseReader};

/// A server process; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens, in the order in which it says so: that of `--listen`, and then that of `--admin`.
    pub(crate) addresses: Vec<SocketAddr>,
    /// What it says that it is known by, if it serves version 3.
    pub(crate) pin: Option<String>,
}

impl Server {
    /// Starts a server over a data directory, and waits until each listener is ready.
    pub(crate) fn start(data: &Path, listen: &[&str], more: &[&str]) -> Self {
        Self::start_with(data, listen, more, &[])
    }

    /// The same, with some variables in its environment.
    pub(crate) fn start_with(
        data: &Path,
        listen: &[&str],
        more: &[&str],
        environment: &[(&str, &OsStr)],
    ) -> Self {
        let mut server = Self::spawn(data, listen, more, environment);
        let mut lines = BufReader::new(server.child.stdout.take().unwrap()).lines();
        let ready = listen.len() + usize::from(more.contains(&"--admin"));
        server.addresses = (0..ready)
            .map(|_| lines.next().expect("the server stopped early").unwrap())
            .map(|line| line.split_once(' ').unwrap().1.parse().unwrap())
            .collect();
        let classic =
            |listen: &&str| ["only=classic", "family=", "profile="].iter().any(|pin| listen.contains(pin));
        if !listen.iter().all(classic) {
            let line = lines.next().expect("the server stopped early").unwrap();
            server.pin = Some(line.strip_prefix("pin ").unwrap().to_owned());
        }
        server
    }

    /// Starts a server, and waits for nothing.
    pub(crate) fn spawn(data: &Path, listen: &[&str], more: &[&str], environment: &[(&str, &OsStr)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_messageu-server"));
        command.arg("--data").arg(data).args(more).stdout(Stdio::piped()).stdin(Stdio::null());
        command.envs(environment.iter().copied());
        if !more.contains(&"--log") {
            command.args(["--log", "warn"]);
        }
        for address in listen {
            command.args(["--listen", address]);
        }
        Self { child: command.spawn().unwrap(), addresses: Vec::new(), pin: None }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.id().to_string()]).status().unwrap().success());
    }

    /// Kills it as a crash would, and waits for its end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Response(Response),
    Refused,
}

/// Somebody who speaks a dialect.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) dialect: Dialect,
    pub(crate) id: ClientId,
}

impl Peer {
    /// Somebody new.
    pub(crate) fn register(address: SocketAddr, dialect: Dialect, name: &str) -> Self {
        let mut peer = Self { address, dialect, id: ClientId::NOBODY };
        if dialect.profile.name == "size-before-type" {
            // What tells this program from others before its first send.
            for (to, from) in peer.id.0.iter_mut().zip(name.bytes()) {
                *to = from;
            }
        }
        let name = NameField::from(&Name::new(name).unwrap());
        let request = Request::Register(register::Request { name, public_key: PublicKey([7; 160]) });
        match peer.ask(&request, &[]) {
            Answer::Response(Response::Register(response)) => Self { id: response.client_id, ..peer },
            other => panic!("{dialect}: {other:?}"),
        }
    }

    /// The bytes of a request.
    pub(crate) fn request(&self, request: &Request, content: &[u8]) -> Vec<u8> {
        let mut bytes = self.dialect.encode_request(self.version(), self.id, request).unwrap();
        bytes.extend_from_slice(content);
        let tail = self.dialect.request_tail(request.operation(), bytes.len() as u64);
        bytes.resize(bytes.len() + tail, 0);
        bytes
    }

    fn version(&self) -> u8 {
        // `ascii` shows by its version 1, and plain B by another than the 2 that closes.
        if ["ascii", "classic"].contains(&self.dialect.profile.name) { 1 } else { 2 }
    }

    /// A connection to the server.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// A request on a connection of its own.
    pub(crate) fn ask(&self, request: &Request, content: &[u8]) -> Answer {
        self.ask_on(&mut self.connect(), request, content)
    }

    /// A request on a connection.
    pub(crate) fn ask_on(&self, stream: &mut TcpStream, request: &Request, content: &[u8]) -> Answer {
        stream.write_all(&self.request(request, content)).unwrap();
        read_answer(stream, self.dialect, request.operation()).0
    }

    /// Sends a message, and gives the receipt.
    pub(crate) fn send(&self, to: ClientId, kind: MessageType, content: &[u8]) -> Answer {
        let size = content.len().try_into().unwrap();
        self.ask(&Request::SendMessage(send_message::Request { to, kind, size }), content)
    }

    /// What waits, as pairs of sender and content.
    pub(crate) fn pull(&self) -> Vec<(ClientId, Vec<u8>)> {
        match self.ask(&PULL, &[]) {
            Answer::Response(Response::PullMessages(response)) => {
                response.messages.into_iter().map(|message| (message.from, message.content)).collect()
            }
            other => panic!("{}: {other:?}", self.dialect),
        }
    }
}

/// Asks for what waits.
pub(crate) const PULL: Request = Request::PullMessages(pull_messages::Request);

/// Reads an answer, and gives it with its bytes.
pub(crate) fn read_answer(
    stream: &mut TcpStream,
    dialect: Dialect,
    operation: Operation,
) -> (Answer, Vec<u8>) {
    let mut incoming = Incoming::new(dialect, operation);
    let mut all = Vec::new();
    let mut buffer = [0; 65_536];
    let answer = loop {
        let read = match stream.read(&mut buffer) {
            // A signal that was for somebody else.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.unwrap(),
        };
        assert!(read > 0, "{dialect}: closed after {} bytes of {operation}", all.len());
        all.extend_from_slice(&buffer[..read]);
        if let Some(answer) = incoming.push(&buffer[..read]) {
            break answer;
        }
    };
    let tail = dialect.response_tail(all.len() as u64);
    let mut padding = vec![0; tail];
    stream.read_exact(&mut padding).unwrap();
    all.append(&mut padding);
    (answer, all)
}

/// An answer in the course of coming in.
pub(crate) struct Incoming {
    reader: ResponseReader,
    messages: Vec<pull_messages::Message>,
    /// How many of the messages have come to their last byte.
    whole: usize,
}

impl Incoming {
    pub(crate) fn new(dialect: Dialect, operation: Operation) -> Self {
        Self { reader: ResponseReader::new(dialect, operation), messages: Vec::new(), whole: 0 }
    }

    /// Takes what has come, and gives the answer when that was the last of it.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<Answer> {
        self.reader.push(bytes);
        loop {
            match self.reader.poll().unwrap() {
                Event::More => return None,
                Event::Refused(_) => return Some(Answer::Refused),
                Event::Response(response) => return Some(Answer::Response(response)),
                Event::Entry(pull_messages::EntryHead { from, message_id, kind, .. }) => {
                    let content = Vec::new();
                    self.messages.push(pull_messages::Message { from, message_id, kind, content });
                }
                Event::Content(piece) => self.messages.last_mut().unwrap().content.extend_from_slice(&piece),
                Event::EndOfContent => self.whole += 1,
                Event::End => {
                    let messages = std::mem::take(&mut self.messages);
                    return Some(Answer::Response(pull_messages::Response { messages }.into()));
                }
            }
        }
    }

    /// Of a pull that was cut: the messages that came whole.
    pub(crate) fn whole_messages(mut self) -> Vec<pull_messages::Message> {
        self.messages.truncate(self.whole);
        self.messages
    }
}

/// Everybody that a peer sees, as pairs of name and id.
impl Peer {
    pub(crate) fn roster(&self) -> Vec<(String, ClientId)> {
        match self.ask(&Request::ListClients(messageu_wire::operation::list_clients::Request), &[]) {
            Answer::Response(Response::ListClients(response)) => {
                response.clients.into_iter().map(|entry| (entry.name.to_text(), entry.client_id)).collect()
            }
            other => panic!("{}: {other:?}", self.dialect),
        }
    }

    /// The id of somebody, as this peer sees it.
    pub(crate) fn id_of(&self, name: &str) -> ClientId {
        let roster = self.roster();
        roster
            .iter()
            .find(|(other, _)| other == name)
            .unwrap_or_else(|| panic!("{name} is not in {roster:?}"))
            .1
    }
}

/// Kilobytes of resident memory that a process had at most.
pub(crate) fn peak_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Waits for something that is sure to come, however slow the machine.
pub(crate) fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < Duration::from_secs(120), "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A number that the environment may set.
pub(crate) fn setting(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, where a whole number belongs"))
    })
}

/// Says that a test needs what is not here, past the capture of what tests print. Where MESSAGEU_REQUIRE_FAULTS is set,
/// as in CI, that is a failure.
pub(crate) fn cannot_run_here(why: &str) {
    assert!(std::env::var_os("MESSAGEU_REQUIRE_FAULTS").is_none(), "cannot run here: {why}");
    let notice = format!("\n!!! A TEST OF FAULTS WAS NOT RUN: {why}\n");
    std::io::stderr().write_all(notice.as_bytes()).unwrap();
}

/// Rows that something delivered, or half stored, would have left behind.
pub(crate) fn rows(data: &Path) -> u64 {
    let database = rusqlite::Connection::open(data.join("messageu.db")).unwrap();
    let count = "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM uploads) + (SELECT count(*) FROM chunks)";
    database.query_one(count, [], |row| row.get(0)).unwrap()
}
