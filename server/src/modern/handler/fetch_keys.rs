//! FetchKeys: what somebody can be written to with. A one-time key is given away once, to a client. Who is nobody gets none,
//! and sees what this server shows others.

use std::time::SystemTime;

use messageu_wire::error::WireError;
use messageu_wire::fields::ClientId;
use messageu_wire::modern::field::OneTimeKey;
use messageu_wire::modern::operation::fetch_keys::{Request, Response};

use crate::modern::reason::Reason;
use crate::modern::session::Asker;
use crate::store::modern::FetchedKeys;

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let store = &asker.session.modern.store;
    let by = match asker.client_id {
        // As if the owner asked, who uses none up.
        ClientId::NOBODY => request.client_id,
        _ => asker.proven()?.client(),
    };
    let fetched = store.fetch_keys(request.client_id, by, SystemTime::now()).await?;
    let FetchedKeys { bundle, one_time } = fetched;
    let one_time_key = one_time.map(|(id, key)| OneTimeKey::new(id, key)).transpose();
    Ok(Response { bundle, one_time_key: one_time_key.map_err(WireError::Field)? })
}
