//! The program under test, at the other end of two pipes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::Question;
use super::fields::unhex;

/// Most bytes of a line that are taken.
const LINE_LIMIT: u64 = 4 << 20;

/// What a driver answers.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Reply {
    Bytes(Vec<u8>),
    Fields(Value),
    Rejected,
    Refused,
    Unsupported,
    Nonsense(String),
}

impl Reply {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Self::Fields(_) => "fields".to_owned(),
            Self::Rejected => "rejected".to_owned(),
            Self::Refused => "refused".to_owned(),
            Self::Unsupported => "unsupported".to_owned(),
            Self::Nonsense(line) => format!("{line:?}, which is no answer"),
        }
    }
}

/// A driver that runs; it is stopped when this is dropped.
#[derive(Debug)]
pub(super) struct Driver {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    patience: Duration,
}

impl Driver {
    pub(super) fn start(program: &Path, arguments: &[String], patience: Duration) -> Result<Self, String> {
        let cannot = |why: String| format!("the driver {} cannot be started: {why}", program.display());
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| cannot(error.to_string()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(cannot("it has no pipes".to_owned()));
        };
        let (sender, lines) = sync_channel(4);
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            loop {
                let mut line = Vec::new();
                match output.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line) {
                    Ok(size) if size > 0 => {}
                    _ => return,
                }
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, input, lines, patience })
    }

    /// Puts a question, and waits for its answer.
    pub(super) fn ask(&mut self, id: usize, question: &Question) -> Result<Reply, String> {
        let mut line = question.asked.clone();
        if let Some(object) = line.as_object_mut() {
            object.insert("id".to_owned(), json!(id));
        }
        writeln!(self.input, "{line}")
            .map_err(|error| format!("the driver takes no more questions: {error}"))?;
        match self.lines.recv_timeout(self.patience) {
            Ok(line) => Ok(read(id, &line)),
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("the driver did not answer within {} s: {line}", self.patience.as_secs()))
            }
            Err(RecvTimeoutError::Disconnected) => Err("the driver has stopped".to_owned()),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(id: usize, line: &str) -> Reply {
    let nonsense = || Reply::Nonsense(line.trim_end().chars().take(200).collect());
    let Ok(reply) = serde_json::from_str::<Value>(line) else { return nonsense() };
    if reply.get("id") != Some(&json!(id)) {
        return nonsense();
    }
    let says = |word: &str| reply.get(word) == Some(&Value::Bool(true));
    if says("unsupported") {
        Reply::Unsupported
    } else if says("rejected") {
        Reply::Rejected
    } else if says("refused") {
        Reply::Refused
    } else if let Some(fields) = reply.get("fields") {
        Reply::Fields(fields.clone())
    } else if let Some(bytes) = reply.get("bytes").and_then(Value::as_str).and_then(unhex) {
        Reply::Bytes(bytes)
    } else {
        nonsense()
    }
}
