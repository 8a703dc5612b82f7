//! What two people compare to know that nobody stands between them: 60 digits, or a text in a QR code.

use std::fmt;
use std::str::FromStr;

use messageu_wire::envelope::field::Fingerprint;
use messageu_wire::fields::ClientId;
use sha2::{Digest, Sha512};

use crate::error::QrError;

/// Digits for each of two users.
const DIGITS: usize = 30;
/// Digits that stand together.
const GROUP: usize = 5;
/// How often a fingerprint is hashed: it costs whoever looks for a key with the same digits as often.
const ITERATIONS: u32 = 5200;
/// What stands before all that is hashed.
const CONTEXT: &[u8] = b"MU3-SAFETY\0";
/// What the text in a QR code begins with.
const QR_SCHEME: &str = "mu3";

/// The safety number of two users: 60 digits, the same for both.
///
/// Each user has 30 digits, which follow from the fingerprint alone; the smaller ones stand first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SafetyNumber(String);

impl SafetyNumber {
    /// The number of two users, in any order.
    #[must_use]
    pub fn new(a: &Fingerprint, b: &Fingerprint) -> Self {
        let mut halves = [digits(a), digits(b)];
        halves.sort();
        Self(halves.concat())
    }

    /// The 60 digits without spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafetyNumber {
    /// Twelve groups of five digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, digit) in self.0.chars().enumerate() {
            if at > 0 && at % GROUP == 0 {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// Six groups of five digits, each of five bytes of the hash modulo 100,000.
fn digits(fingerprint: &Fingerprint) -> String {
    let mut hash = Sha512::new_with_prefix(CONTEXT).chain_update(fingerprint.0).finalize();
    for _ in 1..ITERATIONS {
        hash = Sha512::new_with_prefix(hash).chain_update(fingerprint.0).finalize();
    }
    let groups = hash.chunks_exact(5).take(DIGITS / GROUP);
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    groups.map(|bytes| format!("{:05}", number(bytes) % 100_000)).collect()
}

/// What a QR code says: `mu3:<32 digits of the client id>:<64 digits of the fingerprint>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QrCode {
    fingerprint: Fingerprint,
}

impl QrCode {
    /// What the code of a user says.
    #[must_use]
    pub fn new(fingerprint: Fingerprint) -> Self {
        Self { fingerprint }
    }

    /// Whose fingerprint it says.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl fmt::Display for QrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{QR_SCHEME}:{}:{}", self.fingerprint.client_id(), self.fingerprint)
    }
}

impl FromStr for QrCode {
    type Err = QrError;

    /// Reads what [`fmt::Display`] writes, with digits of either case.
    fn from_str(text: &str) -> Result<Self, QrError> {
        let mut parts = text.split(':');
        let (Some(QR_SCHEME), Some(id), Some(fingerprint), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(QrError::Form);
        };
        let id: ClientId = id.parse().map_err(|_| QrError::Form)?;
        // A fingerprint is written as two client ids are.
        let (first, second) = fingerprint.split_at_checked(32).ok_or(QrError::Form)?;
        let halves = [first, second].map(|half| half.parse::<ClientId>());
        let [Ok(first), Ok(second)] = halves else { return Err(QrError::Form) };
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(first.0.into_iter().chain(second.0)).for_each(|(to, from)| *to = from);
        let fingerprint = Fingerprint(bytes);
        if fingerprint.client_id() == id { Ok(Self { fingerprint }) } else { Err(QrError::Mismatch) }
    }
}
