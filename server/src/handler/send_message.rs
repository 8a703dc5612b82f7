//! SendMessage: a message joins its recipient's queue. The answer waits until it is on disk.

use std::sync::Arc;

use messageu_wire::fields::{ClientId, MessageId};
use messageu_wire::operation::send_message::{Request, Response};
use messageu_wire::operations;

use super::{Asker, Outcome, Refusal};
use crate::relay::Relay;
use crate::store::{Content, NewMessage};

/// What must hold before a content is taken in at all. Gives the request with its target's own id, and the sender's.
pub(crate) async fn check(
    relay: &Arc<Relay>,
    asker: &Asker,
    request: &Request,
) -> Result<(Request, ClientId), Refusal> {
    let from = asker.known()?;
    if !request.kind.is_known() {
        return Err(Refusal::UnknownType);
    }
    if request.size > relay.limits().content {
        return Err(Refusal::ContentTooLarge);
    }
    if !relay.disk_has_room(request.size.into()) {
        return Err(Refusal::DiskFull);
    }
    let to = relay.resolve(request.to).await?.ok_or(Refusal::UnknownTarget)?.id;
    Ok((Request { to, ..request.clone() }, from))
}

pub(super) async fn handle(
    relay: &Arc<Relay>,
    asker: &Asker,
    request: Request,
    content: Content,
) -> Result<Outcome, Refusal> {
    let Request { to, kind, .. } = request;
    let upload = match content {
        Content::Uploaded(upload) => Some(upload),
        Content::Inline(_) => None,
    };
    let message = NewMessage { to, from: asker.known()?, kind, content };
    let limits = relay.limits().queue;
    let enqueued = relay.store.enqueue(message, limits).await;
    if let (Err(_), Some(upload)) = (&enqueued, upload) {
        relay.store.abandon_upload(upload);
    }
    let sequence = enqueued?;
    let response = Response { to: Some(to), message_id: Some(sequence.message_id()) };
    Ok(Outcome::Answer(operations::Response::from(response)))
}

impl crate::store::Sequence {
    /// The number that the classic dialects know a message by: the low 32 bits.
    pub(crate) fn message_id(self) -> MessageId {
        MessageId(u32::try_from(self.0 & i64::from(u32::MAX)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use messageu_wire::fields::MessageId;

    use crate::store::Sequence;

    #[test]
    fn a_message_id_is_the_low_32_bits_of_its_number() {
        for (number, id) in
            [(1, 1), (0xffff_ffff, 0xffff_ffff), (1 << 32, 0), ((7 << 32) + 5, 5), (i64::MAX, u32::MAX)]
        {
            assert_eq!(Sequence(number).message_id(), MessageId(id));
        }
    }
}
