//! Hello: a nonce to sign, the time, and what this server asks of those who register.

use std::time::SystemTime;

use messageu_wire::modern::field::ServerFlags;
use messageu_wire::modern::operation::hello::{Request, Response};

use crate::modern::reason::Reason;
use crate::modern::session::{Asker, unix_seconds};

pub(super) async fn handle(asker: &Asker, _: Request) -> Result<Response, Reason> {
    let Asker { session, .. } = asker;
    let mut flags = ServerFlags::default();
    if session.modern.registration.asks_for_codes() {
        flags.0 |= ServerFlags::CODE.0;
    }
    // Of an account's phone number, its owner alone is told.
    if let Ok(owner) = asker.proven()
        && session.modern.store.claim_on(owner.client()).await?.is_some()
    {
        flags.0 |= ServerFlags::PHONE_CLAIMED.0;
    }
    Ok(Response { nonce: session.new_nonce(), time: unix_seconds(SystemTime::now()), flags })
}
