//! Register: a free name becomes an account.

use std::sync::Arc;
use std::time::SystemTime;

use messageu_wire::fields::ClientId;
use messageu_wire::operation::register::{Request, Response};
use messageu_wire::operations;

use super::{Asker, Outcome, Refusal};
use crate::relay::Relay;
use crate::store::{Client, Content, StoreError};

/// How often another id is tried when one is taken, which chance alone never brings about twice.
const ID_TRIES: u32 = 8;

pub(super) async fn handle(
    relay: &Arc<Relay>,
    asker: &Asker,
    request: Request,
    _: Content,
) -> Result<Outcome, Refusal> {
    let name = request.name.name()?;
    if !relay.disk_has_room(0) {
        return Err(Refusal::DiskFull);
    }
    let mut tries = 0;
    loop {
        let id = new_client_id();
        let profile = asker.profile.name.to_owned();
        let client = Client { id, name: name.clone(), public_key: request.public_key, profile };
        match relay.store.register(client, SystemTime::now()).await {
            Ok(()) => {
                tracing::info!(client = %id, profile = asker.profile.name, "registered");
                return Ok(Outcome::Answer(operations::Response::from(Response { client_id: id })));
            }
            Err(StoreError::IdTaken) if tries < ID_TRIES => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// A random UUID (version 4) whose bytes no program trips over: some keep ids as C strings or lines of a file, and a
/// request that began like a TLS record could be taken for one.
fn new_client_id() -> ClientId {
    loop {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid().into_bytes();
        if !id.contains(&0) && !id.contains(&b'\n') && !id.starts_with(&[0x16, 0x03]) {
            return ClientId(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::new_client_id;

    #[test]
    fn ids_are_random_uuids_without_the_bytes_that_programs_trip_over() {
        for _ in 0..10_000 {
            let id = new_client_id().0;
            assert!(!id.iter().any(|byte| matches!(byte, 0 | b'\n')));
            assert_ne!(id[..2], [0x16, 0x03]);
            assert_eq!((id[6] >> 4, id[8] >> 6), (4, 0b10));
        }
    }
}
