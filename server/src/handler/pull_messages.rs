//! PullMessages: what waits for the asker, as much as one answer can declare.

use std::sync::Arc;

use messageu_wire::dialect::Profile;
use messageu_wire::operation::pull_messages::Request;

use super::{Announced, Asker, Mail, Outcome, Refusal};
use crate::limits::PULL_MESSAGES;
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
    let pending = relay.store.pending(to, Sequence::default(), PULL_MESSAGES, 0).await?;
    let announce = |Pending { sequence, kind, size, .. }| Announced { sequence, kind, size };
    let mut messages: Vec<Announced> = pending.into_iter().map(announce).collect();
    messages.truncate(fitting(asker.profile, &messages));
    Ok(Outcome::Mail(Mail { to, messages, turn }))
}

/// How many of these messages fit into the u32 that declares a pull's size; the others wait for the next pull. One
/// always fits, whatever its content.
///
/// Heads count in full, also in profiles that leave them out of the declared size: their clients add them.
fn fitting(profile: &Profile, messages: &[Announced]) -> usize {
    let head = u64::try_from(profile.entry.size()).unwrap_or(u64::MAX);
    let totals = messages.iter().scan(0_u64, |total, message| {
        *total = total.saturating_add(head).saturating_add(message.shown_size(profile).into());
        Some(*total)
    });
    totals.take_while(|total| *total <= u64::from(u32::MAX)).count()
}

#[cfg(test)]
mod tests {
    use messageu_wire::dialect::Profile;
    use messageu_wire::message::{CONTENT_MAX, MessageType};
    use messageu_wire::operation::pull_messages::declared_size;

    use super::fitting;
    use crate::handler::Announced;
    use crate::store::Sequence;

    fn announced(size: u32) -> Announced {
        Announced { sequence: Sequence(1), kind: MessageType::FILE, size }
    }

    #[test]
    fn the_total_of_a_pull_never_overflows_and_one_message_always_fits() {
        for profile in Profile::ALL {
            for sizes in
                [&[CONTENT_MAX, 0][..], &[1 << 31, 1 << 31, 5], &[1 << 30; 7], &[CONTENT_MAX - 100, 40, 40]]
            {
                let messages: Vec<Announced> = sizes.iter().copied().map(announced).collect();
                let fits = fitting(profile, &messages);
                assert!(fits >= 1 && fits < messages.len(), "{profile} {sizes:?}: {fits}");
                assert!(declared_size(profile, sizes[..fits].iter().copied()).is_some());
            }
        }
    }
}
