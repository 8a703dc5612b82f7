//! The program as its users run it, the real server beside it, and a fake one that does what it is told.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use messageu_wire::dialect::{Dialect, Family, Pin};
use messageu_wire::fields::ClientId;
use messageu_wire::frame::{Event, Received, RequestReader};
use messageu_wire::operation::register;
use messageu_wire::operations::{Request, Response};

/// Runs of the program in one profile.
pub(crate) struct User {
    dir: tempfile::TempDir,
    server: String,
    dialect: &'static str,
    pub(crate) name: String,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl User {
    /// Somebody without an identity, who speaks the classic dialects.
    pub(crate) fn new(name: &str, server: impl ToString) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, server: server.to_string(), dialect: "auto", name: name.to_owned() }
    }

    /// Somebody without an identity, who speaks what the program does by itself.
    pub(crate) fn modern(name: &str, server: impl ToString) -> Self {
        Self { dialect: "", ..Self::new(name, server) }
    }

    /// Somebody who has registered with these options.
    pub(crate) fn registered(name: &str, server: impl ToString, options: &[&str]) -> Self {
        let user = Self::new(name, server);
        user.ok(&[options, &["register", name]].concat());
        user
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program with the profile and the server as environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_messageu"), arguments)
    }

    /// Any program with the same environment.
    pub(crate) fn command_of(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MESSAGEU_")) {
            command.env_remove(name);
        }
        command.env("MESSAGEU_PROFILE", self.dir.path()).args(arguments).stdin(Stdio::null());
        command.env("MESSAGEU_DIALECT", self.dialect);
        if !self.server.is_empty() {
            command.env("MESSAGEU_SERVER", &self.server);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().unwrap().into()
    }

    /// A run with this standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Run {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// The output of a run that must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{}: {arguments:?}: {run:?}", self.name);
        run.out
    }

    /// Shares a key: we ask, they answer.
    pub(crate) fn share_key(&self, other: &Self) {
        self.ok(&["request-key", &other.name]);
        other.ok(&["receive"]);
        other.ok(&["send-key", &self.name]);
        assert!(self.ok(&["receive"]).contains("symmetric key received"));
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// What the classic form of a message is.
pub(crate) fn shown(from: &str, content: &str) -> String {
    format!("From: {from}\nContent:\n{content}\n-----<EOM>-----\n")
}

/// A server process; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

impl Server {
    /// Starts the real server over a data directory.
    pub(crate) fn start(data: &Path, listen: &str) -> Self {
        let mut command = Command::new(server_program());
        command.arg("--data").arg(data).args(["--listen", listen, "--log", "warn"]).current_dir(data);
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("ready ").expect(&line).to_owned();
        Self { child, address }
    }
}

/// The pin of the server over this data directory, as its program shows it.
pub(crate) fn server_pin(data: &Path) -> String {
    let output =
        Command::new(server_program()).arg("pin").arg("--data").arg(data).current_dir(data).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().find(|word| word.starts_with("sha256=")).expect(&text).to_owned()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server beside our own program. `cargo test --workspace` builds both; for this package alone it is built here.
pub(crate) fn server_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let directory = Path::new(env!("CARGO_BIN_EXE_messageu")).parent().unwrap();
        let program = directory.join(format!("messageu-server{}", std::env::consts::EXE_SUFFIX));
        if !program.exists() {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--package", "messageu-server", "--target-dir"]);
            build.arg(directory.parent().unwrap());
            if directory.ends_with("release") {
                build.arg("--release");
            }
            assert!(build.status().unwrap().success());
        }
        program
    })
}

/// Waits for all of these, side by side, and gives what came of them in order.
pub(crate) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        if futures.iter().all(|(_, output)| output.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    futures.into_iter().map(|(_, output)| output.unwrap()).collect()
}

/// What a fake server does once it has a request.
pub(crate) enum Reply {
    /// Writes this, and waits for the client to close.
    Answer(Vec<u8>),
    /// Writes this, and closes.
    AnswerAndClose(Vec<u8>),
    /// Says nothing, for as long as the client stays.
    Silence,
}

/// A request as a fake server has seen it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) received: Received,
    /// How many bytes each read gave.
    pub(crate) reads: Vec<usize>,
    /// Whether the client reset the connection in place of closing it; known once it has.
    pub(crate) reset: Option<bool>,
}

/// A server that does what it is told.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    /// Answers each request with what `reply` makes of it.
    pub(crate) fn start(mut reply: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &mut reply, &log);
            }
        });
        Self { address, seen }
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How the client left the last connection, once it has.
    pub(crate) fn last_was_reset(&self) -> bool {
        for _ in 0..100 {
            if let Some(reset) = self.seen().last().and_then(|seen| seen.reset) {
                return reset;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the client has not left");
    }
}

fn serve(mut stream: TcpStream, reply: &mut dyn FnMut(&Received) -> Reply, log: &Mutex<Vec<Seen>>) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reader = RequestReader::new(Pin::default(), u32::MAX);
    let (mut buffer, mut reads, mut request) = (vec![0; 1 << 20], Vec::new(), None);
    let received = loop {
        match reader.poll(None, !reads.is_empty()) {
            Ok(Event::Request(received)) if matches!(received.request, Request::SendMessage(_)) => {
                request = Some(*received);
            }
            Ok(Event::Request(received)) => break *received,
            Ok(Event::EndOfContent) => break request.unwrap(),
            Ok(Event::Content(_)) => {}
            // A dialect that this one does not know: it closes, as many do.
            Err(_) => return,
            Ok(Event::More | Event::Undecided) => match stream.read(&mut buffer) {
                Ok(count) if count > 0 => {
                    reads.push(count);
                    reader.push(&buffer[..count]);
                }
                _ => return,
            },
        }
    };
    let place = {
        let mut log = log.lock().unwrap();
        log.push(Seen { received: received.clone(), reads, reset: None });
        log.len() - 1
    };
    let answer = match reply(&received) {
        Reply::Answer(answer) => answer,
        Reply::Silence => Vec::new(),
        Reply::AnswerAndClose(answer) => {
            stream.write_all(&answer).unwrap();
            return;
        }
    };
    let _ = stream.write_all(&answer);
    let reset = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break false,
            Ok(_) => {}
            Err(_) => break true,
        }
    };
    log.lock().unwrap()[place].reset = Some(reset);
}

/// The dialect of most fake servers.
pub(crate) fn family_d() -> Dialect {
    Dialect::classic(Family::D)
}

/// The id that fake servers give.
pub(crate) const ME: ClientId = ClientId(*b"0123456789abcdef");

/// A whole answer, as it should be.
pub(crate) fn answer(dialect: Dialect, response: impl Into<Response>) -> Vec<u8> {
    dialect.encode_response(&response.into(), ME).unwrap()
}

/// A whole answer to a registration.
pub(crate) fn registered(dialect: Dialect) -> Reply {
    Reply::Answer(answer(dialect, register::Response { client_id: ME }))
}

/// A refusal.
pub(crate) fn refusal(dialect: Dialect) -> Reply {
    Reply::Answer(dialect.encode_refusal(ME))
}
