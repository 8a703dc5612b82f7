//! FetchKey: anybody may have anybody's public key. Some programs put the target's id into the header, so that who
//! asks does not matter.

use std::sync::Arc;

use messageu_wire::operation::fetch_key::{Request, Response};
use messageu_wire::operations;

use super::{Asker, Outcome, Refusal};
use crate::relay::Relay;
use crate::store::Content;

pub(super) async fn handle(
    relay: &Arc<Relay>,
    _: &Asker,
    request: Request,
    _: Content,
) -> Result<Outcome, Refusal> {
    let target = relay.resolve(request.client_id).await?.ok_or(Refusal::UnknownTarget)?;
    let response = Response { client_id: Some(target.id), public_key: target.public_key };
    Ok(Outcome::Answer(operations::Response::from(response)))
}
