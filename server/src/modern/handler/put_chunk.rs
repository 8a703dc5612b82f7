//! PutChunk: a chunk of a file is kept for its recipient. The answer waits until it is on disk.

use std::time::SystemTime;

use bytes::Bytes;
use messageu_wire::modern::operation::put_chunk::{Request, Response};

use super::send_envelope::status;
use crate::modern::reason::Reason;
use crate::modern::session::Asker;
use crate::store::modern::{FILE_CHUNKS_MAX, ModernError, NewChunk};

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let Asker { session, client_id } = asker;
    let Request { to, file_id, place, chunk } = request;
    if place.chunks() > FILE_CHUNKS_MAX {
        return Err(ModernError::QueueFull("chunks of one file").into());
    }
    asker.need_room(chunk.len())?;
    let index = place.index();
    let bytes = Bytes::from(chunk.into_vec());
    let new = NewChunk { to, from: *client_id, file: file_id, chunks: place.chunks(), index, bytes };
    let limits = session.relay.limits().mail;
    let kept = session.modern.store.put_chunk(new, limits, SystemTime::now()).await?;
    Ok(Response { file_id, index, status: status(kept) })
}
