//! What bounds a peer's use of time, memory and disk: every limit, its default, and why.

use std::time::Duration;

use messageu_wire::message::CONTENT_MAX;

use crate::store::QueueLimits;
use crate::store::modern::{MailLifetime, MailLimits};

/// What the server grants its peers. Each is a flag.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub clients: usize,
    /// Connections at once from one address that is not loopback.
    pub clients_per_ip: usize,
    /// Time for a request to come, beside what its bytes may take at `bytes_per_second`.
    pub request_time: Duration,
    /// The slowest a peer may send or take bytes.
    pub bytes_per_second: u32,
    /// How long a connection may be silent before its first request from a known client.
    pub idle: Duration,
    /// How long a connection of a known client may be silent. Interactive clients sit at their menus for hours, on
    /// one connection.
    pub session_idle: Duration,
    /// How long a pull waits to be known to have arrived, and how long a second pull of the same client waits for it.
    pub pull_grace: Duration,
    /// Bytes of content that a message may have, at most [`CONTENT_MAX`].
    pub content: u32,
    /// What may wait for one client.
    pub queue: QueueLimits,
    /// What may wait in version 3, and who may send how much.
    pub mail: MailLimits,
    /// How long it may wait.
    pub mail_lifetime: MailLifetime,
    /// Disk that has to stay free, in percent; never more than [`MOST_FREE_DISK`] bytes.
    pub free_disk_percent: u8,
    /// How long a message may wait; for ever if it is not said.
    pub keep_messages: Option<Duration>,
    /// How long a client may be away; for ever if it is not said.
    pub keep_clients: Option<Duration>,
    /// Time that requests in flight have to finish when the server stops.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 10_000,
            clients_per_ip: 64,
            request_time: Duration::from_secs(10),
            bytes_per_second: 1024,
            idle: Duration::from_secs(60),
            session_idle: Duration::from_secs(24 * 60 * 60),
            pull_grace: Duration::from_secs(2),
            content: CONTENT_MAX,
            queue: QueueLimits::default(),
            mail: MailLimits::default(),
            mail_lifetime: MailLifetime::default(),
            free_disk_percent: 10,
            keep_messages: None,
            keep_clients: None,
            shutdown: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// The time in which `bytes` have to cross.
    #[must_use]
    pub fn time_for(&self, bytes: u64) -> Duration {
        self.request_time + Duration::from_secs(bytes / u64::from(self.bytes_per_second.max(1)))
    }
}

/// Free disk that is enough whatever the percentage says, in bytes: a tenth of a large disk is no sensible reserve.
pub const MOST_FREE_DISK: u64 = 1 << 30;

/// How long a request whose dialect is open waits for padding that would decide it. Programs that pad write a request
/// at once, so that its padding is there with it, but for what a network adds.
pub const TAIL_PATIENCE: Duration = Duration::from_millis(25);

/// How long the second byte of a connection is waited for, which tells TLS from the classic dialects, before it is looked
/// again.
pub const OPENING_PATIENCE: Duration = Duration::from_millis(20);

/// Bytes that are still taken from a classic request where none is served, so that its refusal is not lost to a reset.
pub const LINGER_REFUSED: u64 = 64 * 1024;

/// How long a nonce of version 3 can be signed.
pub const NONCE_LIFE: Duration = Duration::from_secs(30);

/// Requests of a connection of version 3 before it is authenticated.
pub const STRANGERS_REQUESTS: u32 = 8;

/// Requests of one connection of version 3 that are worked on at once, and bytes of their contents; what is beyond is not
/// read.
pub const REQUESTS_IN_FLIGHT: usize = 32;

/// See [`REQUESTS_IN_FLIGHT`].
pub const REQUESTS_IN_FLIGHT_BYTES: usize = 512 * 1024;

/// Pulls of one connection of version 3 at once, waiting or not: each may hold a whole answer.
pub const PULLS_IN_FLIGHT: usize = 4;

/// Most envelopes in one pull of version 3.
pub const PULL_ENVELOPES: usize = 1000;

/// The longest that a pull of version 3 waits, whatever it asks for.
pub const PULL_WAIT: Duration = Duration::from_secs(10 * 60);

/// Bytes that are read at once from TLS: a record.
pub const TLS_READ_SIZE: usize = 16 * 1024;

/// Most messages in one pull; more waits for the next one.
pub const PULL_MESSAGES: usize = 10_000;

/// Messages of a pull that are read at once, and bytes of small contents that are read along with their heads: what
/// a slow reader keeps in memory.
pub const PULL_PAGE: usize = 256;

/// See [`PULL_PAGE`].
pub const PULL_INLINE: usize = 64 * 1024;

/// Rows of a roster that are read at once.
pub const ROSTER_PAGE: usize = 256;

/// Bytes of an answer that are gathered before they are written. Smaller answers are one write: some clients take
/// a whole answer with a single read.
pub const WRITE_SIZE: usize = 64 * 1024;

/// Bytes that are still taken from a connection that is being closed, so that its last answer is not lost to a reset.
pub const LINGER: u32 = 4 << 20;

/// Sends of one connection that may wait for the disk at once, and the bytes of their contents: as long as both allow it,
/// the connection reads on.
pub const SENDS_IN_FLIGHT: usize = 128;

/// See [`SENDS_IN_FLIGHT`].
pub const SENDS_IN_FLIGHT_BYTES: usize = 64 * 1024;

/// Chunks of one upload that are on their way to the store while the next one comes.
pub const UPLOAD_CHUNKS: usize = 4;

/// Chunks of all uploads together that are on their way to the store: bounds what a crowd of uploads holds in memory.
pub const CHUNKS_IN_FLIGHT: usize = 128;
