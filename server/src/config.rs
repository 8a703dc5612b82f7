//! How the server is told what to do: flags, then environment variables, then a TOML file, then defaults.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use messageu_server::limits::Limits;
use messageu_server::modern::registration::{Channel, Codes, Pepper, Registration};
use messageu_server::store::modern::{MailLifetime, MailLimits};
use messageu_server::store::{QueueLimits, QueuePolicy};
use messageu_server::tls::CertificateSource;
use messageu_server::{ListenAddress, ListenAddressError, Serves};
use messageu_wire::dialect::Pin;
use messageu_wire::message::CONTENT_MAX;
use serde::{Deserialize, Serialize};

/// The port of most servers in the wild.
const DEFAULT_PORT: u16 = 1357;

/// The files that classic servers read their port from, in every spelling.
const PORT_FILES: [&str; 3] = ["info.myport", "myport.info", "port.info"];

/// Longest time that can be given: far beyond use, and far from overflowing a clock.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Bytes of the largest message of version 3.
const MAIL_MAX: u64 = 128 * 1024;

/// The database, where nothing else is said.
const DEFAULT_DB: &str = "messageu.db";

/// The MessageU server: it takes encrypted messages, keeps them until they have arrived, and cannot read them.
#[derive(Parser, Debug)]
#[command(name = "messageu-server", version, args_conflicts_with_subcommands = false, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    /// Read further options from this TOML file: the same names, with `-` as here.
    #[arg(long, env = "MESSAGEU_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// What flags and environment say, without the file.
    #[arg(skip)]
    given: Options,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const AFTER_HELP: &str = "Every option can also stand in the environment (MESSAGEU_…) and in the TOML file of --config. \
A flag goes before the environment, the environment before the file.\n\n\
When a listener is ready, one line is printed for it: ready ADDR:PORT; and one says what clients know the server by: pin \
sha256=…. SIGTERM or Ctrl-C lets what is in flight finish; \
a second one stops at once. SIGHUP takes the limits from the file again, reads the certificate of --tls-cert again, and opens the log file again, and SIGUSR1 only the \
latter; no connection is lost.";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Take over the clients and waiting messages of a classic server's database.
    Import {
        /// The classic server's database file; nothing in it is changed.
        path: PathBuf,
    },
    /// Copy the database, which a server may have open, into a file: checked, whole, and for its owner alone.
    Backup {
        /// The file.
        path: PathBuf,
        /// Replace the file if it is there already.
        #[arg(long)]
        overwrite: bool,
    },
    /// Put a backup in the place of the database, after checking it. No server may have that open.
    Restore {
        /// The backup.
        path: PathBuf,
        /// Replace the database that is there, with all that waits in it.
        #[arg(long)]
        overwrite: bool,
    },
    /// Check whether a backup is sound, and say what is in it. The exit code is 0 only then.
    VerifyBackup {
        /// The backup.
        path: PathBuf,
    },
    /// Print what clients know this server by: the SHA-256 of its public key.
    Pin,
    /// Print the script that completes this program's options in a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// What can be said by flag, by environment and by file.
#[derive(Args, Serialize, Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Options {
    /// Listen here; repeatable. Add ",only=modern" or ",only=classic" to serve nothing else there, ",family=F" or
    /// ",profile=NAME" to pin the classic dialects. Port 0 picks a free one.
    #[arg(
        long,
        help_heading = "Listening",
        env = "MESSAGEU_LISTEN",
        value_name = "ADDR:PORT[,OPTION]",
        value_delimiter = ' '
    )]
    listen: Option<Vec<String>>,
    /// Listen on this port of 127.0.0.1, if there is no --listen. [default: from info.myport, myport.info or
    /// port.info, else 1357]
    #[arg(long, help_heading = "Listening", env = "MESSAGEU_PORT", value_name = "N")]
    port: Option<u16>,
    /// Serve the classic dialects on addresses that are not loopback, knowing that they do not protect their users.
    #[arg(long, help_heading = "Listening", env = "MESSAGEU_LEGACY", num_args = 0..=1, default_missing_value = "true")]
    legacy: Option<bool>,
    /// Serve version 3 with this certificate, and those that vouch for it, in PEM. [default: one of the server's own, made at
    /// the first start and kept beside the database]
    #[arg(long, help_heading = "Listening", env = "MESSAGEU_TLS_CERT", value_name = "FILE", global = true)]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert, in PEM.
    #[arg(long, help_heading = "Listening", env = "MESSAGEU_TLS_KEY", value_name = "FILE", global = true)]
    tls_key: Option<PathBuf>,
    /// Answer over HTTP, for whoever runs the server: /metrics, /healthz, /readyz, and a page to look at.
    #[arg(long, help_heading = "Listening", env = "MESSAGEU_ADMIN", value_name = "ADDR:PORT")]
    admin: Option<SocketAddr>,
    /// Do so on an address that is not loopback too, where whoever reaches it sees how much is going on.
    #[arg(long, help_heading = "Listening", env = "MESSAGEU_INSECURE_ADMIN", num_args = 0..=1, default_missing_value = "true")]
    insecure_admin: Option<bool>,
    /// Answer so by this name too, beside addresses and localhost; repeatable. Any other may be that of a page in a browser
    /// that wants to read along.
    #[arg(
        long,
        help_heading = "Listening",
        env = "MESSAGEU_ADMIN_HOST",
        value_name = "NAME",
        value_delimiter = ' '
    )]
    admin_host: Option<Vec<String>>,
    /// The directory that files are in. [default: the working directory]
    #[arg(long, help_heading = "Files", env = "MESSAGEU_DATA", value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// The database: a file, or memory: for none. [default: messageu.db]
    #[arg(long, help_heading = "Files", env = "MESSAGEU_DB", value_name = "PATH-or-URL", global = true)]
    db: Option<String>,
    /// Connections at once. [default: 10000]
    #[arg(long, help_heading = "Limits", env = "MESSAGEU_MAX_CLIENTS", value_name = "N")]
    max_clients: Option<usize>,
    /// Connections at once from one address that is not loopback. [default: 64]
    #[arg(long, help_heading = "Limits", env = "MESSAGEU_MAX_CLIENTS_PER_IP", value_name = "N")]
    max_clients_per_ip: Option<usize>,
    /// Messages that may wait from one sender for one recipient. [default: 10000]
    #[arg(long, help_heading = "Limits", env = "MESSAGEU_QUEUE_LIMIT", value_name = "N")]
    queue_limit: Option<u64>,
    /// What happens to a message beyond --queue-limit. [default: reject]
    #[arg(long, help_heading = "Limits", env = "MESSAGEU_QUEUE_POLICY", value_name = "POLICY")]
    queue_policy: Option<Policy>,
    /// Bytes that may wait from one sender for one recipient. [default: 4294967296]
    #[arg(long, help_heading = "Limits", env = "MESSAGEU_QUEUE_BYTES", value_name = "BYTES")]
    queue_bytes: Option<u64>,
    /// Messages that may wait for one recipient, from all senders. [default: 40000]
    #[arg(long, help_heading = "Limits", env = "MESSAGEU_RECIPIENT_MESSAGES", value_name = "N")]
    recipient_messages: Option<u64>,
    /// Bytes that may wait for one recipient. [default: 17179869184]
    #[arg(long, help_heading = "Limits", env = "MESSAGEU_RECIPIENT_BYTES", value_name = "BYTES")]
    recipient_bytes: Option<u64>,
    /// Bytes of content that one message may have. [default: 4294967267]
    #[arg(long, help_heading = "Limits", env = "MESSAGEU_MAX_CONTENT", value_name = "BYTES")]
    max_content: Option<u32>,
    /// Who may register in version 3. [default: open]
    #[arg(long, help_heading = "Version 3", env = "MESSAGEU_REGISTRATION", value_name = "WHO")]
    registration: Option<WhoMayRegister>,
    /// How codes get to phone numbers: file:PATH, command:PROGRAM (which gets number and code on its standard input), or
    /// smtp://HOST[:PORT]/?from=ADDRESS&to={number}@GATEWAY.
    #[arg(long, help_heading = "Version 3", env = "MESSAGEU_CODE_CHANNEL", value_name = "CHANNEL")]
    code_channel: Option<String>,
    /// Messages of version 3 that may wait for one recipient, a quarter of them from one sender. [default: 10000]
    #[arg(long, help_heading = "Version 3", env = "MESSAGEU_MAIL_MESSAGES", value_name = "N")]
    mail_messages: Option<u64>,
    /// Bytes of them, a quarter from one sender. [default: 268435456]
    #[arg(long, help_heading = "Version 3", env = "MESSAGEU_MAIL_BYTES", value_name = "BYTES")]
    mail_bytes: Option<u64>,
    /// Bytes of messages that one sender of version 3 may send in an hour. [default: 67108864]
    #[arg(long, help_heading = "Version 3", env = "MESSAGEU_SENDER_BYTES", value_name = "BYTES")]
    sender_bytes: Option<u64>,
    /// Bytes of files that may wait for one recipient of version 3, a quarter from one sender. [default: 17179869184]
    #[arg(long, help_heading = "Version 3", env = "MESSAGEU_FILE_BYTES", value_name = "BYTES")]
    file_bytes: Option<u64>,
    /// Bytes of files that one sender of version 3 may send in an hour. [default: 4294967296]
    #[arg(long, help_heading = "Version 3", env = "MESSAGEU_SENDER_FILE_BYTES", value_name = "BYTES")]
    sender_file_bytes: Option<u64>,
    /// Days that messages and files of version 3 may wait. [default: 30]
    #[arg(long, help_heading = "Version 3", env = "MESSAGEU_KEEP_MAIL", value_name = "DAYS")]
    keep_mail: Option<u32>,
    /// Percent of the disk that has to stay free, but never more than 1 GiB. [default: 10]
    #[arg(long, help_heading = "Limits", env = "MESSAGEU_MIN_FREE_DISK", value_name = "PERCENT")]
    min_free_disk: Option<u8>,
    /// Days that a message may wait before it is dropped. [default: for ever]
    #[arg(long, help_heading = "Limits", env = "MESSAGEU_KEEP_MESSAGES", value_name = "DAYS")]
    keep_messages: Option<u32>,
    /// Days that a client may be away before it is dropped, with what waits for it. [default: for ever]
    #[arg(long, help_heading = "Limits", env = "MESSAGEU_KEEP_CLIENTS", value_name = "DAYS")]
    keep_clients: Option<u32>,
    /// Seconds for a request to come, beside what its bytes may take. [default: 10]
    #[arg(long, help_heading = "Times", env = "MESSAGEU_REQUEST_TIME", value_name = "SECONDS")]
    request_time: Option<u64>,
    /// Bytes a second that a peer has to send and take at least. [default: 1024]
    #[arg(long, help_heading = "Times", env = "MESSAGEU_MIN_RATE", value_name = "BYTES")]
    min_rate: Option<u32>,
    /// Seconds a connection may be silent before its first request. [default: 60]
    #[arg(long, help_heading = "Times", env = "MESSAGEU_IDLE_TIME", value_name = "SECONDS")]
    idle_time: Option<u64>,
    /// Seconds the connection of a known client may be silent. [default: 86400]
    #[arg(long, help_heading = "Times", env = "MESSAGEU_SESSION_IDLE_TIME", value_name = "SECONDS")]
    session_idle_time: Option<u64>,
    /// Milliseconds that a pull waits to be known to have arrived. [default: 2000]
    #[arg(long, help_heading = "Times", env = "MESSAGEU_PULL_GRACE", value_name = "MS")]
    pull_grace: Option<u64>,
    /// Seconds that requests in flight have to finish when the server stops. [default: 30]
    #[arg(long, help_heading = "Times", env = "MESSAGEU_SHUTDOWN_TIME", value_name = "SECONDS")]
    shutdown_time: Option<u64>,
    /// How log lines look. [default: text]
    #[arg(long, help_heading = "Log", env = "MESSAGEU_LOG_FORMAT", value_name = "FORMAT", global = true)]
    log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or a filter of tracing. [default: info]
    #[arg(long, help_heading = "Log", env = "MESSAGEU_LOG", value_name = "LEVEL", global = true)]
    log: Option<String>,
    /// Append the log to this file, opened again on SIGUSR1 and SIGHUP. [default: standard error]
    #[arg(long, help_heading = "Log", env = "MESSAGEU_LOG_FILE", value_name = "FILE", global = true)]
    log_file: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum, Serialize, Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
enum Policy {
    /// The new message is refused.
    Reject,
    /// The oldest message of this sender to this recipient makes room.
    DropOldest,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
enum WhoMayRegister {
    /// Anybody.
    #[default]
    Open,
    /// Whoever has a phone number that takes a code.
    Code,
    /// Nobody.
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// Where the database is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Database {
    /// Nowhere: it is gone with the process.
    Memory,
    /// In a SQLite file.
    Sqlite(PathBuf),
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => path.display().fmt(f),
        }
    }
}

impl Cli {
    /// Reads the command line and the environment, in which an empty variable counts as none.
    pub(crate) fn read() -> Self {
        let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        let command = Self::command().mut_args(|argument| match argument.get_env() {
            Some(name) if is_empty(name) => argument.env(Resettable::Reset),
            _ => argument,
        });
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }

    /// Fills what neither flags nor environment say from the file, if there is one.
    pub(crate) fn with_file(mut self) -> Result<Self> {
        self.given = self.options.clone();
        self.options = self.read_again()?;
        Ok(self)
    }

    /// What flags and environment said at the start, filled from the file as it is now.
    pub(crate) fn read_again(&self) -> Result<Options> {
        let Some(path) = &self.config else { return Ok(self.given.clone()) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
        let file: Options = toml::from_str(&text)
            .with_context(|| format!("the configuration file {} is not right", path.display()))?;
        Ok(self.given.clone().or(file))
    }
}

/// An option whose value is another one than before.
#[derive(Debug)]
pub(crate) struct Difference {
    name: String,
    before: Option<toml::Value>,
    after: Option<toml::Value>,
}

impl Difference {
    /// Whether it is of no consequence while the server runs.
    pub(crate) fn needs_restart(&self) -> bool {
        FIXED.contains(&self.name.as_str())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<toml::Value>| {
            value.as_ref().map_or_else(|| "the default".to_owned(), ToString::to_string)
        };
        write!(f, "{} from {} to {}", self.name, show(&self.before), show(&self.after))
    }
}

/// Options that are read at the start alone; all others are limits, and where the certificate is.
const FIXED: [&str; 13] = [
    "listen",
    "port",
    "legacy",
    "admin",
    "insecure-admin",
    "admin-host",
    "data",
    "db",
    "registration",
    "code-channel",
    "log-format",
    "log",
    "log-file",
];

macro_rules! or {
    ($first:ident, $second:ident: $($field:ident),*) => {
        Options { $($field: $first.$field.or($second.$field),)* }
    };
}

impl Options {
    fn or(self, file: Self) -> Self {
        or!(self, file: listen, port, legacy, tls_cert, tls_key, admin, insecure_admin, admin_host, data, db, max_clients, max_clients_per_ip, queue_limit, queue_policy, queue_bytes,
            recipient_messages, recipient_bytes, max_content, registration, code_channel, mail_messages, mail_bytes,
            sender_bytes, file_bytes, sender_file_bytes, keep_mail, min_free_disk, keep_messages, keep_clients, request_time, min_rate, idle_time,
            session_idle_time, pull_grace, shutdown_time, log_file, log_format, log)
    }

    /// What is different in others.
    pub(crate) fn differences(&self, others: &Self) -> Result<Vec<Difference>> {
        let (mut before, mut after) = (toml::Table::try_from(self)?, toml::Table::try_from(others)?);
        let mut differences = Vec::new();
        let names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
        for name in names {
            let (before, after) = (before.remove(&name), after.remove(&name));
            if before != after {
                differences.push(Difference { name, before, after });
            }
        }
        Ok(differences)
    }

    pub(crate) fn log_format(&self) -> LogFormat {
        self.log_format.unwrap_or_default()
    }

    pub(crate) fn log_filter(&self) -> &str {
        self.log.as_deref().unwrap_or("info")
    }

    pub(crate) fn log_file(&self) -> Option<&Path> {
        self.log_file.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// The directory that files are in.
    pub(crate) fn data(&self) -> &Path {
        self.data.as_deref().filter(|data| !data.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    pub(crate) fn database(&self) -> Result<Database> {
        let db = self.db.as_deref().unwrap_or(DEFAULT_DB);
        let path = match db.split_once(':') {
            Some(("memory", "")) => return Ok(Database::Memory),
            Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
            Some((scheme @ ("postgres" | "postgresql" | "mysql"), _)) => {
                bail!("this build has no {scheme} store: --db takes a file, sqlite:FILE, or memory:")
            }
            _ => db,
        };
        if path.is_empty() {
            bail!("--db is empty: give a file, or memory: for no file at all");
        }
        Ok(Database::Sqlite(if self.data.is_some() { self.data().join(path) } else { path.into() }))
    }

    /// Where to listen, if that is not up to the sockets that were passed on.
    pub(crate) fn listen(&self, some_passed_on: bool) -> Result<Vec<ListenAddress>> {
        let listen: Vec<ListenAddress> = match &self.listen {
            Some(texts) if !texts.is_empty() => {
                let parsed = texts.iter().map(|text| text.parse());
                parsed.collect::<Result<_, ListenAddressError>>().context("--listen is not right")?
            }
            _ if self.port.is_none() && some_passed_on => Vec::new(),
            _ => {
                let port = self.port.map_or_else(port_from_file, Ok)?;
                let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
                vec![ListenAddress { address, serves: Serves::All, pin: Pin::default() }]
            }
        };
        Ok(listen)
    }

    /// What may be served at an address that was asked for or passed on: the classic dialects beyond this machine only
    /// where that was said, since they would expose people without their knowledge.
    pub(crate) fn guard(&self, listen: ListenAddress) -> Result<ListenAddress> {
        let (address, serves) = (listen.address, listen.serves);
        if address.ip().is_loopback() || !serves.classic() {
            return Ok(listen);
        }
        if self.legacy.unwrap_or_default() {
            tracing::warn!(
                %address,
                "serving the classic dialects beyond this machine (--legacy): whoever reaches the port can list all \
                 clients, take anybody's messages and pose as anybody"
            );
            return Ok(listen);
        }
        if serves == Serves::Classic {
            bail!(
                "{address} is not a loopback address, and the classic dialects do not protect their users: whoever \
                 reaches the port can list all clients, take and delete anybody's messages, and pose as anybody. If \
                 that is what you want, say so with --legacy; otherwise listen on 127.0.0.1, or serve version 3 alone"
            );
        }
        tracing::warn!(
            %address,
            "serving version 3 alone: this is not a loopback address, and the classic dialects do not protect their \
             users: whoever reached the port could list all clients, take anybody's messages and pose as anybody \
             (--legacy serves them all the same)"
        );
        Ok(ListenAddress { serves: Serves::Modern, ..listen })
    }

    /// Where the certificate of version 3 comes from.
    pub(crate) fn certificate(&self) -> Result<CertificateSource> {
        let given = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        match (given(&self.tls_cert), given(&self.tls_key)) {
            (Some(certificate), Some(key)) => Ok(CertificateSource::Given { certificate, key }),
            (Some(_), None) => bail!("--tls-cert needs --tls-key, the private key of that certificate"),
            (None, Some(_)) => bail!("--tls-key needs --tls-cert, the certificate of that key"),
            (None, None) => self.own_certificate(),
        }
    }

    /// Who may register in version 3. A secret for it is made if need be.
    pub(crate) fn registration(&self) -> Result<Registration> {
        let channel = self.code_channel.as_deref().filter(|channel| !channel.is_empty());
        let (WhoMayRegister::Code, Some(channel)) = (self.registration.unwrap_or_default(), channel) else {
            return match (self.registration.unwrap_or_default(), channel) {
                (WhoMayRegister::Open, None) => Ok(Registration::Open),
                (WhoMayRegister::Closed, None) => Ok(Registration::Closed),
                (WhoMayRegister::Code, None) => bail!(
                    "--registration code needs --code-channel, by which codes get to phone numbers: file:PATH, \
                     command:PROGRAM or smtp://…"
                ),
                (_, Some(_)) => bail!("--code-channel needs --registration code: without it no code is sent"),
            };
        };
        let channel: Channel = channel.parse().context("--code-channel is not right")?;
        channel.check().context("--code-channel cannot be used")?;
        let pepper = match self.database()? {
            Database::Memory => Pepper::of_this_process(),
            Database::Sqlite(path) => {
                let path = beside(&path, ".pepper");
                Pepper::load_or_make(&path)
                    .with_context(|| format!("the secret {} cannot be used", path.display()))?
            }
        };
        Ok(Registration::Code(Box::new(Codes::new(pepper, channel))))
    }

    /// How much may wait in version 3. A sender may have a quarter of what a recipient has.
    fn mail_limits(&self, queue: QueueLimits) -> MailLimits {
        let default = MailLimits::default();
        let per_recipient = self.mail_messages.unwrap_or(default.per_recipient);
        let bytes_per_recipient = self.mail_bytes.unwrap_or(default.bytes_per_recipient);
        let file_bytes_per_recipient = self.file_bytes.unwrap_or(default.file_bytes_per_recipient);
        MailLimits {
            per_recipient,
            bytes_per_recipient,
            per_pair: self.queue_limit.unwrap_or(u64::MAX).min((per_recipient / 4).max(1)),
            policy: queue.policy,
            bytes_per_pair: bytes_per_recipient / 4,
            bytes_per_hour: self.sender_bytes.unwrap_or(default.bytes_per_hour),
            file_bytes_per_hour: self.sender_file_bytes.unwrap_or(default.file_bytes_per_hour),
            file_bytes_per_recipient,
            file_bytes_per_pair: file_bytes_per_recipient / 4,
        }
    }

    /// Where the server keeps a certificate of its own, used or not.
    pub(crate) fn own_certificate(&self) -> Result<CertificateSource> {
        Ok(match self.database()? {
            Database::Memory => CertificateSource::Memory,
            Database::Sqlite(path) => CertificateSource::Kept(beside(&path, ".tls.pem")),
        })
    }

    /// Where to answer whoever runs the server, if anywhere.
    pub(crate) fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// By which names, beside addresses and localhost.
    pub(crate) fn admin_hosts(&self) -> Vec<String> {
        self.admin_host.clone().unwrap_or_default()
    }

    /// Refuses an address for that which would tell others without the knowledge of whoever chose it.
    pub(crate) fn allow_admin(&self, address: SocketAddr) -> Result<()> {
        if !address.ip().is_loopback() && !self.insecure_admin.unwrap_or_default() {
            bail!(
                "{address} is not a loopback address, and whoever reached it would see how much is going on here: \
                 if that is what you want, say so with --insecure-admin; otherwise use 127.0.0.1 for --admin"
            );
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> Result<Limits> {
        let default = Limits::default();
        let queue = QueueLimits {
            per_pair: self.queue_limit.unwrap_or(default.queue.per_pair),
            policy: match self.queue_policy {
                Some(Policy::Reject) => QueuePolicy::Reject,
                Some(Policy::DropOldest) => QueuePolicy::DropOldest,
                None => default.queue.policy,
            },
            bytes_per_pair: self.queue_bytes.unwrap_or(default.queue.bytes_per_pair),
            per_recipient: self.recipient_messages.unwrap_or(default.queue.per_recipient),
            bytes_per_recipient: self.recipient_bytes.unwrap_or(default.queue.bytes_per_recipient),
        };
        let limits = Limits {
            clients: self.max_clients.unwrap_or(default.clients),
            clients_per_ip: self.max_clients_per_ip.unwrap_or(default.clients_per_ip),
            request_time: self.request_time.map_or(default.request_time, Duration::from_secs),
            bytes_per_second: self.min_rate.unwrap_or(default.bytes_per_second),
            idle: self.idle_time.map_or(default.idle, Duration::from_secs),
            session_idle: self.session_idle_time.map_or(default.session_idle, Duration::from_secs),
            pull_grace: self.pull_grace.map_or(default.pull_grace, Duration::from_millis),
            content: self.max_content.unwrap_or(default.content),
            queue,
            mail: self.mail_limits(queue),
            mail_lifetime: self.keep_mail.map_or(default.mail_lifetime, |count| {
                let time = days(count);
                MailLifetime { envelopes: time, files: time }
            }),
            free_disk_percent: self.min_free_disk.unwrap_or(default.free_disk_percent),
            keep_messages: self.keep_messages.map(days),
            keep_clients: self.keep_clients.map(days),
            shutdown: self.shutdown_time.map_or(default.shutdown, Duration::from_secs),
        };
        let times =
            [limits.request_time, limits.idle, limits.session_idle, limits.pull_grace, limits.shutdown];
        let longest = times.into_iter().max().unwrap_or_default();
        for (flag, wrong) in [
            ("--max-clients must be at least 1", limits.clients == 0),
            ("--max-clients-per-ip must be at least 1", limits.clients_per_ip == 0),
            ("--keep-messages must be at least 1", self.keep_messages == Some(0)),
            ("--keep-clients must be at least 1", self.keep_clients == Some(0)),
            ("--keep-mail must be at least 1", self.keep_mail == Some(0)),
            ("--mail-messages must be at least 1", self.mail_messages == Some(0)),
            (
                "--mail-bytes must be at least 524288: one sender may have a quarter, and one message 131072",
                limits.mail.bytes_per_pair < MAIL_MAX,
            ),
            (
                "--sender-bytes must be at least 131072, the most that one message has",
                limits.mail.bytes_per_hour < MAIL_MAX,
            ),
            ("--queue-limit must be at least 1", queue.per_pair == 0),
            ("--recipient-messages must be at least 1", queue.per_recipient == 0),
            ("a time is at most a year", longest > YEAR),
            ("--min-rate must be at least 1", limits.bytes_per_second == 0),
            ("--min-free-disk is a percentage: at most 99", limits.free_disk_percent > 99),
            (
                "--max-content is at most 4294967267: more does not fit the sizes on the wire",
                limits.content > CONTENT_MAX,
            ),
        ] {
            if wrong {
                bail!(flag);
            }
        }
        Ok(limits)
    }
}

/// The file that goes with a database, under its name and more.
fn beside(database: &Path, more: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(more);
    name.into()
}

fn days(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 24 * 60 * 60)
}

/// The port that a classic server's file in the working directory gives, or the usual one.
fn port_from_file() -> Result<u16> {
    for file in PORT_FILES {
        match std::fs::read_to_string(file) {
            Ok(text) => {
                let port = text.trim().parse().ok().filter(|port| *port != 0);
                return port.with_context(|| {
                    format!("{file} holds {:?}, where a port from 1 to 65535 belongs", text.trim())
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{file} cannot be read")),
        }
    }
    tracing::warn!(
        "no --listen, no --port and no port file ({}): port {DEFAULT_PORT}",
        PORT_FILES.join(", ")
    );
    Ok(DEFAULT_PORT)
}
