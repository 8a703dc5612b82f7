//! PullMessages: what waits for the asker, as much as one answer can declare.

use std::sync::Arc;

use messageu_wire::dialect::Profile;
use messageu_wire::operation::pull_messages::Request;

use super::{Asker, Mail, Outcome, Refusal};
use crate::limits::{PULL_INLINE, PULL_MESSAGES};
use crate::relay::Relay;
use crate::store::{Content, Pending, Sequence};

pub(super) async fn handle(
    relay: &Arc<Relay>,
    asker: &Asker,
    _: Request,
    _: Content,
) -> Result<Outcome, Refusal> {
    let to = asker.known()?;
    let turn = relay.begin_pull(to).await;
    let mut messages = relay.store.pending(to, Sequence::default(), PULL_MESSAGES, PULL_INLINE).await?;
    messages.truncate(fitting(asker.profile, &messages));
    Ok(Outcome::Mail(Mail { to, messages, turn }))
}

/// How many of these messages fit into the u32 that declares a pull's size; the others wait for the next pull. One
/// always fits, whatever its content.
///
/// Heads count in full, also in profiles that leave them out of the declared size: their clients add them.
fn fitting(profile: &Profile, messages: &[Pending]) -> usize {
    let head = u64::try_from(profile.entry.size()).unwrap_or(u64::MAX);
    let totals = messages.iter().scan(0_u64, |total, message| {
        *total = total.saturating_add(head).saturating_add(message.size.into());
        Some(*total)
    });
    totals.take_while(|total| *total <= u64::from(u32::MAX)).count()
}

#[cfg(test)]
mod tests {
    use messageu_wire::dialect::Profile;
    use messageu_wire::fields::ClientId;
    use messageu_wire::message::{CONTENT_MAX, MessageType};
    use messageu_wire::operation::pull_messages::declared_size;

    use super::fitting;
    use crate::store::{Pending, Sequence};

    fn pending(size: u32) -> Pending {
        Pending {
            sequence: Sequence(1),
            from: ClientId([1; 16]),
            kind: MessageType::FILE,
            size,
            content: None,
        }
    }

    #[test]
    fn the_total_of_a_pull_never_overflows_and_one_message_always_fits() {
        for profile in Profile::ALL {
            for sizes in
                [&[CONTENT_MAX, 0][..], &[1 << 31, 1 << 31, 5], &[1 << 30; 7], &[CONTENT_MAX - 100, 40, 40]]
            {
                let messages: Vec<Pending> = sizes.iter().copied().map(pending).collect();
                let fits = fitting(profile, &messages);
                assert!(fits >= 1 && fits < messages.len(), "{profile} {sizes:?}: {fits}");
                assert!(declared_size(profile, sizes[..fits].iter().copied()).is_some());
            }
        }
    }
}
