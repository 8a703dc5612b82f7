//! LookUp: who has exactly this name.

use messageu_wire::modern::operation::look_up::{Request, Response};

use crate::modern::reason::Reason;
use crate::modern::session::Asker;

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let client_id = asker.session.modern.store.account_named(&request.name).await?;
    Ok(Response { client_id: client_id.ok_or(Reason::UnknownClient)? })
}
