//! Bytes as records have them: base64 in JSON, in memory that is erased.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use messageu_wire::envelope::field::{
    Digest, EnvelopeId, FileId, Fingerprint, RsaPublicKey, SessionId, Signature, Tag,
};
use messageu_wire::fields::ClientId;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use zeroize::Zeroizing;

/// A value that is a number of bytes.
pub(crate) trait Bytes: Sized {
    fn bytes(&self) -> &[u8];

    /// `None` if no value has these bytes.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

macro_rules! fixed_sizes {
    ($($field:ident)*) => {$(
        impl Bytes for $field {
            fn bytes(&self) -> &[u8] {
                &self.0
            }

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map($field)
            }
        }
    )*};
}

fixed_sizes! { ClientId Digest EnvelopeId FileId Fingerprint RsaPublicKey SessionId Signature Tag }

impl<const N: usize> Bytes for Zeroizing<[u8; N]> {
    fn bytes(&self) -> &[u8] {
        self.as_slice()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::new)
    }
}

impl Bytes for Zeroizing<Vec<u8>> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self::new(bytes.to_vec()))
    }
}

/// Bytes in a record. `Debug` does not show them: many are secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stored<T>(pub(crate) T);

/// Secret bytes of any number.
pub(crate) type Secret = Stored<Zeroizing<Vec<u8>>>;

impl Secret {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }
}

impl<T> fmt::Debug for Stored<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stored(…)")
    }
}

impl<T: Bytes> Serialize for Stored<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.0.bytes();
        // Reserved whole: growing would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(3) * 4));
        STANDARD_NO_PAD.encode_string(bytes, &mut text);
        serializer.serialize_str(&text)
    }
}

impl<'de, T: Bytes> Deserialize<'de> for Stored<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64(PhantomData))
    }
}

struct Base64<T>(PhantomData<T>);

impl<T: Bytes> Visitor<'_> for Base64<T> {
    type Value = Stored<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes in base64")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        // No message quotes what may be secret.
        let wrong = || E::custom("these are no such bytes");
        let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
        let size = STANDARD_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| wrong())?;
        bytes.truncate(size);
        T::from_bytes(&bytes).map(Stored).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_come_back() {
        for length in 0..20 {
            let bytes: Vec<u8> = (0..length).collect();
            let text = serde_json::to_string(&Secret::of(&bytes)).unwrap();
            assert_eq!(*serde_json::from_str::<Secret>(&text).unwrap().0, bytes);
        }
    }

    #[test]
    fn bytes_of_another_length_are_no_id() {
        let text = serde_json::to_string(&Secret::of(&[7; 15])).unwrap();
        let error = serde_json::from_str::<Stored<ClientId>>(&text).err().unwrap().to_string();
        assert!(!error.contains("Bwc"), "it quotes the bytes: {error}");
    }
}
