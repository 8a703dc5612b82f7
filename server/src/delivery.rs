//! Whether a pull has arrived. Classic pulls delete, and a classic client never says that it has what it was sent, so
//! the server deletes only on what demonstrates it: the client's next request on the same connection, a clean close,
//! or silence during which the client's kernel has acknowledged every byte. Whatever else happens, the messages stay.

use std::io;
use std::time::Duration;

use messageu_wire::fields::ClientId;
use tokio::time::{Instant, sleep};

use crate::handler::Mail;
use crate::metrics::Metrics;
use crate::relay::{PullTurn, Relay};
use crate::store::Sequence;
use crate::transport::Transport;

/// How often the kernel is asked whether the bytes of a closed connection have been acknowledged.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// How long after the end of a stream that was closed for writing early a reset may still follow it.
const RESET_FOLLOWS_WITHIN: Duration = Duration::from_millis(100);

/// A pull that was written and awaits its verdict. Dropping it leaves the messages where they are.
pub(crate) struct Delivery {
    to: ClientId,
    sequences: Vec<Sequence>,
    /// Keeps a second pull waiting.
    turn: PullTurn,
    /// Whether the client had closed its side, or asked for more, before the last byte was written: then neither says
    /// whether it has read.
    spoke_early: bool,
    /// How many of the outstanding bytes are no mail: the end of writing counts as one, and is the last to be acknowledged.
    no_mail: u32,
    /// When silence becomes the verdict, unless bytes are outstanding.
    pub(crate) verdict_at: Instant,
    /// When bytes that are still outstanding become the verdict.
    give_up_at: Instant,
}

impl Delivery {
    /// A pull whose last byte was just handed to the kernel.
    pub(crate) fn written(
        mail: Mail,
        spoke_early: bool,
        stream: &impl Transport,
        relay: &Relay,
    ) -> Option<Self> {
        let now = Instant::now();
        let outstanding = stream.unacknowledged().unwrap_or_default();
        let verdict_at = now + relay.limits().pull_grace;
        let give_up_at = verdict_at + relay.limits().time_for(outstanding.unwrap_or_default().into());
        let Mail { to, messages, turn } = mail;
        let sequences: Vec<Sequence> = messages.iter().map(|message| message.sequence).collect();
        let delivery = Self { to, sequences, turn, spoke_early, no_mail: 0, verdict_at, give_up_at };
        (!delivery.sequences.is_empty()).then_some(delivery)
    }

    /// The server has ended its side behind the mail.
    pub(crate) fn end_written(&mut self) {
        self.no_mail = 1;
    }

    /// The client asks for something else. Only one that has read its mail does, unless it asked before it was there.
    pub(crate) async fn asked_for_more(self, relay: &Relay) -> Option<Self> {
        if self.spoke_early {
            return Some(self);
        }
        self.arrived(relay).await;
        None
    }

    /// It has arrived: the messages can go.
    async fn arrived(self, relay: &Relay) {
        let Self { to, sequences, turn, .. } = self;
        // Should the store fail here, the messages are delivered once more, which is the lesser evil.
        if let Err(error) = relay.store.acknowledge(to, &sequences).await {
            tracing::error!(client = %to, %error, "delivered messages could not be deleted");
        }
        drop(turn);
    }

    /// It is not known to have arrived: the messages stay for the next pull.
    pub(crate) fn lost(self, relay: &Relay) {
        Metrics::count(&relay.metrics.not_arrived);
        tracing::info!(client = %self.to, messages = self.sequences.len(), "a pull did not arrive");
    }

    /// The stream has ended behind the pull: cleanly, if the kernel has every byte acknowledged and no reset follows.
    pub(crate) async fn stream_ended(self, stream: &impl Transport, relay: &Relay) {
        let settled = Instant::now() + if self.spoke_early { RESET_FOLLOWS_WITHIN } else { Duration::ZERO };
        let deadline = self.give_up_at.max(settled);
        loop {
            match self.is_acknowledged(stream) {
                Err(_) => return self.lost(relay),
                Ok(true) if Instant::now() >= settled => return self.arrived(relay).await,
                Ok(false) if Instant::now() >= deadline => return self.lost(relay),
                Ok(_) => sleep(ASK_EVERY).await,
            }
        }
    }

    /// The client has been silent until now: `Some` with the pull while bytes are outstanding, so that nothing is known.
    ///
    /// # Errors
    /// When they have been outstanding for too long; the connection should be reset then.
    pub(crate) async fn silent(mut self, stream: &impl Transport, relay: &Relay) -> io::Result<Option<Self>> {
        match self.is_acknowledged(stream) {
            Ok(true) => self.arrived(relay).await,
            Ok(false) if Instant::now() < self.give_up_at => {
                self.verdict_at = Instant::now() + relay.limits().pull_grace;
                return Ok(Some(self));
            }
            Ok(false) => {
                self.lost(relay);
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(_) => self.lost(relay),
        }
        Ok(None)
    }

    /// Whether the peer's kernel has every byte of the mail; an error if the connection has been reset.
    fn is_acknowledged(&self, stream: &impl Transport) -> io::Result<bool> {
        match stream.take_error()? {
            Some(reset) => Err(reset),
            // Where the system does not say, an end or a silence without a reset has to do.
            None => Ok(stream.unacknowledged()?.is_none_or(|outstanding| outstanding <= self.no_mail)),
        }
    }
}
