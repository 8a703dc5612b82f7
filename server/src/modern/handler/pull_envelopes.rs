//! PullEnvelopes: what waits for the asker, or what comes while it waits. Nothing is deleted.

use std::time::Duration;

use messageu_wire::modern::field::{EnvelopeBytes, Sequence, UnixMinutes};
use messageu_wire::modern::limits::PULL_MAX;
use messageu_wire::modern::operation::pull_envelopes::{DELIVERY_HEADER_SIZE, Delivery, Request, Response};
use tokio::time::{Instant, sleep_until};

use crate::limits::{PULL_ENVELOPES, PULL_WAIT};
use crate::modern::reason::Reason;
use crate::modern::session::Asker;
use crate::store;
use crate::store::modern::PendingEnvelope;

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let session = &asker.session;
    let attendance = asker.proven()?;
    let retry_after = Duration::from_secs(1);
    let _one_of_few = session.pulls.try_acquire().map_err(|_| Reason::TooMuch { retry_after })?;
    let give_up = Instant::now() + Duration::from_millis(request.wait_ms.into()).min(PULL_WAIT);
    loop {
        // Listened for before it is looked, so that nothing falls in between.
        let mail = attendance.mail();
        let deliveries = waiting(asker, &request).await?;
        if !deliveries.is_empty() || Instant::now() >= give_up {
            return Ok(Response::new(deliveries)?);
        }
        tokio::select! {
            () = mail => {}
            () = sleep_until(give_up) => {}
            () = session.ending.cancelled() => return Ok(Response::default()),
        }
    }
}

/// What waits now, as much as the asker wants and one answer has room for.
async fn waiting(asker: &Asker, request: &Request) -> Result<Vec<Delivery>, Reason> {
    // Behind the last place of all there is nothing.
    let after = store::Sequence(i64::try_from(request.after.0).unwrap_or(i64::MAX));
    let most = usize::try_from(request.max_bytes).unwrap_or(usize::MAX).min(PULL_MAX);
    let store = &asker.session.modern.store;
    let pending = store.pending_envelopes(asker.client_id, after, most, PULL_ENVELOPES).await?;
    let mut room = most;
    let mut deliveries = Vec::with_capacity(pending.len());
    for PendingEnvelope { sequence, minute, envelope } in pending {
        let size = DELIVERY_HEADER_SIZE + envelope.len();
        let is_first = deliveries.is_empty();
        match room.checked_sub(size) {
            Some(left) => room = left,
            None if is_first => room = 0,
            None => break,
        }
        deliveries.push(Delivery {
            sequence: Sequence(u64::try_from(sequence.0).unwrap_or_default()),
            time: UnixMinutes(minute),
            envelope: EnvelopeBytes::new(envelope.into())?,
        });
    }
    Ok(deliveries)
}
