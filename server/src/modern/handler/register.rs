//! Register: an identity asks for an account, and signs for it. Where a code is asked for, it is sent, and everything is as
//! if nobody had the phone number, whether or not somebody has.

use std::time::SystemTime;

use messageu_wire::envelope::statement::Context;
use messageu_wire::modern::field::{RegistrationId, RegistrationState};
use messageu_wire::modern::operation::register::{Request, Response};

use crate::modern::identity::{Identity, check_bundle};
use crate::modern::reason::Reason;
use crate::modern::registration::Registration;
use crate::modern::session::{Asker, unix_seconds};
use crate::store::modern::NewAccount;

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let Asker { session, client_id } = asker;
    let Request { content, proof } = request;
    let challenge = session.challenge(*client_id, &proof);
    let owner = Identity::new(&content.bundle.content.identity);
    let owner = owner.filter(|owner| owner.client_id() == *client_id);
    let owner = owner.ok_or(Reason::InvalidKeys("the identity key"))?;
    if !challenge.is_met(&owner, Context::REGISTRATION, &content.encode(), &proof) {
        return Err(Reason::NotAuthenticated);
    }
    let now = SystemTime::now();
    check_bundle(&content.bundle, unix_seconds(now))?;
    asker.need_room(0)?;
    let account = NewAccount {
        fingerprint: owner.fingerprint(),
        name: content.name,
        phone: None,
        bundle: content.bundle,
    };
    let store = &session.modern.store;
    match &session.modern.registration {
        Registration::Closed => Err(Reason::Closed),
        Registration::Open => {
            store.register_account(account, now).await?;
            tracing::info!(client = %client_id, "registered in version 3");
            Ok(Response {
                registration_id: RegistrationId([0; 16]),
                ttl_s: 0,
                state: RegistrationState::REGISTERED,
            })
        }
        Registration::Code(codes) => {
            let phone = content.phone.ok_or(Reason::PhoneNeeded)?;
            codes.admit(session.site)?;
            let (pending, code) = codes.issue(account, &phone, now);
            let registration_id = RegistrationId(pending.id.0);
            store.begin_registration(pending, codes.rules(), now).await?;
            codes.send(phone, code);
            let ttl_s = u32::try_from(codes.life().as_secs()).unwrap_or(u32::MAX);
            Ok(Response { registration_id, ttl_s, state: RegistrationState::CODE_EXPECTED })
        }
    }
}
