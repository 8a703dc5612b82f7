//! Any values of the types that not every bit pattern is one of.

use arbitrary::{Arbitrary, Error, Result, Unstructured};

use super::bounded::{AtMost, BoundedBytes};
use super::field::{ChunkPlace, Envelope, OneTimeKey, PhoneNumber, RegistrationCode};
use super::limits::{CODE_DIGITS, PHONE_DIGITS};
use super::operation::pull_envelopes::{Delivery, Response as Pulled};
use crate::envelope::field::{OfferId, OneTimeId};
use crate::envelope::{ENVELOPE_MAX, Prefix};

/// Most bytes that are made for a content of any size: more of them would be more of the same.
const CONTENT: usize = 300;

/// What was made to fit does.
fn made<T, E>(value: std::result::Result<T, E>) -> Result<T> {
    value.map_err(|_| Error::IncorrectFormat)
}

impl<'a, T: Arbitrary<'a>, const MAX: usize> Arbitrary<'a> for AtMost<T, MAX> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let count = u.int_in_range(0..=MAX.min(4))?;
        made(Self::new((0..count).map(|_| u.arbitrary()).collect::<Result<_>>()?))
    }
}

impl<'a, const MAX: usize> Arbitrary<'a> for BoundedBytes<MAX> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let size = u.int_in_range(0..=MAX.min(CONTENT))?;
        made(Self::new((0..size).map(|_| u.arbitrary()).collect::<Result<_>>()?))
    }
}

impl<'a> Arbitrary<'a> for Envelope {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let prefix = Prefix { magic: crate::envelope::MAGIC, ..u.arbitrary()? };
        let mut bytes = crate::envelope::encode(&prefix);
        bytes.extend(BoundedBytes::<{ ENVELOPE_MAX - 8 }>::arbitrary(u)?.iter());
        made(Self::new(bytes))
    }
}

impl<'a> Arbitrary<'a> for PhoneNumber {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let digits = u.int_in_range(PHONE_DIGITS)?;
        let first = char::from(u.int_in_range(b'1'..=b'9')?);
        let others = (1..digits).map(|_| Ok(char::from(u.int_in_range(b'0'..=b'9')?)));
        let text: String = ['+', first].into_iter().map(Ok).chain(others).collect::<Result<_>>()?;
        made(Self::new(&text))
    }
}

impl<'a> Arbitrary<'a> for RegistrationCode {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let digits = (0..CODE_DIGITS).map(|_| u.int_in_range(b'0'..=b'9'));
        made(Self::new(&digits.collect::<Result<Vec<u8>>>()?))
    }
}

impl<'a> Arbitrary<'a> for OneTimeKey {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let OfferId(most) = crate::envelope::offer::OFFER_ID_MAX;
        made(Self::new(OneTimeId(u.int_in_range(1..=most)?), u.arbitrary()?))
    }
}

impl<'a> Arbitrary<'a> for ChunkPlace {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let chunks = u.int_in_range(1..=u32::MAX)?;
        made(Self::new(u.int_in_range(0..=chunks - 1)?, chunks))
    }
}

impl<'a> Arbitrary<'a> for Pulled {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let count = u.int_in_range(0..=4)?;
        let deliveries: Vec<Delivery> = (0..count).map(|_| u.arbitrary()).collect::<Result<_>>()?;
        made(Self::new(deliveries))
    }
}
