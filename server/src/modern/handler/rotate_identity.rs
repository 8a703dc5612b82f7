//! RotateIdentity: the asker's account gives way to one of another identity. Both identities have to have signed.

use std::time::SystemTime;

use messageu_wire::envelope::statement::Context;
use messageu_wire::modern::operation::rotate_identity::{Request, Response};

use crate::modern::identity::{Identity, check_bundle};
use crate::modern::reason::Reason;
use crate::modern::session::{Asker, unix_seconds};
use crate::store::modern::Succession;

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let Asker { session, client_id } = asker;
    let (store, now) = (&session.modern.store, SystemTime::now());
    let signed = request.succession;
    let new = check_bundle(&signed.bundle, unix_seconds(now))?;
    let account = store.account(*client_id, now).await?.ok_or(Reason::NotAuthenticated)?;
    let old = Identity::new(&account.identity).ok_or(Reason::NotAuthenticated)?;
    let fields = signed.rotation(old.fingerprint(), new.fingerprint()).encode();
    if !old.has_signed(Context::ROTATION, &fields, &signed.by_old) {
        return Err(Reason::InvalidKeys("the signature of the old identity"));
    }
    if !new.has_signed(Context::SUCCESSION, &fields, &signed.by_new) {
        return Err(Reason::InvalidKeys("the signature of the new identity"));
    }
    asker.need_room(0)?;
    let succession = Succession {
        old_identity: account.identity,
        new_fingerprint: new.fingerprint(),
        new_bundle: signed.bundle,
        issued: signed.issued,
        rotation: signed.by_old,
        succession: signed.by_new,
    };
    store.rotate_identity(*client_id, succession, now).await?;
    tracing::info!(client = %client_id, to = %new.client_id(), "gave way to another identity");
    Ok(Response { client_id: new.client_id() })
}
