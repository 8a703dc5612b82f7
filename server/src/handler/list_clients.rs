//! ListClients: everybody but the asker, who has to be somebody.

use std::sync::Arc;

use messageu_wire::operation::list_clients::Request;

use super::{Asker, Outcome, Refusal};
use crate::relay::Relay;
use crate::store::Content;

pub(super) async fn handle(
    relay: &Arc<Relay>,
    asker: &Asker,
    _: Request,
    _: Content,
) -> Result<Outcome, Refusal> {
    Ok(Outcome::Roster(relay.store.roster(asker.known()?).await?))
}
