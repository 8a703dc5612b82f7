//! Standard output as text or as NDJSON, and standard error for everything else.

use std::io::{self, IsTerminal, Write};

use messageu_client::{Error, ErrorKind, Result};
use messageu_envelope::legacy::LEGACY_BANNER;
use serde_json::{Value, json};

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// Where results, notes and errors go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) format: Format,
}

impl Output {
    /// Writes a result, in the form that is asked for.
    pub(crate) fn result(self, text: &str, object: &Value) -> Result<()> {
        match self.format {
            Format::Text => print(text),
            Format::Json => print(&object.to_string()),
        }
    }

    /// Says something by the way, to people only.
    pub(crate) fn note(self, text: &str) {
        if self.format == Format::Text {
            complain(text);
        }
    }

    /// Says, where somebody is looking, what conversations in the classic dialects are.
    pub(crate) fn legacy_banner(self) {
        if io::stderr().is_terminal() {
            self.note(&format!("note: in the classic dialects all is {LEGACY_BANNER}"));
        }
    }

    /// Says what went wrong, and what to do about it.
    pub(crate) fn error(self, error: &Error) {
        let kind = error.kind();
        match (self.format, kind) {
            (_, ErrorKind::Closed) => {}
            (Format::Text, _) => {
                complain(&format!("error: {error}"));
                if let Some(hint) = error.hint_text() {
                    complain(&format!("hint: {hint}"));
                }
            }
            (Format::Json, _) => {
                let object = json!({
                    "event": "error",
                    "kind": kind.name(),
                    "message": error.to_string(),
                    "hint": error.hint_text(),
                    "exit_code": kind.exit_code(),
                });
                complain(&object.to_string());
            }
        }
    }
}

/// Writes a line, or several, to standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| output_error(&error))
}

/// Why standard output takes nothing.
pub(crate) fn output_error(error: &io::Error) -> Error {
    let kind = if error.kind() == io::ErrorKind::BrokenPipe { ErrorKind::Closed } else { ErrorKind::File };
    Error::new(kind, format!("cannot write to standard output: {error}"))
}

fn complain(text: &str) {
    // Where standard error is gone, there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
