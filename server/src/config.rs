//! How the server is told what to do: flags, then environment variables, then a TOML file, then defaults.

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use messageu_server::limits::Limits;
use messageu_server::store::{QueueLimits, QueuePolicy};
use messageu_server::{ListenAddress, ListenAddressError};
use messageu_wire::dialect::Pin;
use messageu_wire::message::CONTENT_MAX;
use serde::Deserialize;

/// The port of most servers in the wild.
const DEFAULT_PORT: u16 = 1357;

/// The files that classic servers read their port from, in every spelling.
const PORT_FILES: [&str; 3] = ["info.myport", "myport.info", "port.info"];

/// Longest time that can be given: far beyond use, and far from overflowing a clock.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

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
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const AFTER_HELP: &str = "Every option can also stand in the environment (MESSAGEU_…) and in the TOML file of --config. \
A flag goes before the environment, the environment before the file.\n\n\
When a listener is ready, one line is printed for it: ready ADDR:PORT. SIGTERM or Ctrl-C lets what is in flight finish; \
a second one stops at once.";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Take over the clients and waiting messages of a classic server's database.
    Import {
        /// The classic server's database file; nothing in it is changed.
        path: PathBuf,
    },
    /// Print the script that completes this program's options in a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// What can be said by flag, by environment and by file.
#[derive(Args, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Options {
    /// Listen here; repeatable. Add ",family=F" or ",profile=NAME" to pin it. Port 0 picks a free one.
    #[arg(long, env = "MESSAGEU_LISTEN", value_name = "ADDR:PORT[,profile=NAME]", value_delimiter = ' ')]
    listen: Option<Vec<String>>,
    /// Listen on this port of 127.0.0.1, if there is no --listen. [default: from info.myport, myport.info or
    /// port.info, else 1357]
    #[arg(long, env = "MESSAGEU_PORT", value_name = "N")]
    port: Option<u16>,
    /// Serve the classic dialects on addresses that are not loopback, knowing that they do not protect their users.
    #[arg(long, env = "MESSAGEU_LEGACY", num_args = 0..=1, default_missing_value = "true")]
    legacy: Option<bool>,
    /// Answer over HTTP, for whoever runs the server: /metrics, /healthz, /readyz, and a page to look at.
    #[arg(long, env = "MESSAGEU_ADMIN", value_name = "ADDR:PORT")]
    admin: Option<SocketAddr>,
    /// Do so on an address that is not loopback too, where whoever reaches it sees how much is going on.
    #[arg(long, env = "MESSAGEU_INSECURE_ADMIN", num_args = 0..=1, default_missing_value = "true")]
    insecure_admin: Option<bool>,
    /// The directory that files are in. [default: the working directory]
    #[arg(long, env = "MESSAGEU_DATA", value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// The database: a file, or memory: for none. [default: messageu.db]
    #[arg(long, env = "MESSAGEU_DB", value_name = "PATH-or-URL", global = true)]
    db: Option<String>,
    /// Connections at once. [default: 10000]
    #[arg(long, env = "MESSAGEU_MAX_CLIENTS", value_name = "N")]
    max_clients: Option<usize>,
    /// Connections at once from one address that is not loopback. [default: 64]
    #[arg(long, env = "MESSAGEU_MAX_CLIENTS_PER_IP", value_name = "N")]
    max_clients_per_ip: Option<usize>,
    /// Messages that may wait from one sender for one recipient. [default: 10000]
    #[arg(long, env = "MESSAGEU_QUEUE_LIMIT", value_name = "N")]
    queue_limit: Option<u64>,
    /// What happens to a message beyond --queue-limit. [default: reject]
    #[arg(long, env = "MESSAGEU_QUEUE_POLICY", value_name = "POLICY")]
    queue_policy: Option<Policy>,
    /// Bytes that may wait from one sender for one recipient. [default: 4294967296]
    #[arg(long, env = "MESSAGEU_QUEUE_BYTES", value_name = "BYTES")]
    queue_bytes: Option<u64>,
    /// Messages that may wait for one recipient, from all senders. [default: 40000]
    #[arg(long, env = "MESSAGEU_RECIPIENT_MESSAGES", value_name = "N")]
    recipient_messages: Option<u64>,
    /// Bytes that may wait for one recipient. [default: 17179869184]
    #[arg(long, env = "MESSAGEU_RECIPIENT_BYTES", value_name = "BYTES")]
    recipient_bytes: Option<u64>,
    /// Bytes of content that one message may have. [default: 4294967267]
    #[arg(long, env = "MESSAGEU_MAX_CONTENT", value_name = "BYTES")]
    max_content: Option<u32>,
    /// Percent of the disk that has to stay free, but never more than 1 GiB. [default: 10]
    #[arg(long, env = "MESSAGEU_MIN_FREE_DISK", value_name = "PERCENT")]
    min_free_disk: Option<u8>,
    /// Seconds for a request to come, beside what its bytes may take. [default: 10]
    #[arg(long, env = "MESSAGEU_REQUEST_TIME", value_name = "SECONDS")]
    request_time: Option<u64>,
    /// Bytes a second that a peer has to send and take at least. [default: 1024]
    #[arg(long, env = "MESSAGEU_MIN_RATE", value_name = "BYTES")]
    min_rate: Option<u32>,
    /// Seconds a connection may be silent before its first request. [default: 60]
    #[arg(long, env = "MESSAGEU_IDLE_TIME", value_name = "SECONDS")]
    idle_time: Option<u64>,
    /// Seconds the connection of a known client may be silent. [default: 86400]
    #[arg(long, env = "MESSAGEU_SESSION_IDLE_TIME", value_name = "SECONDS")]
    session_idle_time: Option<u64>,
    /// Milliseconds that a pull waits to be known to have arrived. [default: 2000]
    #[arg(long, env = "MESSAGEU_PULL_GRACE", value_name = "MS")]
    pull_grace: Option<u64>,
    /// Seconds that requests in flight have to finish when the server stops. [default: 30]
    #[arg(long, env = "MESSAGEU_SHUTDOWN_TIME", value_name = "SECONDS")]
    shutdown_time: Option<u64>,
    /// How log lines look on standard error. [default: text]
    #[arg(long, env = "MESSAGEU_LOG_FORMAT", value_name = "FORMAT", global = true)]
    log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or a filter of tracing. [default: info]
    #[arg(long, env = "MESSAGEU_LOG", value_name = "LEVEL", global = true)]
    log: Option<String>,
}

#[derive(Clone, Copy, ValueEnum, Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
enum Policy {
    /// The new message is refused.
    Reject,
    /// The oldest message of this sender to this recipient makes room.
    DropOldest,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Debug, Default)]
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
        if let Some(path) = &self.config {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
            let file: Options = toml::from_str(&text)
                .with_context(|| format!("the configuration file {} is not right", path.display()))?;
            self.options = self.options.or(file);
        }
        Ok(self)
    }
}

macro_rules! or {
    ($first:ident, $second:ident: $($field:ident),*) => {
        Options { $($field: $first.$field.or($second.$field),)* }
    };
}

impl Options {
    fn or(self, file: Self) -> Self {
        or!(self, file: listen, port, legacy, admin, insecure_admin, data, db, max_clients, max_clients_per_ip, queue_limit, queue_policy, queue_bytes,
            recipient_messages, recipient_bytes, max_content, min_free_disk, request_time, min_rate, idle_time,
            session_idle_time, pull_grace, shutdown_time, log_format, log)
    }

    pub(crate) fn log_format(&self) -> LogFormat {
        self.log_format.unwrap_or_default()
    }

    pub(crate) fn log_filter(&self) -> &str {
        self.log.as_deref().unwrap_or("info")
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

    /// Where to listen, refusing what would expose people without their knowledge.
    pub(crate) fn listen(&self) -> Result<Vec<ListenAddress>> {
        let listen: Vec<ListenAddress> = match &self.listen {
            Some(texts) if !texts.is_empty() => {
                let parsed = texts.iter().map(|text| text.parse());
                parsed.collect::<Result<_, ListenAddressError>>().context("--listen is not right")?
            }
            _ => {
                let port = self.port.map_or_else(port_from_file, Ok)?;
                let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
                vec![ListenAddress { address, pin: Pin::default() }]
            }
        };
        let exposed: Vec<&ListenAddress> =
            listen.iter().filter(|listen| !listen.address.ip().is_loopback()).collect();
        if let (Some(first), false) = (exposed.first(), self.legacy.unwrap_or_default()) {
            bail!(
                "{} is not a loopback address, and the classic dialects do not protect their users: whoever reaches \
                 the port can list all clients, take and delete anybody's messages, and pose as anybody. If that is \
                 what you want, say so with --legacy; otherwise listen on 127.0.0.1",
                first.address
            );
        }
        for listen in exposed {
            tracing::warn!(
                address = %listen.address,
                "serving the classic dialects beyond this machine (--legacy): whoever reaches the port can list all \
                 clients, take anybody's messages and pose as anybody"
            );
        }
        Ok(listen)
    }

    /// Where to answer whoever runs the server, refusing what would tell others without their knowledge.
    pub(crate) fn admin(&self) -> Result<Option<SocketAddr>> {
        if let Some(address) = self.admin.filter(|address| !address.ip().is_loopback())
            && !self.insecure_admin.unwrap_or_default()
        {
            bail!(
                "{address} is not a loopback address, and whoever reached it would see how much is going on here: \
                 if that is what you want, say so with --insecure-admin; otherwise use 127.0.0.1 for --admin"
            );
        }
        Ok(self.admin)
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
            free_disk_percent: self.min_free_disk.unwrap_or(default.free_disk_percent),
            shutdown: self.shutdown_time.map_or(default.shutdown, Duration::from_secs),
        };
        let times =
            [limits.request_time, limits.idle, limits.session_idle, limits.pull_grace, limits.shutdown];
        let longest = times.into_iter().max().unwrap_or_default();
        for (flag, wrong) in [
            ("--max-clients must be at least 1", limits.clients == 0),
            ("--max-clients-per-ip must be at least 1", limits.clients_per_ip == 0),
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
