//! FetchChunk: a chunk of a file that is kept for the asker.

use messageu_wire::modern::field::ChunkBytes;
use messageu_wire::modern::operation::fetch_chunk::{Request, Response};

use crate::modern::reason::Reason;
use crate::modern::session::Asker;

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let store = &asker.session.modern.store;
    let chunk = store.fetch_chunk(asker.client_id, request.file_id, request.index).await?;
    let chunk = chunk.ok_or(Reason::UnknownFile)?;
    Ok(Response { chunk: ChunkBytes::new(chunk.into())? })
}
