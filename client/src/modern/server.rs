//! What the library asks of a server: one call an operation, on a connection that is authenticated as us.

use std::fmt;
use std::future::Future;

use messageu_wire::modern::operation::Call;
use messageu_wire::modern::{ErrorCode, Refusal};

use crate::error::{Error, ErrorKind};

/// A server, or what stands for one in tests.
pub trait Server {
    /// Asks, and waits for the answer. A call whose answer is lost may have been done or not; each may be made again.
    fn call<R: Call>(&self, request: R) -> impl Future<Output = Result<R::Response, CallError>>;
}

/// Why there is no answer, or none that helps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallError {
    /// The server refused.
    Refused(Refusal),
    /// There was no whole answer.
    Failed(Error),
}

impl CallError {
    /// Why the server refused, if it did.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.error),
            Self::Failed(_) => None,
        }
    }

    /// Whether the same may succeed later, without anything else being done.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                matches!(
                    refusal.error,
                    ErrorCode::QUEUE_FULL | ErrorCode::TOO_MANY_REQUESTS | ErrorCode::UNAVAILABLE
                )
            }
            Self::Failed(_) => true,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => match refusal.error.meaning() {
                Some(meaning) => write!(f, "the server refused: {meaning}"),
                None => write!(f, "the server refused: {}", refusal.error),
            },
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        let text = error.to_string();
        let refusal = match error {
            CallError::Failed(error) => return error,
            CallError::Refused(refusal) => refusal,
        };
        let failed = Self::new(ErrorKind::Refused, text);
        let wait = match refusal.retry_after_s {
            0 => "try again later".to_owned(),
            seconds => format!("try again in {seconds} s"),
        };
        match refusal.error {
            ErrorCode::NAME_TAKEN => failed.hint("choose another name"),
            ErrorCode::NOT_AUTHENTICATED => failed.hint(
                "the server does not know this identity: is it the server that you registered at? Has the account been erased?",
            ),
            ErrorCode::QUEUE_FULL => failed.hint("the recipient has to receive first; try again later"),
            ErrorCode::TOO_MANY_REQUESTS | ErrorCode::UNAVAILABLE => failed.hint(wait),
            ErrorCode::CODE_WRONG => failed.hint("`messageu register` again asks for another code"),
            ErrorCode::PHONE_NEEDED => failed.hint("give your number with --phone +..."),
            ErrorCode::UNSUPPORTED | ErrorCode::MALFORMED => failed.hint("the server may be older than this messageu"),
            _ => failed,
        }
    }
}
