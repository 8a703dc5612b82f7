//! A real server, real clients, and those who stand between them or have what is not theirs.

pub(crate) mod classic;
pub(crate) mod forgery;
pub(crate) mod malicious;
pub(crate) mod middle;
pub(crate) mod person;
pub(crate) mod stolen;
pub(crate) mod tap;
pub(crate) mod world;

use messageu_wire::envelope::field::UnixSeconds;

pub(crate) use self::classic::{Classic, ClassicUser};
pub(crate) use self::middle::Middle;
pub(crate) use self::person::{Person, designation};
pub(crate) use self::stolen::Stolen;
pub(crate) use self::tap::Tap;
pub(crate) use self::world::World;

/// The time of whoever looks at a clock now.
pub(crate) fn now() -> UnixSeconds {
    crate::modern::now()
}

/// Whether bytes are somewhere in others.
pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A file of so many bytes, of which no two parts are alike.
pub(crate) fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ (at >> 16) as u8).collect()
}
