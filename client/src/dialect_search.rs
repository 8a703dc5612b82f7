//! Finding out which dialect and version a server answers, by trying.

use std::time::{Duration, Instant};

use messageu_wire::dialect::{Dialect, Family, Profile as WireProfile};

use crate::address::Address;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::session::Options;

/// How long a server may take that may not even speak the dialect it is tried in.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(4);
/// The families in the order they are tried in.
const TRIAL_ORDER: [Family; 5] = [Family::D, Family::E, Family::C, Family::B, Family::A];

/// Whether a request may be made again in another dialect when it is not known what became of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trial {
    Freely,
    Once,
}

/// What to do when it is not known whether a registration has arrived.
pub const UNSURE_HINT: &str = "the name may be registered all the same. Say the dialect (--dialect), or give the server \
                               longer (--timeout); if the name is refused then, take another";

fn unsure(error: Error) -> Error {
    Error::new(error.kind(), error.to_string()).hint(UNSURE_HINT)
}

/// What a server of which nothing is known answers, and in which dialect and version it was asked then.
///
/// After a refusal the other version is tried, after silence and nonsense only other dialects. If nothing is answered,
/// the error is a refusal if there was one.
pub(crate) async fn first_answered<T>(
    address: &Address,
    options: &Options,
    trial: Trial,
    ask: impl AsyncFn(&Client) -> Result<T>,
) -> Result<(T, Dialect, u8)> {
    let (mut failure, mut hopeless) = (None, None);
    let timeout = match (options.dialect, trial) {
        (None, Trial::Freely) => options.timeout.min(TRIAL_TIMEOUT),
        _ => options.timeout,
    };
    for (dialect, version) in candidates(options) {
        if hopeless == Some(dialect) {
            continue;
        }
        let began = Instant::now();
        let error = match ask(&Client { address: address.clone(), dialect, version, timeout }).await {
            Ok(answer) => return Ok((answer, dialect, version)),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::Refused => {}
            // The server may have done it all the same.
            ErrorKind::Data if trial == Trial::Once => return Err(unsure(error)),
            ErrorKind::NoAnswer if trial == Trial::Once && began.elapsed() >= timeout => {
                return Err(unsure(error));
            }
            ErrorKind::NoAnswer | ErrorKind::Data => hopeless = Some(dialect),
            _ => return Err(error),
        }
        let says_more = |old: &Error| old.kind() == ErrorKind::Refused || error.kind() != ErrorKind::Refused;
        failure = Some(failure.filter(says_more).unwrap_or(error));
    }
    Err(failure.unwrap_or_else(|| Error::new(ErrorKind::Other, "there is no dialect to try")))
}

/// What may be tried with a server of which nothing is known.
pub(crate) fn candidates(options: &Options) -> Vec<(Dialect, u8)> {
    let dialects = match options.dialect {
        Some(dialect) => vec![dialect],
        None => TRIAL_ORDER.map(Dialect::classic).to_vec(),
    };
    let versions = |dialect: Dialect| match (dialect.profile, options.version) {
        // The stray byte is known by version 1, and the answer that ends with the connection by version 2.
        (profile, _) if profile.stray > 0 => vec![1],
        (profile, _) if *profile == WireProfile::READ_TO_END => vec![2],
        (_, Some(1)) => vec![1, 2],
        _ => vec![2, 1],
    };
    dialects
        .into_iter()
        .flat_map(|dialect| versions(dialect).into_iter().map(move |version| (dialect, version)))
        .collect()
}
