//! DeleteClient: the asker's account ends. Ids are no secret and nothing proves who asks, so only clients that
//! registered in the dialect whose programs have this operation can be deleted; nobody else is exposed to it.

use std::sync::Arc;

use messageu_wire::dialect::Profile;
use messageu_wire::operation::delete_client::{Request, Response};
use messageu_wire::operations;

use super::{Asker, Outcome, Refusal};
use crate::relay::Relay;
use crate::store::Content;

pub(super) async fn handle(
    relay: &Arc<Relay>,
    asker: &Asker,
    _: Request,
    _: Content,
) -> Result<Outcome, Refusal> {
    let id = asker.known()?;
    let registered_as = asker.client.as_ref().and_then(|client| Profile::named(&client.profile));
    if !registered_as.is_some_and(|profile| profile.deletable) {
        return Err(Refusal::NotDeletable);
    }
    relay.delete_client(id).await?;
    tracing::info!(client = %id, "deleted at its own request");
    Ok(Outcome::Answer(operations::Response::from(Response)))
}
