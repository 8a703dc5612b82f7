//! VerifyRegistration: the code that came to the phone number makes the account.

use binrw::binrw;

use super::Payload;
use crate::fields::{CLIENT_ID_SIZE, ClientId};
use crate::modern::field::{RegistrationCode, RegistrationId};

/// ```text
/// 0 registration id 16 ‖ 16 code 6
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// 0: which registration.
    pub registration_id: RegistrationId,
    /// 16: decimal digits.
    pub code: RegistrationCode,
}

/// `client id 16`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: the client that is registered now.
    pub client_id: ClientId,
}

impl Payload for Request {
    const WHAT: &'static str = "request to verify registration";
    const MAX_SIZE: usize = 22;
}

impl Payload for Response {
    const WHAT: &'static str = "response to verify registration";
    const MAX_SIZE: usize = CLIENT_ID_SIZE;
}
