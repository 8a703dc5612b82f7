//! DropFile: a file that was kept for the asker is deleted. One that is not there is deleted already.

use messageu_wire::modern::operation::drop_file::{Request, Response};

use crate::modern::reason::Reason;
use crate::modern::session::Asker;

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let chunks = asker.session.modern.store.drop_file(asker.client_id, request.file_id).await?;
    Ok(Response { chunks })
}
