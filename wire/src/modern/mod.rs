//! The modern dialect, version 3: what travels inside TLS between a client and its server.
//!
//! [`operation`] has the payloads, one file an operation; [`frame`] has the headers before them and the readers of
//! streams; [`limits`] has every size; [`transport`] has what TLS is told. What users send each other, which a server
//! stores and cannot read, is in [`envelope`](crate::envelope).
//!
//! Every integer is little-endian. Every value has one spelling: what decodes encodes to the same bytes.

#[cfg(feature = "arbitrary")]
mod any_value;
mod bounded;
pub mod error_code;
pub mod field;
pub mod frame;
pub mod limits;
pub mod operation;
pub mod transport;

use std::fmt;

pub use error_code::{ErrorCode, Refusal};
use operation::{
    Payload, acknowledge, authenticate, drop_file, erase_account, fetch_chunk, fetch_keys, fetch_succession,
    hello, look_up, publish_keys, pull_envelopes, put_chunk, register, rotate_identity, send_envelope,
    verify_registration,
};

use crate::error::WireError;
use crate::operations::Codes;

/// The version byte of every frame.
pub const VERSION: u8 = 3;

macro_rules! is_for_clients {
    (anybody) => {
        false
    };
    (client) => {
        true
    };
}

macro_rules! declare {
    (
        classic $classic:tt
        modern {
            $($operation:ident $module:ident [$request:literal => $response:literal] $who:ident $meaning:literal;)*
        }
    ) => {
        /// What a client can ask of a server in version 3.
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Operation {
            $(#[doc = $meaning] $operation,)*
        }

        impl Operation {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$operation,)*];

            /// The codes of this operation.
            #[must_use]
            pub const fn codes(self) -> Codes {
                match self {
                    $(Self::$operation => Codes { request: $request, response: $response },)*
                }
            }

            /// Whether the connection has to be authenticated first, as the client that the header names.
            #[must_use]
            pub const fn is_for_clients(self) -> bool {
                match self {
                    $(Self::$operation => is_for_clients!($who),)*
                }
            }

            /// What the operation does, in a few words.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$operation => $meaning,)*
                }
            }

            /// The operation's name in the words of this project: verb-noun.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$operation => stringify!($module),)*
                }
            }

            /// Most bytes of the payload of a request.
            #[must_use]
            pub const fn request_max(self) -> usize {
                match self {
                    $(Self::$operation => <$module::Request as Payload>::MAX_SIZE,)*
                }
            }

            /// Most bytes of the payload of a response.
            #[must_use]
            pub const fn response_max(self) -> usize {
                match self {
                    $(Self::$operation => <$module::Response as Payload>::MAX_SIZE,)*
                }
            }
        }

        /// A request's payload.
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[derive(Clone, PartialEq, Eq, Debug)]
        #[expect(clippy::large_enum_variant, reason = "bundles and proofs are the largest, and the rarest")]
        pub enum Request {
            $(#[doc = $meaning] $operation($module::Request),)*
        }

        impl Request {
            /// Which operation this asks for.
            #[must_use]
            pub const fn operation(&self) -> Operation {
                match self {
                    $(Self::$operation(_) => Operation::$operation,)*
                }
            }

            /// Reads the payload of a request.
            ///
            /// # Errors
            /// When `bytes` are not exactly what the operation lays down.
            pub fn decode(operation: Operation, bytes: &[u8]) -> Result<Self, WireError> {
                match operation {
                    $(Operation::$operation => Payload::decode(bytes).map(Self::$operation),)*
                }
            }

            /// Appends the payload of this request.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$operation(payload) => payload.encode(out),)*
                }
            }
        }

        /// A response's payload.
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[derive(Clone, PartialEq, Eq, Debug)]
        #[expect(clippy::large_enum_variant, reason = "bundles and proofs are the largest, and the rarest")]
        pub enum Response {
            $(#[doc = $meaning] $operation($module::Response),)*
        }

        impl Response {
            /// Which operation this answers.
            #[must_use]
            pub const fn operation(&self) -> Operation {
                match self {
                    $(Self::$operation(_) => Operation::$operation,)*
                }
            }

            /// Reads the payload of a response.
            ///
            /// # Errors
            /// When `bytes` are not exactly what the operation lays down.
            pub fn decode(operation: Operation, bytes: &[u8]) -> Result<Self, WireError> {
                match operation {
                    $(Operation::$operation => Payload::decode(bytes).map(Self::$operation),)*
                }
            }

            /// Appends the payload of this response.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$operation(payload) => payload.encode(out),)*
                }
            }
        }

        $(
            impl From<$module::Request> for Request {
                fn from(request: $module::Request) -> Self {
                    Self::$operation(request)
                }
            }

            impl From<$module::Response> for Response {
                fn from(response: $module::Response) -> Self {
                    Self::$operation(response)
                }
            }

            impl operation::Call for $module::Request {
                type Response = $module::Response;

                fn response(response: Response) -> Option<$module::Response> {
                    match response {
                        Response::$operation(response) => Some(response),
                        _ => None,
                    }
                }
            }
        )*
    };
}

crate::operations!(declare);

impl Operation {
    /// The operation that a request code means.
    #[must_use]
    pub fn of_request(code: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.codes().request == code)
    }

    /// The operation that a response code means.
    #[must_use]
    pub fn of_response(code: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.codes().response == code)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
