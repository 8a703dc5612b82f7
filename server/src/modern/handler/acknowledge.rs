//! Acknowledge: what the asker has is deleted. What is not there, or not the asker's, is passed over.

use messageu_wire::modern::operation::acknowledge::{Request, Response};

use crate::modern::reason::Reason;
use crate::modern::session::Asker;
use crate::store::Sequence;

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let in_use = |sequence: &messageu_wire::modern::field::Sequence| i64::try_from(sequence.0).ok();
    let sequences: Vec<Sequence> = request.sequences.iter().filter_map(in_use).map(Sequence).collect();
    let deleted = asker.session.modern.store.acknowledge_envelopes(asker.client_id, &sequences).await?;
    Ok(Response { deleted: u16::try_from(deleted).unwrap_or(u16::MAX) })
}
