//! THE TABLE. A row is an operation, a column is a family of dialects, a cell is `[request code => response code]`.
//!
//! Its two sections have no operation in common. The classic dialects share their operations and payloads, and each
//! family has a column; version 3 has operations of its own, one column, and who may ask for what.
//!
//! Everything that depends on which operations there are comes from this table: the [`Operation`], [`Request`] and
//! [`Response`] enums here and those in [`modern`](crate::modern), the codes, the server's handlers, the tests, the fuzz
//! targets. Hand it a macro to add a reading: `operations!(my_macro)` expands to
//! `my_macro! { classic { rows } modern { rows } }`.
//!
//! To add an operation: a row here, a file in `operation/` or `modern/operation/`, a handler in the server, a paragraph
//! in spec.md.

use std::fmt;

use crate::dialect::{Family, Profile};
use crate::error::WireError;
use crate::fields::ClientId;
use crate::operation::{
    RequestPayload, ResponsePayload, delete_client, fetch_key, list_clients, pull_messages, register,
    send_message,
};

/// The code of every refusal, in every dialect.
pub const REFUSAL_CODE: u16 = 9000;

/// Calls the macro `$then` with the rows of the table.
#[macro_export]
macro_rules! operations {
    ($then:ident) => {
        $then! {
            classic {
                // operation                   A              B               C               D              E
                Register     register      [100 => 1000] [1000 => 2000] [1100 => 2100] [600 => 2100] [700 => 2100]
                    "create an account";
                ListClients  list_clients  [101 => 1001] [1001 => 2001] [1101 => 2101] [601 => 2101] [701 => 2101]
                    "list all clients but the asker";
                FetchKey     fetch_key     [102 => 1002] [1002 => 2002] [1102 => 2102] [602 => 2102] [702 => 2102]
                    "fetch a client's public key";
                SendMessage  send_message  [103 => 1003] [1003 => 2003] [1103 => 2103] [603 => 2103] [703 => 2103]
                    "put a message into a client's queue";
                PullMessages pull_messages [104 => 1004] [1004 => 2004] [1104 => 2104] [604 => 2104] [704 => 2104]
                    "fetch and delete what waits for the asker";
                DeleteClient delete_client [-]           [-]            [-]            [605 => 2105] [-]
                    "delete the asker's account";
            }
            modern {
                // operation                            codes          who may ask
                Hello              hello               [3000 => 4000] anybody "ask for a nonce to sign";
                Authenticate       authenticate        [3001 => 4001] anybody "prove who asks on this connection";
                Register           register            [3002 => 4002] anybody "create an account for an identity";
                VerifyRegistration verify_registration [3003 => 4003] anybody "finish a registration with its code";
                PublishKeys        publish_keys        [3010 => 4010] client  "publish a new key bundle and one-time keys";
                FetchKeys          fetch_keys          [3011 => 4011] anybody "fetch a client's key bundle and a one-time key";
                SendEnvelope       send_envelope       [3020 => 4020] client  "put an envelope into a client's queue";
                PullEnvelopes      pull_envelopes      [3021 => 4021] client  "fetch what waits for the asker, or wait for it";
                Acknowledge        acknowledge         [3022 => 4022] client  "delete envelopes that were received";
                PutChunk           put_chunk           [3030 => 4030] client  "store a chunk of a file for a client";
                FetchChunk         fetch_chunk         [3031 => 4031] client  "fetch a chunk of a file";
                DropFile           drop_file           [3032 => 4032] client  "delete a file that was received";
                LookUp             look_up             [3040 => 4040] client  "find the client of an exact name";
                RotateIdentity     rotate_identity     [3041 => 4041] client  "move the asker's account to a new identity";
                EraseAccount       erase_account       [3042 => 4042] client  "delete the asker's account";
                FetchSuccession    fetch_succession    [3043 => 4043] client  "fetch who follows a client, with the proof";
            }
        }
    };
}

/// The codes of an operation in one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Codes {
    /// What a request of this operation carries.
    pub request: u16,
    /// What its response carries.
    pub response: u16,
}

macro_rules! cell {
    ([-]) => {
        None
    };
    ([$request:literal => $response:literal]) => {
        Some(Codes { request: $request, response: $response })
    };
}

macro_rules! declare {
    (
        classic { $($operation:ident $module:ident $a:tt $b:tt $c:tt $d:tt $e:tt $meaning:literal;)* }
        modern $modern:tt
    ) => {
        /// What a client can ask of a server.
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Operation {
            $(#[doc = $meaning] $operation,)*
        }

        impl Operation {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$operation,)*];

            /// The codes of this operation in a family; `None` where the family does not have it.
            #[must_use]
            pub const fn codes(self, family: Family) -> Option<Codes> {
                match (self, family) {
                    $(
                        (Self::$operation, Family::A) => cell!($a),
                        (Self::$operation, Family::B) => cell!($b),
                        (Self::$operation, Family::C) => cell!($c),
                        (Self::$operation, Family::D) => cell!($d),
                        (Self::$operation, Family::E) => cell!($e),
                    )*
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
        }

        /// A request's payload, as far as it is not content that streams.
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[derive(Clone, PartialEq, Eq, Debug)]
        #[expect(clippy::large_enum_variant, reason = "a registration is the largest by far, and the rarest")]
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
        }

        /// A response's payload, whole.
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[derive(Clone, PartialEq, Eq, Debug)]
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
        )*

        impl Request {
            /// Bytes that a request of this operation has before any content, in a profile.
            #[must_use]
            pub fn head_size(operation: Operation, profile: &Profile) -> usize {
                match operation {
                    $(Operation::$operation => <$module::Request as RequestPayload>::head_size(profile),)*
                }
            }

            /// Reads the payload of a request, without the content that streams.
            ///
            /// # Errors
            /// When `bytes` are not exactly what the profile lays down.
            pub fn decode(operation: Operation, bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
                match operation {
                    $(Operation::$operation => RequestPayload::decode(bytes, profile).map(Self::$operation),)*
                }
            }

            /// Appends the payload of this request, without the content that streams.
            pub fn encode(&self, profile: &Profile, out: &mut Vec<u8>) {
                match self {
                    $(Self::$operation(payload) => payload.encode(profile, out),)*
                }
            }

            /// Bytes of content that follow the payload.
            #[must_use]
            pub fn content_size(&self) -> u32 {
                match self {
                    $(Self::$operation(payload) => payload.content_size(),)*
                }
            }
        }

        impl Response {
            /// Reads the payload of a response, whole.
            ///
            /// # Errors
            /// When `bytes` are not exactly what the profile lays down.
            pub fn decode(operation: Operation, bytes: &[u8], profile: &Profile) -> Result<Self, WireError> {
                match operation {
                    $(Operation::$operation => ResponsePayload::decode(bytes, profile).map(Self::$operation),)*
                }
            }

            /// Appends the payload of this response to `asker`, whole.
            pub fn encode(&self, profile: &Profile, asker: ClientId, out: &mut Vec<u8>) {
                match self {
                    $(Self::$operation(payload) => payload.encode(profile, asker, out),)*
                }
            }

            /// The size that the header of this response declares; `None` beyond a u32.
            #[must_use]
            pub fn declared_size(&self, profile: &Profile) -> Option<u32> {
                match self {
                    $(Self::$operation(payload) => payload.declared_size(profile),)*
                }
            }
        }
    };
}

operations!(declare);

impl Operation {
    /// The operation that a request code means in a family.
    #[must_use]
    pub fn of_request(family: Family, code: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.codes(family).is_some_and(|codes| codes.request == code))
    }

    /// The operation that a response code means in a family.
    #[must_use]
    pub fn of_response(family: Family, code: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.codes(family).is_some_and(|codes| codes.response == code))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A response code as it came, known or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseCode {
    /// The family it was read in.
    pub family: Family,
    /// The number.
    pub code: u16,
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, Operation::of_response(self.family, self.code)) {
            (REFUSAL_CODE, _) => write!(f, "{REFUSAL_CODE} (refusal)"),
            (code, Some(operation)) => write!(f, "{code} ({operation})"),
            (code, None) => write!(f, "{code} (unknown in family {})", self.family),
        }
    }
}
