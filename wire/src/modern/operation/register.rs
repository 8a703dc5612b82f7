//! Register: an account for an identity. Where the server asks for a code, VerifyRegistration follows.
//!
//! The header's client id is that of the identity in the bundle.

use binrw::binrw;

use super::Payload;
use super::authenticate::{PROOF_SIZE, Proof};
use crate::envelope;
use crate::envelope::bundle::{BUNDLE_SIZE, Bundle};
use crate::fields::{NAME_MAX, Name};
use crate::modern::field::{PhoneNumber, RegistrationId, RegistrationState, short_name, short_phone};
use crate::modern::limits::PHONE_DIGITS;

/// `content ‖ proof 433`: signed under `"MU3-REG\0"`, with the content behind the fields of the authentication.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// What is asked for.
    pub content: Content,
    /// That the asker has the bundle's identity key.
    pub proof: Proof,
}

/// ```text
/// name (size u8 ‖ name) ‖ phone number (size u8 ‖ number; size 0: none) ‖ bundle 1294
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// The name asked for.
    #[br(parse_with = short_name::read)]
    #[bw(write_with = short_name::write)]
    pub name: Name,
    /// The phone number that a code is sent to.
    #[br(parse_with = short_phone::read)]
    #[bw(write_with = short_phone::write)]
    pub phone: Option<PhoneNumber>,
    /// The account's first keys.
    pub bundle: Bundle,
}

impl Content {
    /// The bytes that are signed, behind the context and the fields of the authentication.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        envelope::encode(self)
    }
}

/// ```text
/// 0 registration id 16 ‖ 16 time to live u32 ‖ 20 state 1
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: the number of this registration, which VerifyRegistration names.
    pub registration_id: RegistrationId,
    /// 16: seconds in which it has to be finished; 0 if there is nothing left to do.
    pub ttl_s: u32,
    /// 20: what is left to do.
    pub state: RegistrationState,
}

impl Payload for Request {
    const WHAT: &'static str = "request to register";
    const MAX_SIZE: usize = 1 + NAME_MAX + 1 + 1 + *PHONE_DIGITS.end() + BUNDLE_SIZE + PROOF_SIZE;
}

impl Payload for Response {
    const WHAT: &'static str = "response to register";
    const MAX_SIZE: usize = 21;
}
