//! PublishKeys: a new bundle of the asker's, and one-time keys beside those that are left.

use binrw::binrw;

use super::Payload;
use crate::envelope::bundle::{BUNDLE_SIZE, Bundle};
use crate::modern::field::{AtMost, OneTimeKey};
use crate::modern::limits::ONE_TIME_KEYS_MAX;

/// Bytes of an [`OneTimeKey`].
const ONE_TIME_KEY_SIZE: usize = 36;

/// ```text
/// 0 bundle 1294 ‖ 1294 count u16 ‖ 1296 count × (one-time id u32 ‖ X25519 32)
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// 0: the bundle. The one that is published already may come again, with further one-time keys.
    pub bundle: Bundle,
    /// 1294: one-time keys, each of which is given away once.
    pub one_time_keys: AtMost<OneTimeKey, ONE_TIME_KEYS_MAX>,
}

/// `remaining u16`
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// 0: how many of the asker's one-time keys have not been given away, these included.
    pub remaining: u16,
}

impl Payload for Request {
    const WHAT: &'static str = "request to publish keys";
    const MAX_SIZE: usize = BUNDLE_SIZE + 2 + ONE_TIME_KEYS_MAX * ONE_TIME_KEY_SIZE;
}

impl Payload for Response {
    const WHAT: &'static str = "response to publish keys";
    const MAX_SIZE: usize = 2;
}
