//! Refusals: why a server does not do what it was asked.

use std::fmt;

use binrw::binrw;

use super::operation::Payload;

/// Declares the error codes: one row a code.
macro_rules! error_codes {
    ($($constant:ident $code:literal $name:literal $meaning:literal;)*) => {
        impl ErrorCode {
            $(#[doc = concat!(stringify!($code), ": ", $meaning, ".")] pub const $constant: Self = Self($code);)*

            /// All that have a name.
            pub const ALL: &'static [Self] = &[$(Self::$constant,)*];

            /// The code's name, if it has one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$constant => Some($name),)*
                    _ => None,
                }
            }

            /// What the code means, in a few words; `None` for a code without a name.
            #[must_use]
            pub const fn meaning(self) -> Option<&'static str> {
                match self {
                    $(Self::$constant => Some($meaning),)*
                    _ => None,
                }
            }
        }

        #[cfg(feature = "spec")]
        impl crate::spec::NamedValues for ErrorCode {
            fn named_values() -> Vec<crate::spec::NamedValue> {
                vec![$(crate::spec::NamedValue {
                    name: stringify!($constant).into(),
                    value: $code,
                    doc: concat!(stringify!($code), ": ", $meaning, ".").into(),
                }),*]
            }
        }
    };
}

/// Why a server refuses.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec), spec(named))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub u16);

error_codes! {
    MALFORMED             1 "malformed"             "the payload is not what the operation lays down";
    UNSUPPORTED           2 "unsupported"           "this server does not do that";
    NOT_AUTHENTICATED     3 "not_authenticated"     "the connection is not authenticated as the client that asks";
    UNKNOWN_CLIENT        4 "unknown_client"        "there is no such client";
    NAME_TAKEN            5 "name_taken"            "somebody else has the name";
    INVALID_KEYS          6 "invalid_keys"          "the keys are of no kind that is used, or not signed by their identity";
    STALE_KEYS            7 "stale_keys"            "the keys have expired, or there are newer ones";
    QUEUE_FULL            8 "queue_full"            "the recipient's queue has no room";
    TOO_MANY_REQUESTS     9 "too_many_requests"     "too much was asked in too short a time";
    CODE_WRONG           10 "code_wrong"            "the code is wrong, has expired, or was tried too often";
    PHONE_NEEDED         11 "phone_needed"          "this server registers phone numbers alone";
    CONFLICT             12 "conflict"              "something else is stored under the same number";
    MOVED                13 "moved"                 "the client has another identity now";
    UNKNOWN_FILE         14 "unknown_file"          "there is no such file, or no such chunk of it";
    UNAVAILABLE          15 "unavailable"           "the server cannot do that now";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "unknown error {}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorCode({}: {self})", self.0)
    }
}

/// ```text
/// 0 error u16 ‖ 2 retry after u32
/// ```
/// The payload of a response of code 9000.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// 0: why. One error stands for every failure of authentication.
    pub error: ErrorCode,
    /// 2: seconds after which the same may succeed; 0 if time does not help, or nobody knows.
    pub retry_after_s: u32,
}

impl Refusal {
    /// A refusal that time does not help.
    #[must_use]
    pub const fn new(error: ErrorCode) -> Self {
        Self { error, retry_after_s: 0 }
    }
}

impl Payload for Refusal {
    const WHAT: &'static str = "refusal";
    const MAX_SIZE: usize = 6;
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        match self.retry_after_s {
            0 => Ok(()),
            seconds => write!(f, ", try again in {seconds} s"),
        }
    }
}
