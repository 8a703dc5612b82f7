//! Lines from the user: edited and remembered on a terminal, plain otherwise.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use messageu_client::{Error, ErrorKind, Result};
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use rustyline::DefaultEditor;
use rustyline::error::{ReadlineError, Signal};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::output::print;

/// A line, or why there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Line {
    Text(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the end of the input.
    End,
}

/// Where lines come from.
pub(crate) enum Input {
    Terminal(Option<Box<DefaultEditor>>, #[expect(dead_code, reason = "it acts when it is dropped")] Restore),
    Plain,
}

/// Gives the terminal back as it was: a line editor that a signal interrupts leaves it as it needs it.
pub(crate) struct Restore(Option<Termios>);

impl Restore {
    fn new() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        // In the background the terminal is somebody else's, and to touch it would stop us. Where it controls nobody, there
        // is no background.
        let is_ours = tcgetpgrp(io::stdin()).map_or(true, |foreground| foreground == getpgrp());
        if let (Some(was), true) = (&self.0, is_ours) {
            // There is nobody to tell if the terminal has gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, was);
        }
    }
}

impl Input {
    pub(crate) fn new() -> Self {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Self::Plain;
        }
        let restore = Restore::new();
        DefaultEditor::new().map_or(Self::Plain, |editor| Self::Terminal(Some(Box::new(editor)), restore))
    }

    /// Whether no thread can be waiting for a line.
    pub(crate) const fn is_free(&self) -> bool {
        matches!(self, Self::Terminal(Some(_), _))
    }

    /// Asks for a line. It is read on a thread of its own, so that signals are noticed meanwhile.
    pub(crate) async fn line(&mut self, prompt: &str) -> Result<Line> {
        let Self::Terminal(place, _) = self else {
            print(prompt.trim_end())?;
            return spawn_blocking(plain_line).await.map_err(|_| no_input("the reader failed"))?;
        };
        let mut editor = place.take().ok_or_else(|| no_input("the editor is in use"))?;
        let prompt = prompt.to_owned();
        let edited = spawn_blocking(move || (editor.readline(&prompt), editor)).await;
        let (line, mut editor) = edited.map_err(|_| no_input("the editor failed"))?;
        let line = match line {
            Ok(line) => {
                // A history that does not remember is no reason to stop.
                let _ = editor.add_history_entry(&line);
                Ok(Line::Text(line))
            }
            Err(ReadlineError::Interrupted | ReadlineError::Signal(Signal::Interrupt)) => {
                Ok(Line::Interrupted)
            }
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(no_input(&error.to_string())),
        };
        *place = Some(editor);
        line
    }
}

/// All of standard input, `most` bytes and one more at most.
pub(crate) async fn whole_input(most: u64) -> Result<String> {
    let read = move || {
        let mut bytes = Vec::new();
        io::stdin().lock().take(most + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = spawn_blocking(read).await.map_err(|_| no_input("the reader failed"))?;
    let bytes = bytes.map_err(|error| no_input(&error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| {
        Error::new(ErrorKind::Usage, "the text on standard input is not UTF-8").hint("send it as a file")
    })
}

/// Asks for a line on the terminal that is not shown while it is typed.
pub(crate) async fn secret_line(prompt: &str) -> Result<Zeroizing<String>> {
    let _restore = Restore::new();
    let mut silent = tcgetattr(io::stdin()).map_err(|error| no_input(&error.to_string()))?;
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    complain_without_end(prompt);
    tcsetattr(io::stdin(), OptionalActions::Flush, &silent).map_err(|error| no_input(&error.to_string()))?;
    let line = spawn_blocking(plain_line).await.map_err(|_| no_input("the reader failed"))??;
    match line {
        Line::Text(text) => Ok(Zeroizing::new(text)),
        Line::Interrupted | Line::End => Err(Error::new(ErrorKind::Interrupted, "interrupted")),
    }
}

/// Shows a question where an answer does not end up.
fn complain_without_end(prompt: &str) {
    let mut stderr = io::stderr().lock();
    // Where standard error is gone, there is nobody to ask.
    let _ = write!(stderr, "{prompt}").and_then(|()| stderr.flush());
}

fn plain_line() -> Result<Line> {
    let mut bytes = Vec::new();
    let count = io::stdin().lock().read_until(b'\n', &mut bytes);
    match count.map_err(|error| no_input(&error.to_string()))? {
        0 => Ok(Line::End),
        _ => Ok(Line::Text(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())),
    }
}

fn no_input(why: &str) -> Error {
    Error::new(ErrorKind::File, format!("cannot read standard input: {why}"))
}
