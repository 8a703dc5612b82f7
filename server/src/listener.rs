//! Accepting connections: one port for all dialects, or for some.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use messageu_wire::dialect::{Family, Pin, Profile};
use messageu_wire::error::WireError;
use messageu_wire::fields::ClientId;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use crate::reception::{Visitor, receive};
use crate::relay::Relay;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// How long accepting rests after it failed.
const REST: Duration = Duration::from_millis(50);

/// How long a connection is silent before the kernel asks whether its peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Where to listen, and for what: `ADDR:PORT[,only=modern|classic][,family=F][,profile=NAME]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenAddress {
    /// The address; port 0 picks a free one.
    pub address: SocketAddr,
    /// What is served there.
    pub serves: Serves,
    /// What the classic dialects are pinned to.
    pub pin: Pin,
}

/// What a listener serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Serves {
    /// Version 3 and the classic dialects, told apart by how a connection begins.
    #[default]
    All,
    /// Version 3 alone.
    Modern,
    /// The classic dialects alone.
    Classic,
}

impl Serves {
    /// Whether version 3 is among it.
    #[must_use]
    pub fn modern(self) -> bool {
        self != Self::Classic
    }

    /// Whether the classic dialects are among it.
    #[must_use]
    pub fn classic(self) -> bool {
        self != Self::Modern
    }
}

/// A text that is no [`ListenAddress`].
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ListenAddressError {
    /// The part before the first comma.
    #[error("{0:?} is no address: write ADDR:PORT, like 127.0.0.1:1357 or [::1]:1357")]
    Address(String),
    /// A part behind a comma.
    #[error("{0:?} is none of only=modern, only=classic, family=F and profile=NAME")]
    Option(String),
    /// A classic dialect, where none is to be served.
    #[error("{0:?} pins the classic dialects, which only=modern leaves out")]
    NotServed(String),
    /// A name that there is not.
    #[error("{error}; there are: {known}")]
    Name {
        /// What is wrong.
        error: WireError,
        /// What would have been right.
        known: String,
    },
    /// A profile in a family that it was never seen in.
    #[error("the profile {profile} belongs to {families}, not to family {family}")]
    Mismatch {
        /// The profile.
        profile: &'static str,
        /// Its families.
        families: String,
        /// The family.
        family: Family,
    },
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        let mut parts = text.split(',');
        let address = parts.next().unwrap_or_default();
        let address = address.parse().map_err(|_| ListenAddressError::Address(address.to_owned()))?;
        let (mut serves, mut pin) = (Serves::All, Pin::default());
        for part in parts {
            match part.split_once('=') {
                Some(("only", "modern")) => serves = Serves::Modern,
                Some(("only", "classic")) => serves = Serves::Classic,
                Some(("family", name)) => {
                    let known = || join(Family::ALL.iter());
                    pin.family = Some(
                        name.parse().map_err(|error| ListenAddressError::Name { error, known: known() })?,
                    );
                }
                Some(("profile", name)) => {
                    let known = || join(Profile::ALL.iter());
                    pin.profile = Some(
                        name.parse().map_err(|error| ListenAddressError::Name { error, known: known() })?,
                    );
                }
                _ => return Err(ListenAddressError::Option(part.to_owned())),
            }
        }
        if pin != Pin::default() {
            if serves == Serves::Modern {
                return Err(ListenAddressError::NotServed(text.to_owned()));
            }
            // Such a listener is for programs that cannot be told from others, TLS among them.
            serves = Serves::Classic;
        }
        match (pin.profile, pin.family) {
            (Some(profile), Some(family)) if pin.dialects().next().is_none() => {
                let families = join(profile.families.iter().map(|family| format!("family {family}")));
                Err(ListenAddressError::Mismatch { profile: profile.name, families, family })
            }
            _ => Ok(Self { address, serves, pin }),
        }
    }
}

fn join(names: impl Iterator<Item = impl fmt::Display>) -> String {
    names.map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        match self.serves {
            Serves::Modern => f.write_str(",only=modern")?,
            Serves::Classic if self.pin == Pin::default() => f.write_str(",only=classic")?,
            Serves::All | Serves::Classic => {}
        }
        self.pin.family.map_or(Ok(()), |family| write!(f, ",family={family}"))?;
        self.pin.profile.map_or(Ok(()), |profile| write!(f, ",profile={profile}"))
    }
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    serves: Serves,
    pin: Pin,
}

impl Listener {
    /// Binds an address, within a tokio runtime.
    ///
    /// # Errors
    /// Those of the system: the address is in use, or not this machine's, or the port needs rights.
    pub fn bind(listen: ListenAddress) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(listen.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        if listen.address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&listen.address.into())?;
        socket.listen(BACKLOG)?;
        Self::adopt(socket.into(), listen)
    }

    /// A socket that listens already, within a tokio runtime.
    ///
    /// # Errors
    /// Those of the system.
    pub fn adopt(socket: std::net::TcpListener, listen: ListenAddress) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: TcpListener::from_std(socket)?, serves: listen.serves, pin: listen.pin })
    }

    /// The address, with the port that was picked.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What is served there.
    #[must_use]
    pub fn serves(&self) -> Serves {
        self.serves
    }

    /// Accepts connections until `shutdown`; each is a task of `tracker`.
    pub(crate) async fn accept(
        self,
        relay: Arc<Relay>,
        seats: Arc<Seats>,
        shutdown: CancellationToken,
        tracker: TaskTracker,
    ) {
        let mut accepting = Accepting::new(&relay);
        let mut spare = SpareDescriptor::new();
        loop {
            let accepted = tokio::select! {
                accepted = accepting.beside(self.socket.accept()) => accepted,
                () = shutdown.cancelled() => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if accepting.set(false) {
                        tracing::error!(%error, "cannot accept connections for the moment");
                    }
                    if spare.turn_away(&self) {
                        Metrics::count(&relay.metrics.turned_away);
                    } else {
                        tokio::time::sleep(REST).await;
                    }
                    continue;
                }
            };
            accepting.set(true);
            Metrics::count(&relay.metrics.connections);
            if let Err(error) = prepare(&stream) {
                tracing::debug!(%peer, %error, "lost before it began");
                continue;
            }
            match seats.take(peer.ip()) {
                Some(seat) => {
                    let visitor = Visitor { stream, peer, serves: self.serves, pin: self.pin };
                    let (relay, shutdown) = (Arc::clone(&relay), shutdown.clone());
                    tracker.spawn(async move {
                        receive(visitor, relay, shutdown).await;
                        drop(seat);
                    });
                }
                None => {
                    Metrics::count(&relay.metrics.turned_away);
                    tracing::debug!(%peer, "turned away: too many connections");
                    self.turn_away(&stream);
                }
            }
        }
    }

    /// Refuses a connection for which there is no seat: with a refusal, if the kernel takes it at once. In version 3 there
    /// is none before a handshake.
    fn turn_away(&self, stream: &impl AsFd) {
        if self.serves.classic() {
            let refusal = self.pin.refusal_dialect().encode_refusal(ClientId::NOBODY);
            let _ = SockRef::from(stream).send(&refusal);
        }
    }
}

/// Whether a listener accepts, for all to see, until it is dropped.
struct Accepting<'a> {
    listening: &'a AtomicU64,
    now: bool,
}

impl<'a> Accepting<'a> {
    fn new(relay: &'a Relay) -> Self {
        let mut accepting = Self { listening: &relay.metrics.listening, now: false };
        accepting.set(true);
        accepting
    }

    /// Waits for a connection. A listener that waits does accept: what was in the way is over.
    async fn beside<T>(&mut self, accept: impl Future<Output = T>) -> T {
        let mut accept = pin!(accept);
        poll_fn(|context| {
            let polled = accept.as_mut().poll(context);
            if polled.is_pending() {
                self.set(true);
            }
            polled
        })
        .await
    }

    /// Returns what it was before.
    fn set(&mut self, now: bool) -> bool {
        match (self.now, now) {
            (false, true) => _ = self.listening.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.listening.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        std::mem::replace(&mut self.now, now)
    }
}

impl Drop for Accepting<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// A file descriptor that is kept so that, when there is no other, a newcomer can still be told.
struct SpareDescriptor(Option<File>);

impl SpareDescriptor {
    fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Refuses a connection that waits, in the place of the spare descriptor. Says whether there was one.
    fn turn_away(&mut self, listener: &Listener) -> bool {
        self.0 = None;
        let newcomer = rustix::net::accept(&listener.socket);
        if let Ok(stream) = &newcomer {
            listener.turn_away(stream);
        }
        let there_was_one = newcomer.is_ok();
        drop(newcomer);
        *self = Self::new();
        there_was_one
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// What counts as one address: of IPv6, the /64 that a single site has.
pub(crate) fn site(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(ip) if !ip.is_loopback() => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        other => other,
    }
}

/// How many connections there are, in all and from one address: never more than the limits allow when one begins.
pub(crate) struct Seats {
    relay: Arc<Relay>,
    by_ip: Mutex<HashMap<IpAddr, usize>>,
}

/// The right to a connection, until it is dropped.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    ip: Option<IpAddr>,
}

impl Seats {
    pub(crate) fn new(relay: Arc<Relay>) -> Arc<Self> {
        Arc::new(Self { relay, by_ip: Mutex::default() })
    }

    /// A seat for a peer; all peers on this machine's own loopback count as many.
    fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let limits = self.relay.limits();
        let most = u64::try_from(limits.clients).unwrap_or(u64::MAX);
        let one_more = |open| (open < most).then_some(open + 1);
        self.relay.metrics.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        let mut seat = Seat { seats: Arc::clone(self), ip: None };
        if let Some(ip) = Some(site(ip.to_canonical())).filter(|ip| !ip.is_loopback()) {
            let mut by_ip = self.by_ip();
            let taken = by_ip.entry(ip).or_default();
            if *taken >= limits.clients_per_ip {
                return None;
            }
            *taken += 1;
            seat.ip = Some(ip);
        }
        Some(seat)
    }

    fn by_ip(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_ip.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.relay.metrics.open.fetch_sub(1, Ordering::Relaxed);
        let Some(ip) = self.ip else { return };
        let mut by_ip = self.seats.by_ip();
        if let Some(taken) = by_ip.get_mut(&ip) {
            *taken -= 1;
            if *taken == 0 {
                by_ip.remove(&ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{ListenAddress, Seats, Serves};
    use crate::Relay;
    use crate::limits::Limits;
    use crate::store::memory::MemoryStore;

    fn seats(clients: usize, clients_per_ip: usize) -> Arc<Seats> {
        let limits = Limits { clients, clients_per_ip, ..Limits::default() };
        Seats::new(Arc::new(Relay::new(Arc::new(MemoryStore::new()), limits, None)))
    }

    #[test]
    fn a_listen_address_reads_back_as_it_prints() {
        for text in [
            "127.0.0.1:0",
            "[::1]:1357,family=B",
            "0.0.0.0:1,family=B,profile=uid-echo",
            "1.2.3.4:5,profile=aligned",
            "127.0.0.1:1357,only=modern",
            "127.0.0.1:1357,only=classic",
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_listen_address_says_what_would_be_right() {
        for (text, says) in [
            ("localhost:80", "write ADDR:PORT"),
            ("127.0.0.1:80,tls", "none of only=modern, only=classic"),
            ("127.0.0.1:80,only=new", "none of only=modern, only=classic"),
            ("127.0.0.1:80,only=modern,family=B", "only=modern leaves out"),
            ("127.0.0.1:80,profile=x", "there are: classic"),
            ("127.0.0.1:80,family=E,profile=uid-echo", "belongs to family B"),
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_listener_that_is_pinned_serves_the_classic_dialects_alone() {
        let serves = |text: &str| text.parse::<ListenAddress>().unwrap().serves;
        assert_eq!(serves("127.0.0.1:80"), Serves::All);
        assert_eq!(serves("127.0.0.1:80,family=B"), Serves::Classic);
        assert_eq!(serves("127.0.0.1:80,profile=uid-echo,only=classic"), Serves::Classic);
    }

    #[test]
    fn one_address_gets_its_share_of_seats_and_gives_them_back() {
        let seats = seats(10, 2);
        let address = "192.0.2.1".parse().unwrap();
        let first = seats.take(address).unwrap();
        let _second = seats.take(address).unwrap();
        assert!(seats.take(address).is_none());
        drop(first);
        assert!(seats.take(address).is_some());
    }

    #[test]
    fn a_limit_that_is_lowered_leaves_those_who_are_seated_and_lets_nobody_in() {
        let seats = seats(2, 2);
        let address = "192.0.2.1".parse().unwrap();
        let taken = (seats.take(address).unwrap(), seats.take(address).unwrap());
        seats.relay.set_limits(Limits { clients: 1, ..Limits::default() });
        assert!(seats.take(address).is_none());
        drop(taken.0);
        assert!(seats.take(address).is_none());
        drop(taken.1);
        assert!(seats.take(address).is_some());
    }

    #[test]
    fn loopback_has_no_share_but_counts_to_all() {
        let seats = seats(3, 1);
        let loopback = "127.0.0.1".parse().unwrap();
        let taken: Vec<_> = (0..4).map(|_| seats.take(loopback)).collect();
        assert_eq!(taken.iter().filter(|seat| seat.is_some()).count(), 3);
    }
}
