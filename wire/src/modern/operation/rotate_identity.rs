//! RotateIdentity: the asker's account goes on under a new identity, and so under a new client id.

use binrw::binrw;

use super::Payload;
use crate::envelope::bundle::{BUNDLE_SIZE, Bundle};
use crate::envelope::field::{Fingerprint, RSA_BLOCK_SIZE, Signature, UnixSeconds};
use crate::envelope::statement::Rotation;
use crate::fields::{CLIENT_ID_SIZE, ClientId};

/// That an identity gives way to another, with the signatures of both.
/// ```text
/// 0 new bundle 1294 ‖ 1294 issued u64 ‖ 1302 signature of the old 384 ‖ 1686 signature of the new 384
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Succession {
    /// 0: the keys of the identity that comes.
    pub bundle: Bundle,
    /// 1294: when it was signed.
    pub issued: UnixSeconds,
    /// 1302: the signature of a [`Rotation`] by the identity that goes, under `"MU3-ROTATE\0"`.
    pub by_old: Signature,
    /// 1686: that of the same by the identity that comes, under `"MU3-SUCCEED\0"`.
    pub by_new: Signature,
}

/// Bytes of [`Succession`].
pub const SUCCESSION_SIZE: usize = BUNDLE_SIZE + 8 + 2 * RSA_BLOCK_SIZE;

impl Succession {
    /// The fields that are signed, for identities of these fingerprints: the old one's, and that of the bundle.
    #[must_use]
    pub fn rotation(&self, from: Fingerprint, to: Fingerprint) -> Rotation {
        Rotation { from, to, issued: self.issued }
    }
}

/// `succession 2070`: of the asker's identity.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// 0: who follows, signed.
    pub succession: Succession,
}

/// `client id 16`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: that of the new identity.
    pub client_id: ClientId,
}

impl Payload for Request {
    const WHAT: &'static str = "request to rotate identity";
    const MAX_SIZE: usize = SUCCESSION_SIZE;
}

impl Payload for Response {
    const WHAT: &'static str = "response to rotate identity";
    const MAX_SIZE: usize = CLIENT_ID_SIZE;
}
