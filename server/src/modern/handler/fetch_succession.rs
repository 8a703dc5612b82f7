//! FetchSuccession: whom a client gave way to, with both signatures.

use messageu_wire::modern::operation::fetch_succession::{Request, Response};
use messageu_wire::modern::operation::rotate_identity;

use crate::modern::reason::Reason;
use crate::modern::session::Asker;
use crate::store::modern::Succession;

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let found = asker.session.modern.store.succession(request.client_id).await?;
    let Succession { old_identity, new_bundle, issued, rotation, succession, .. } =
        found.ok_or(Reason::UnknownClient)?;
    let succession =
        rotate_identity::Succession { bundle: new_bundle, issued, by_old: rotation, by_new: succession };
    Ok(Response { old_identity, succession })
}
