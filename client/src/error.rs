//! What can go wrong, in kinds that scripts can tell apart, each with a hint of what to do about it.

use std::fmt;
use std::io;
use std::path::Path;

use messageu_wire::error::WireError;

/// The kinds of errors: one row a kind, from which the exit codes, the names in JSON and the help text come.
macro_rules! kinds {
    ($($kind:ident $code:literal $name:literal $meaning:literal;)*) => {
        /// The kind of an error.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum ErrorKind {
            $(#[doc = $meaning] $kind,)*
        }

        impl ErrorKind {
            /// All of them, by exit code.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The exit code of the program that fails with this.
            #[must_use]
            pub const fn exit_code(self) -> u8 {
                match self { $(Self::$kind => $code,)* }
            }

            /// The name that JSON output has for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// What it means, in a few words.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$kind => $meaning,)* }
            }
        }
    };
}

kinds! {
    Other         1 "other"           "anything else";
    Usage         2 "usage"           "the command or one of its arguments is wrong";
    Unreachable   3 "unreachable"     "the server cannot be reached";
    NoAnswer      3 "no_answer"       "the server was reached, but gave no whole answer in time";
    Refused       4 "refused"         "the server refused (9000)";
    Profile       5 "profile"         "no identity here, or a profile that cannot be used";
    Busy          5 "busy"            "another messageu is using the profile";
    Peer          6 "peer"            "no such user, or no key shared with them";
    Data          7 "data"            "what came is not what the protocol or the key calls for";
    WrongServer   7 "wrong_server"    "the server is not the one that its address or its certificate names";
    File          8 "file"            "a file cannot be read or written";
    Interrupted 130 "interrupted"     "stopped by Ctrl-C or SIGTERM";
    Closed      141 "closed"          "nobody reads the output any more";
}

/// An error: its kind, what happened, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

/// What all calls of this library return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error without a hint.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// A local file or directory that failed us.
    #[must_use]
    pub fn file(what: &str, path: &Path, error: &io::Error) -> Self {
        let reason = error.to_string();
        // What follows is the random name that a temporary file would have had.
        let reason = reason.split(" at path ").next().unwrap_or_default();
        let failed = Self::new(ErrorKind::File, format!("cannot {what} {}: {reason}", path.display()));
        match error.kind() {
            io::ErrorKind::NotFound => failed.hint("is the path right, and does its directory exist?"),
            io::ErrorKind::PermissionDenied => {
                failed.hint("its permissions, or those of its directory, forbid it")
            }
            io::ErrorKind::ReadOnlyFilesystem => failed.hint("choose another place: this one is read-only"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                failed.hint("make room on that disk and try again")
            }
            io::ErrorKind::FileTooLarge => {
                failed.hint("choose another place: this one does not take files so large")
            }
            _ => failed,
        }
    }

    /// The same as trouble with the profile.
    #[must_use]
    pub(crate) fn of_profile(self) -> Self {
        Self { kind: ErrorKind::Profile, ..self }.or_hint("--profile DIR chooses another directory")
    }

    /// This error with a hint of what to do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// This error with a hint, unless it has one.
    #[must_use]
    pub fn or_hint(self, hint: impl Into<String>) -> Self {
        if self.hint.is_some() { self } else { self.hint(hint) }
    }

    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do about it, if there is something.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        Self::new(ErrorKind::Data, format!("the server's answer cannot be read: {error}"))
            .hint("the server may speak another dialect: try --dialect (`messageu dialects` lists them)")
    }
}

/// Local files' errors, named by what was to be done.
pub(crate) trait FileResult<T> {
    /// Says what could not be done to which file.
    fn at(self, what: &str, path: &Path) -> Result<T>;
}

impl<T> FileResult<T> for io::Result<T> {
    fn at(self, what: &str, path: &Path) -> Result<T> {
        self.map_err(|error| Error::file(what, path, &error))
    }
}
