//! The command line. Names and help of what users do come from the table of actions.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use messageu_client::action::Action;
use messageu_client::{Address, Error, ErrorKind, Options, Profile};
use messageu_envelope::legacy::{LEGACY_BANNER, LegacyIv};
use messageu_wire::dialect::Dialect;

use crate::ui::modern::Choices;
use crate::ui::output::Format;

/// An end-to-end encrypted messenger: for MessageU servers of version 3, and for the classic ones.
///
/// Begin with `messageu --server HOST:PORT#sha256=PIN register NAME`; `messageu-server pin` shows the pin. Then `send` and
/// `receive`, and `verify` whom you write to.
///
/// In a classic dialect (`--dialect auto register NAME`) two users share a key (one runs `request-key`, the other `receive`
/// and `send-key`, the first `receive`) before they can send texts and files.
#[derive(Parser, Debug)]
#[command(name = "messageu", version, after_help = exit_codes(), after_long_help = after_long_help(), max_term_width = 110)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl CommandLine {
    /// Reads the command line and the environment, in which an empty variable counts as none.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        let command = Self::command().mut_args(|argument| match argument.get_env() {
            Some(name) if is_empty(name) => argument.env(Resettable::Reset),
            _ => argument,
        });
        Self::from_arg_matches(&command.try_get_matches()?)
    }
}

/// The form that was asked for on a command line that is wrong.
pub(crate) fn wanted_format() -> Format {
    let mut words = std::env::args_os().skip(1).take_while(|word| word != "--");
    let mut wanted = std::env::var_os("MESSAGEU_OUTPUT");
    while let Some(word) = words.next() {
        if word == "--output" {
            wanted = words.next();
        } else if let Some(value) = word.to_str().and_then(|word| word.strip_prefix("--output=")) {
            wanted = Some(value.into());
        }
    }
    if wanted.is_some_and(|wanted| wanted == "json") { Format::Json } else { Format::Text }
}

/// What holds for every command.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// The server [default: the one in the profile's file info.server or server.info]
    #[arg(long, global = true, env = "MESSAGEU_SERVER", value_name = "HOST:PORT")]
    server: Option<ServerChoice>,
    /// The directory with your identity and keys; each identity needs its own
    #[arg(long, global = true, env = "MESSAGEU_PROFILE", value_name = "DIR", default_value = ".")]
    profile: PathBuf,
    /// What to speak: 3, or a classic dialect: `auto` finds out which; `messageu dialects` lists them [default: 3 for a new
    /// identity, else what it was registered in]
    #[arg(long, global = true, env = "MESSAGEU_DIALECT", value_name = "NAME")]
    dialect: Option<DialectChoice>,
    /// The version to try first: 1 or 2 [default: what the server is known to take, else 2]
    #[arg(long, global = true, env = "MESSAGEU_PROTOCOL_VERSION", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=2))]
    protocol_version: Option<u8>,
    /// Where the IV of a content is; remembered for a user when given with request-key or send-key
    #[arg(long, global = true, env = "MESSAGEU_IV", value_enum, default_value_t = IvChoice::Auto)]
    iv: IvChoice,
    /// How long the server may take to connect, and then be silent: 500ms, 10s, 2m
    #[arg(long, global = true, env = "MESSAGEU_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// The directory for received files [default: downloads, in the profile]
    #[arg(long, global = true, env = "MESSAGEU_DOWNLOADS", value_name = "DIR")]
    downloads: Option<PathBuf>,
    /// Answer every request for a symmetric key at once, without asking you
    #[arg(long, global = true, env = "MESSAGEU_AUTO_KEYS", value_parser = clap::builder::FalseyValueParser::new())]
    auto_keys: bool,
    /// The file with the passphrase of the profile, in its first line [default: the variable MESSAGEU_PASSPHRASE, or you are
    /// asked]
    #[arg(long, global = true, env = "MESSAGEU_PASSPHRASE_FILE", value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Keep nothing of what is sent and received now in the history
    #[arg(long, global = true, env = "MESSAGEU_EPHEMERAL", value_parser = clap::builder::FalseyValueParser::new())]
    ephemeral: bool,
    /// Tell nobody that their messages have come (version 3)
    #[arg(long, global = true, env = "MESSAGEU_NO_RECEIPTS", value_parser = clap::builder::FalseyValueParser::new())]
    no_receipts: bool,
    /// How results are written: for people, or as one JSON object a line
    #[arg(long, global = true, env = "MESSAGEU_OUTPUT", value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// The classic console menu
    Menu,
    #[command(name = Action::Register.name(), about = Action::Register.help())]
    Register {
        /// 1 to 254 printable ASCII characters; some servers want letters and digits alone
        name: String,
        /// Your phone number, where the server sends a code to it: +, country, number
        #[arg(long, value_name = "NUMBER")]
        phone: Option<String>,
        /// The code that has come
        #[arg(long, value_name = "DIGITS")]
        code: Option<String>,
    },
    #[command(name = Action::List.name(), about = Action::List.help())]
    List,
    #[command(name = Action::PublicKey.name(), about = Action::PublicKey.help())]
    PublicKey {
        /// Whose: a name, or an id of 32 hexadecimal digits
        name: String,
    },
    #[command(name = Action::RequestKey.name(), about = Action::RequestKey.help())]
    RequestKey {
        /// Whom: a name, or an id of 32 hexadecimal digits
        name: String,
        /// Let the key that comes replace the one you share already
        #[arg(long)]
        replace: bool,
    },
    #[command(name = Action::SendKey.name(), about = Action::SendKey.help())]
    SendKey {
        /// To whom: a name, or an id of 32 hexadecimal digits
        name: String,
        /// Send a new key in place of the one you share already
        #[arg(long)]
        replace: bool,
    },
    #[command(name = Action::SendText.name(), about = Action::SendText.help())]
    Send {
        /// To whom: a name, or an id of 32 hexadecimal digits
        name: String,
        /// The text; `-`, or none, reads it from standard input
        #[arg(allow_negative_numbers = true)]
        text: Option<String>,
    },
    #[command(name = Action::SendFile.name(), about = Action::SendFile.help())]
    SendFile {
        /// To whom: a name, or an id of 32 hexadecimal digits
        name: String,
        /// The file
        path: PathBuf,
    },
    #[command(name = Action::Receive.name(), about = Action::Receive.help())]
    Receive {
        /// Go on until Ctrl-C
        #[arg(long, conflicts_with = "wait")]
        follow: bool,
        /// Wait until something has come, at most this long: 500ms, 10s, 2m
        #[arg(long, value_name = "TIME", value_parser = duration)]
        wait: Option<Duration>,
        /// Show this many messages and no more; with --wait, wait for as many
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        count: Option<u32>,
    },
    /// Show what stays in the inbox: messages that do not open, or files for which there was no room
    Inbox,
    /// Give up what stays in the inbox from a user, unseen
    Discard {
        /// From whom: a name, or an id of 32 hexadecimal digits
        name: String,
        /// Yes, do it
        #[arg(long)]
        yes: bool,
    },
    /// End your account at the server, with all that waits for you (in dialect d/big-endian)
    DeleteAccount {
        /// Yes, do it
        #[arg(long)]
        yes: bool,
    },
    /// List whom you know, and how sure it is who they are (version 3)
    Contacts,
    /// Show the safety number that you share with a user, or note that you have compared it (version 3)
    Verify {
        /// With whom: a name, an id, or a code that begins with mu3:
        name: String,
        /// Their code, as scanned from their screen: it has to be that of their identity
        #[arg(long, value_name = "CODE", conflicts_with = "confirm")]
        scanned: Option<String>,
        /// The number is the same on their side: they are who they say
        #[arg(long)]
        confirm: bool,
    },
    /// Take a user as who they are: unblock them, answer their request, accept their changed identity (version 3)
    Approve {
        /// Whom: a name, or an id of 32 hexadecimal digits
        name: String,
    },
    /// Hear nothing more of a user (version 3)
    Block {
        /// Whom: a name, or an id of 32 hexadecimal digits
        name: String,
    },
    /// Show what was said with a user (version 3)
    History {
        /// With whom: a name, or an id of 32 hexadecimal digits
        name: String,
        /// Only the last messages, this many
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        count: Option<u32>,
    },
    /// Replace your identity by a new one, which the old one signs (version 3)
    RotateIdentity {
        /// Yes, do it
        #[arg(long)]
        yes: bool,
    },
    /// End your account at the server, and erase its keys and history here (version 3)
    EraseAccount {
        /// Yes, do it
        #[arg(long)]
        yes: bool,
    },
    /// Write a copy of your account to a file, under a passphrase (version 3)
    Export {
        /// The file, which must not exist
        file: PathBuf,
    },
    /// Make the profile of a copy of an account (version 3)
    Import {
        /// What `export` wrote
        file: PathBuf,
    },
    /// Change the passphrase of this profile (version 3)
    #[command(
        after_help = "The one that it has now comes from where it always does: --passphrase-file, MESSAGEU_PASSPHRASE, or \
                            you are asked."
    )]
    Passphrase {
        /// The file with the new one, in its first line [default: you are asked]
        #[arg(long, value_name = "FILE")]
        to_file: Option<PathBuf>,
        /// From now on there is none
        #[arg(long, conflicts_with = "to_file")]
        none: bool,
    },
    /// Test a server: every operation, by two throw-away users (whose accounts stay in dialects that cannot delete them)
    #[command(
        after_help = "In version 3 if the server's address has a pin or with --dialect 3, else in the classic dialect that \
                            the server is found to speak."
    )]
    Test {
        /// Test in every classic dialect that a server can tell apart on one port; with a pin, in version 3 too
        #[arg(long)]
        all_dialects: bool,
    },
    /// List the dialects
    Dialects,
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

impl Global {
    pub(crate) fn profile(&self) -> Profile {
        Profile::at(&self.profile)
    }

    /// What was said to speak.
    pub(crate) fn dialect(&self) -> Option<DialectChoice> {
        self.dialect
    }

    /// What version 3 alone is told.
    pub(crate) fn choices(&self) -> Choices {
        Choices {
            passphrase_file: self.passphrase_file.clone(),
            is_ephemeral: self.ephemeral,
            has_no_receipts: self.no_receipts,
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            server: self.server.clone().and_then(|server| server.0),
            dialect: self.dialect.and_then(DialectChoice::classic),
            version: self.protocol_version,
            iv: match self.iv {
                IvChoice::Auto => None,
                IvChoice::Zero => Some(LegacyIv::Zero),
                IvChoice::Prefixed => Some(LegacyIv::Prefixed),
            },
            timeout: self.timeout,
            downloads: self.downloads.clone(),
            auto_keys: self.auto_keys,
        }
    }
}

/// A server; an empty text is none, as an empty variable is none.
#[derive(Clone, Debug)]
struct ServerChoice(Option<Address>);

impl std::str::FromStr for ServerChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        // What is wrong with it says also how one is written.
        text.parse().map(|address| Self(Some(address))).map_err(|error: Error| match error.hint_text() {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        })
    }
}

/// What to speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DialectChoice {
    /// Version 3.
    Modern,
    /// Whichever classic dialect the server answers.
    Auto,
    /// This classic dialect.
    Classic(Dialect),
}

impl DialectChoice {
    fn classic(self) -> Option<Dialect> {
        match self {
            Self::Modern | Self::Auto => None,
            Self::Classic(dialect) => Some(dialect),
        }
    }
}

impl std::str::FromStr for DialectChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "3" || text.eq_ignore_ascii_case("v3") {
            return Ok(Self::Modern);
        }
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        let unknown = |error| format!("{error}; `messageu dialects` lists them");
        text.parse().map(Self::Classic).map_err(unknown)
    }
}

/// Where the IV is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum IvChoice {
    /// What is remembered, else where the dialect has it
    Auto,
    /// Not sent: it is zero
    Zero,
    /// In front of the content
    Prefixed,
}

/// Reads a time: a number with `ms`, `s`, `m` or `h`, or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(digits.len());
    let number: f64 = number.parse().map_err(|_| "write it as 500ms, 10s or 2m".to_owned())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" | "" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err("the units are ms, s, m and h".to_owned()),
    };
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "a time is more than nothing".to_owned())
}

fn exit_codes() -> String {
    let mut help = String::from("Exit codes:\n    0  all went well\n");
    for kind in ErrorKind::ALL {
        let _ = writeln!(help, "  {:>3}  {}: {}", kind.exit_code(), kind.name(), kind.meaning());
    }
    help.trim_end().to_owned()
}

fn after_long_help() -> String {
    format!(
        "{}\n\n\
         Results go to standard output, errors and notes to standard error. With --output json each is one object a \
         line, whose field `event` names it and says which others there are:\n  \
         registered: name, id, dialect, version, trust\n  \
         user (of list): name, id, trust\n  \
         public_key: name, id, public_key (X.509 DER in base64), trust\n  \
         key_requested, key_sent, text_sent, file_sent: to, to_id, message_id, trust\n  \
         of receive, all: from, from_id, message_id, type, trust\n    \
         key_request: answered, answer_error\n    \
         key: outcome (accepted, known, not_asked, kept_old, damaged)\n    \
         text: text\n    \
         file, long_text, unknown: path, size\n    \
         locked: reason (no_key, wrong_key)\n  \
         waiting (of inbox): from, from_id, message_id, type, size, why (new, locked, no_room)\n  \
         discarded: from, messages\n  \
         account_deleted: name\n  \
         step (of test): dialect, what, ok, why; summary: passed, failed\n  \
         dialect: name, family, profile, needs_pinned_listener\n  \
         error: kind (as above), message, hint, exit_code\n\n\
         In version 3 trust is verified, unverified, blocked or changed, and there are:\n  \
         registered: name, id, dialect, version, code, server\n  \
         contact (of contacts), verified, approved, blocked: name, id, trust, fingerprint\n  \
         safety_number: the same, safety_number, own_code\n  \
         text_sent, file_sent, key_requested: the same, to, to_id, message_id, delivery (sent, queued)\n  \
         of receive, all: the same, from, from_id, message_id, sent_ms\n    \
         text: text; file: path, size; file_lost: file_name; missing: messages\n    \
         new_contact, answered, offer, unreadable, other_keys; rotated: before; changed: to; unknown: type\n  \
         message (of history): the same, kind (as of receive, with its fields), ours, delivery (done, arrived, queued, failed)\n  \
         waiting (of inbox): the same, from, from_id, message_id, sent_ms, file_name, size, fetched, why (new, no_room); discarded: the same, from, messages\n  \
         identity_rotated: id, before, code; account_erased: name; exported: path; imported: name, id; passphrase_changed: protected\n\n\
         Conversations in the classic dialects are {LEGACY_BANNER}.",
        exit_codes()
    )
}
