//! VerifyRegistration: the code that was sent finishes a registration. An attempt is counted, on disk, before it is looked
//! at; a registration that there is not, or not any more, is as good as a wrong code.

use std::time::SystemTime;

use messageu_wire::modern::operation::verify_registration::{Request, Response};

use crate::modern::reason::Reason;
use crate::modern::registration::{CODE_ATTEMPTS, Registration};
use crate::modern::session::Asker;
use crate::store::modern::{Completed, ModernError, RegistrationId};

pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
    let Asker { session, .. } = asker;
    let Registration::Code(codes) = &session.modern.registration else { return Err(Reason::WrongCode) };
    let (store, now) = (&session.modern.store, SystemTime::now());
    let id = RegistrationId(request.registration_id.0);
    let pending = store.count_attempt(id, CODE_ATTEMPTS, now).await?.ok_or(Reason::WrongCode)?;
    if !codes.is_right(id, &request.code, pending.code) {
        return Err(Reason::WrongCode);
    }
    let client_id = pending.account.id();
    match store.complete_registration(id, now).await? {
        Completed::Registered => {
            // Whoever has the number in hand has it: what others claimed before is void.
            store.object(client_id).await?;
            tracing::info!(client = %client_id, "registered in version 3");
            Ok(Response { client_id })
        }
        Completed::NameTaken => Err(ModernError::NameTaken.into()),
        Completed::PhoneWaits { until } => {
            let retry_after = until.duration_since(now).unwrap_or_default();
            Err(Reason::PhoneClaimed { retry_after })
        }
    }
}
