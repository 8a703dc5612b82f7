//! The fields that bundles, envelopes and files are made of, each a type of its own.

use std::fmt;

use binrw::binrw;

use crate::fields::ClientId;

/// Bytes of an RSA-3072 SubjectPublicKeyInfo with e = 65537.
pub const RSA_PUBLIC_KEY_SIZE: usize = 422;
/// Bytes of an RSA-3072 signature or ciphertext.
pub const RSA_BLOCK_SIZE: usize = 384;

/// Declares fields that are a number of bytes without structure. They print as hexadecimal digits, the long ones
/// shortened in `Debug`.
macro_rules! bytes_fields {
    ($($(#[$meta:meta])* $name:ident: $size:expr;)*) => {$(
        #[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
        $(#[$meta])*
        #[binrw]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $size]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}(", stringify!($name))?;
                self.0.iter().take(16).try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(if self.0.len() > 16 { "…)" } else { ")" })
            }
        }
    )*};
}
pub(crate) use bytes_fields;

bytes_fields! {
    /// An RSA-3072 public key: SubjectPublicKeyInfo in DER.
    RsaPublicKey: RSA_PUBLIC_KEY_SIZE;
    /// An RSASSA-PSS signature.
    Signature: RSA_BLOCK_SIZE;
    /// A secret under RSAES-OAEP.
    WrappedSecret: RSA_BLOCK_SIZE;
    /// An X25519 public key: a u-coordinate, little-endian.
    DhPublicKey: 32;
    /// Which identity: `SHA-256("MU3-ID\0" ‖ identity SubjectPublicKeyInfo)`.
    Fingerprint: 32;
    /// Which session.
    SessionId: 16;
    /// A sender's number for a message.
    EnvelopeId: 16;
    /// A sender's number for a file.
    FileId: 16;
    /// The initialisation vector of a sealed content.
    Iv: 16;
    /// The authentication tag of a sealed content.
    Tag: 32;
    /// SHA-256 of a server's public key.
    ServerKeyHash: 32;
    /// What a server gives to be signed, once.
    ServerNonce: 32;
    /// What a client adds to what it signs.
    ClientNonce: 16;
    /// What an authentication is bound to: the TLS exporter's output, or the server's key hash again.
    Binding: 32;
    /// A SHA-256 over other fields.
    Digest: 32;
}

impl DhPublicKey {
    /// The u-coordinates of all points whose order divides 8 (RFC 7748, section 6.1; the curve's, and its twist's), in every
    /// spelling that 255 bits have.
    const LOW_ORDER: [[u8; 32]; 7] = [
        ends(0, 0, 0),
        ends(1, 0, 0),
        [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
            0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
        ],
        [
            0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
            0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
        ],
        // The prime 2^255 - 19 less one, itself, and one more.
        ends(0xec, 0xff, 0x7f),
        ends(0xed, 0xff, 0x7f),
        ends(0xee, 0xff, 0x7f),
    ];

    /// Whether whoever has this key agrees with everybody on nothing: on zeros, which are no secret. The topmost bit is none
    /// of the coordinate's.
    #[must_use]
    pub fn is_of_low_order(&self) -> bool {
        let mut coordinate = self.0;
        if let Some(last) = coordinate.last_mut() {
            *last &= 0x7f;
        }
        Self::LOW_ORDER.contains(&coordinate)
    }
}

/// A number of 32 bytes whose first and last differ from those between.
const fn ends(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut all = [between; 32];
    let [begin, .., end] = &mut all;
    (*begin, *end) = (first, last);
    all
}

impl RsaPublicKey {
    /// All before the modulus: SEQUENCE, rsaEncryption, BIT STRING, SEQUENCE, and the modulus' INTEGER header and sign byte.
    const PREFIX: [u8; 33] = [
        0x30, 0x82, 0x01, 0xa2, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
        0x05, 0x00, 0x03, 0x82, 0x01, 0x8f, 0x00, 0x30, 0x82, 0x01, 0x8a, 0x02, 0x82, 0x01, 0x81, 0x00,
    ];
    /// All behind it: the exponent 65537 as an INTEGER.
    const SUFFIX: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];

    /// The key of this modulus, big-endian, and of the exponent 65537.
    #[must_use]
    pub fn of_modulus(modulus: &[u8; RSA_BLOCK_SIZE]) -> Self {
        let mut key = [0; RSA_PUBLIC_KEY_SIZE];
        let bytes = Self::PREFIX.iter().chain(modulus).chain(&Self::SUFFIX);
        for (to, from) in key.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self(key)
    }

    /// The modulus, big-endian; `None` for anything but the one spelling of a key of 3,072 bits with the exponent 65537.
    #[must_use]
    pub fn modulus(&self) -> Option<&[u8; RSA_BLOCK_SIZE]> {
        let (modulus, suffix) = self.0.strip_prefix(&Self::PREFIX)?.split_first_chunk::<RSA_BLOCK_SIZE>()?;
        let [first, .., last] = modulus;
        (suffix == Self::SUFFIX && first & 0x80 != 0 && last & 1 != 0).then_some(modulus)
    }

    /// The part that is the RSAPublicKey of PKCS #1 (RFC 8017, A.1.1).
    #[must_use]
    pub fn pkcs1(&self) -> &[u8] {
        let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, key @ ..] = &self.0;
        key
    }
}

impl Fingerprint {
    /// What stands before the public key where its fingerprint is taken.
    pub const CONTEXT: &[u8] = b"MU3-ID\0";

    /// The client id of this identity: the first 16 bytes as a UUID of version 8 and of the RFC's variant.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(self.0) {
            *to = from;
        }
        let [.., version, _, variant, _, _, _, _, _, _, _] = &mut id;
        *version = *version & 0x0f | 0x80;
        *variant = *variant & 0x3f | 0x80;
        ClientId(id)
    }
}

/// Declares fields that are a number.
macro_rules! number_fields {
    ($($(#[$meta:meta])* $name:ident: $number:ty;)*) => {$(
        #[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
        $(#[$meta])*
        #[binrw]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
        pub struct $name(pub $number);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
pub(crate) use number_fields;

number_fields! {
    /// Which of its owner's bundles: grows with each.
    Epoch: u64;
    /// Seconds since 1970-01-01 00:00 UTC.
    UnixSeconds: u64;
    /// Milliseconds since 1970-01-01 00:00 UTC.
    UnixMillis: u64;
    /// Which prekey of its owner; each bundle has a prekey of its own.
    PrekeyId: u32;
    /// Which wrapping key of its owner.
    WrapId: u32;
    /// Which offer of its sender: below 2^31.
    OfferId: u32;
}

/// Which one-time prekey of its owner: 0 for none, 1 to 2^31 - 1 for those that are published, from 2^31 on for the key
/// of an offer.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec), spec(named))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct OneTimeId(pub u32);

#[cfg_attr(feature = "spec", crate::spec::named_values)]
impl OneTimeId {
    /// No one-time prekey.
    pub const NONE: Self = Self(0);
    /// The first of those that are published.
    pub const FIRST: Self = Self(1);
    /// The last of those that are published.
    pub const LAST: Self = Self(0x7fff_ffff);

    /// The bit that tells the key of an offer.
    const OFFER: u32 = 0x8000_0000;

    /// The id that an offer's key has where it is used.
    #[must_use]
    pub const fn of_offer(offer: OfferId) -> Self {
        Self(offer.0 | Self::OFFER)
    }

    /// Which offer's key this is, if it is one's.
    #[must_use]
    pub fn offer(self) -> Option<OfferId> {
        (self.0 & Self::OFFER != 0).then_some(OfferId(self.0 & !Self::OFFER))
    }
}

impl fmt::Display for OneTimeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self, self.offer()) {
            (Self::NONE, _) => f.write_str("no one-time key"),
            (_, Some(offer)) => write!(f, "the key of offer {offer}"),
            (Self(id), None) => write!(f, "one-time key {id}"),
        }
    }
}
