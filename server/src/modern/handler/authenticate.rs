//! Authenticate: the connection is a client's, who signs for it. Every failure is the same, and takes as long.

use std::time::SystemTime;

use messageu_wire::envelope::statement::Context;
use messageu_wire::modern::operation::authenticate::{Request, Response};

use crate::modern::identity::Identity;
use crate::modern::reason::Reason;
use crate::modern::session::Asker;

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let Asker { session, client_id } = asker;
    let proof = request.proof;
    let challenge = session.challenge(*client_id, &proof);
    let account = session.modern.store.account(*client_id, SystemTime::now()).await?;
    let known = account.and_then(|account| Identity::new(&account.identity));
    // The id commits to the key: what is kept under it has to be that key.
    let known = known.filter(|identity| identity.client_id() == *client_id);
    let identity = known.as_ref().unwrap_or(&session.modern.decoy);
    let is_met = challenge.is_met(identity, Context::AUTHENTICATION, &[], &proof);
    if !(is_met & known.is_some()) {
        return Err(Reason::NotAuthenticated);
    }
    session.admit(*client_id)?;
    Ok(Response)
}
