//! SendEnvelope: an envelope joins its recipient's queue. The answer waits until it is on disk; then whoever waits for it
//! hears of it.

use std::time::SystemTime;

use bytes::Bytes;
use messageu_wire::modern::field::StoreStatus;
use messageu_wire::modern::operation::send_envelope::{Request, Response};

use crate::modern::reason::Reason;
use crate::modern::session::Asker;
use crate::store::modern::{Kept, NewEnvelope};

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let Asker { session, client_id } = asker;
    let Request { to, message_id, envelope } = request;
    asker.need_room(envelope.as_bytes().len())?;
    let kind = envelope.kind();
    let envelope = Bytes::from(envelope.into_vec());
    let new = NewEnvelope { to, from: *client_id, message_id, kind, envelope };
    let limits = session.relay.limits().mail;
    let kept = session.modern.store.enqueue_envelope(new, limits, SystemTime::now()).await?;
    if kept == Kept::Now {
        session.modern.presences.tell_of_mail(to);
    }
    Ok(Response { to, message_id, status: status(kept) })
}

/// Whether something is stored now, or was before.
pub(super) fn status(kept: Kept) -> StoreStatus {
    match kept {
        Kept::Now => StoreStatus::STORED,
        Kept::Before => StoreStatus::STORED_ALREADY,
    }
}
