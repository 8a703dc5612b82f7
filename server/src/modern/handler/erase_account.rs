//! EraseAccount: the asker's account is deleted with all that is kept for it, and its connections end.

use messageu_wire::modern::operation::erase_account::{Request, Response};

use crate::modern::reason::Reason;
use crate::modern::session::Asker;

pub(super) async fn handle(asker: &Asker, _: Request) -> Result<Response, Reason> {
    let Asker { session, client_id } = asker;
    session.modern.store.erase_account(*client_id).await?;
    session.modern.presences.tell_of_erasure(*client_id);
    tracing::info!(client = %client_id, "erased");
    Ok(Response)
}
