//! PublishKeys: a client's newest bundle, and one-time keys.

use std::time::SystemTime;

use messageu_wire::modern::operation::publish_keys::{Request, Response};

use crate::modern::identity::check_bundle;
use crate::modern::reason::Reason;
use crate::modern::session::{Asker, unix_seconds};

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let Request { bundle, one_time_keys } = request;
    let owner = check_bundle(&bundle, unix_seconds(SystemTime::now()))?;
    if owner.client_id() != asker.client_id {
        return Err(Reason::InvalidKeys("the identity key"));
    }
    if one_time_keys.iter().any(|key| key.key().is_of_low_order()) {
        return Err(Reason::InvalidKeys("a one-time key"));
    }
    asker.need_room(0)?;
    let one_time = one_time_keys.iter().map(|key| (key.id(), key.key())).collect();
    let remaining = asker.session.modern.store.publish_keys(asker.client_id, bundle, one_time).await?;
    Ok(Response { remaining })
}
