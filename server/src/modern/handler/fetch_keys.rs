//! FetchKeys: what somebody can be written to with. A one-time key is given away once.

use std::time::SystemTime;

use messageu_wire::error::WireError;
use messageu_wire::modern::field::OneTimeKey;
use messageu_wire::modern::operation::fetch_keys::{Request, Response};

use crate::modern::reason::Reason;
use crate::modern::session::Asker;
use crate::store::modern::FetchedKeys;

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let store = &asker.session.modern.store;
    let fetched = store.fetch_keys(request.client_id, asker.client_id, SystemTime::now()).await?;
    let FetchedKeys { bundle, one_time } = fetched;
    let one_time_key = one_time.map(|(id, key)| OneTimeKey::new(id, key)).transpose();
    Ok(Response { bundle, one_time_key: one_time_key.map_err(WireError::Field)? })
}
