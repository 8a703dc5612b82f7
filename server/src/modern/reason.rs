//! Why a request is refused: for the log, and, with less in it, for whoever asked.

use std::time::Duration;

use messageu_wire::error::WireError;
use messageu_wire::fields::ClientId;
use messageu_wire::modern::{ErrorCode, Refusal};
use thiserror::Error;

use crate::store::modern::ModernError;

/// Why a request is refused.
#[derive(Debug, Error)]
pub(super) enum Reason {
    /// It is not what its operation lays down.
    #[error("{0}")]
    Malformed(#[from] WireError),
    /// Nobody can register here.
    #[error("nobody can register here (--registration closed)")]
    Closed,
    /// The connection is not that client's.
    #[error("not authenticated")]
    NotAuthenticated,
    /// There is nobody of this name or id.
    #[error("there is no such client")]
    UnknownClient,
    /// Keys that nobody could use, or that are not their owner's.
    #[error("{0} of the keys cannot be accepted")]
    InvalidKeys(&'static str),
    /// Keys that nobody may use any more.
    #[error("the keys have expired")]
    ExpiredKeys,
    /// There is no phone number to send a code to.
    #[error("a phone number is needed to register here")]
    PhoneNeeded,
    /// The code is wrong, or there is none any more.
    #[error("a wrong code")]
    WrongCode,
    /// The phone number is somebody's, who can still object.
    #[error("somebody else has the phone number, and can object until later")]
    PhoneClaimed {
        /// Until when.
        retry_after: Duration,
    },
    /// Too much at once, or too soon.
    #[error("too much at once, or too soon")]
    TooMuch {
        /// When there may be more.
        retry_after: Duration,
    },
    /// There is no such file, or chunk of it.
    #[error("there is no such file")]
    UnknownFile,
    /// The disk is almost full.
    #[error("the disk is almost full")]
    DiskFull,
    /// What the store refuses.
    #[error("{0}")]
    Store(#[from] ModernError),
}

impl Reason {
    /// What `asker` sees of it.
    pub(super) fn refusal(&self, asker: ClientId) -> Refusal {
        let plain = Refusal::new;
        match self {
            Self::Malformed(WireError::UnknownCode { .. }) | Self::Closed => plain(ErrorCode::UNSUPPORTED),
            Self::Malformed(_) => plain(ErrorCode::MALFORMED),
            Self::NotAuthenticated => plain(ErrorCode::NOT_AUTHENTICATED),
            // Erased on another connection.
            Self::Store(ModernError::UnknownClient(id)) if *id == asker && asker != ClientId::NOBODY => {
                plain(ErrorCode::NOT_AUTHENTICATED)
            }
            Self::UnknownClient | Self::Store(ModernError::UnknownClient(_)) => {
                plain(ErrorCode::UNKNOWN_CLIENT)
            }
            Self::InvalidKeys(_) => plain(ErrorCode::INVALID_KEYS),
            Self::ExpiredKeys | Self::Store(ModernError::StaleKeys) => plain(ErrorCode::STALE_KEYS),
            Self::PhoneNeeded => plain(ErrorCode::PHONE_NEEDED),
            Self::WrongCode | Self::Store(ModernError::NoSuchRegistration) => plain(ErrorCode::CODE_WRONG),
            Self::PhoneClaimed { retry_after } => after(ErrorCode::CONFLICT, *retry_after),
            Self::TooMuch { retry_after } | Self::Store(ModernError::TooSoon { retry_after }) => {
                after(ErrorCode::TOO_MANY_REQUESTS, *retry_after)
            }
            Self::UnknownFile => plain(ErrorCode::UNKNOWN_FILE),
            Self::Store(ModernError::NameTaken) => plain(ErrorCode::NAME_TAKEN),
            Self::Store(ModernError::Moved(_)) => plain(ErrorCode::MOVED),
            Self::Store(ModernError::Conflict(_) | ModernError::PhoneTaken) => plain(ErrorCode::CONFLICT),
            Self::Store(ModernError::QueueFull(_)) => plain(ErrorCode::QUEUE_FULL),
            Self::DiskFull | Self::Store(ModernError::Misuse(_) | ModernError::Storage(_)) => {
                plain(ErrorCode::UNAVAILABLE)
            }
        }
    }
}

/// A refusal that time helps: whole seconds, and one at least.
fn after(error: ErrorCode, time: Duration) -> Refusal {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    Refusal { error, retry_after_s: u32::try_from(seconds).unwrap_or(u32::MAX).max(1) }
}
