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

impl Fingerprint {
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
