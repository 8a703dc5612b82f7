//! What is kept for how long: messages that nobody takes, and clients that do not come back, if a limit says so; and what
//! has its time in version 3, whether that is served or not.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Relay;
use crate::metrics::Metrics;
use crate::store::StoreError;
use crate::store::modern::ModernError;

/// How often it is looked, and how exactly the age of a message is known.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Messages, or clients, that go before others have their turn.
const AT_ONCE: usize = 256;

/// A clock that says less was wrong: this is 2020 in seconds since 1970. Whoever was seen by such a clock is not known to
/// have been away.
const EARLIEST: Duration = Duration::from_secs(1_577_836_800);

/// Drops what is too old, now and every hour, until `shutdown`.
///
/// The time is the wall clock's at the start, or the latest that the store knows if that is later, and goes on evenly from
/// there: a clock that is set while the server runs makes nothing older.
pub(crate) async fn run(relay: Arc<Relay>, shutdown: CancellationToken) {
    let (at_start, began) = (SystemTime::now(), Instant::now());
    loop {
        let round = async {
            let now = at_start + began.elapsed();
            if let Err(error) = look(&relay, now).await {
                tracing::warn!(%error, "what is too old could not be dropped; trying again in an hour");
            }
            if let Err(error) = look_at_modern(&relay, now).await {
                tracing::warn!(%error, "what is too old of version 3 could not be dropped; trying again in an hour");
            }
            tokio::time::sleep(EVERY).await;
        };
        if shutdown.run_until_cancelled(round).await.is_none() {
            return;
        }
    }
}

async fn look(relay: &Relay, by_clock: SystemTime) -> Result<(), StoreError> {
    let now = relay.store.mark_time(by_clock).await?;
    if let Some(before) = relay.limits().keep_messages.and_then(|time| now.checked_sub(time)) {
        let mut messages = 0;
        loop {
            let expired = relay.store.expire(before, AT_ONCE).await?;
            messages += expired;
            if expired == 0 {
                break;
            }
        }
        if messages > 0 {
            tracing::info!(messages, "dropped what had waited for too long (--keep-messages)");
        }
    }
    // Visits are noted by the wall clock as it is: by the latest time that was ever known, which a wrong clock may have
    // set, everybody might seem to have been away.
    let now = by_clock.min(SystemTime::now());
    if let Some(before) = relay.limits().keep_clients.and_then(|time| now.checked_sub(time)) {
        let clients = drop_clients(relay, before).await?;
        if clients > 0 {
            tracing::info!(clients, "dropped clients that had not come back (--keep-clients)");
        }
    }
    Ok(())
}

/// Drops what has had its time in version 3, a part after the other, so that others have their turns.
async fn look_at_modern(relay: &Relay, now: SystemTime) -> Result<(), ModernError> {
    let Some(store) = relay.store.modern() else { return Ok(()) };
    while store.drop_expired(relay.limits().mail_lifetime, now).await? {}
    Ok(())
}

async fn drop_clients(relay: &Relay, before: SystemTime) -> Result<u64, StoreError> {
    let mut dropped = 0;
    loop {
        let earliest = SystemTime::UNIX_EPOCH + EARLIEST;
        let away = relay.store.clients_last_seen_between(earliest, before, AT_ONCE).await?;
        let some_went = dropped;
        for id in away {
            // Some may have come back since, and that be written down only soon.
            if relay.store.last_seen(id).await?.is_some_and(|seen| seen < before) {
                match relay.delete_client(id).await {
                    Ok(()) => {
                        Metrics::count(&relay.metrics.clients_expired);
                        dropped += 1;
                    }
                    Err(StoreError::UnknownClient(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if dropped == some_went {
            return Ok(dropped);
        }
    }
}
