//! Whose a key is, and what it has signed. ring verifies: nothing here could decrypt.

use messageu_wire::envelope::Suite;
use messageu_wire::envelope::bundle::{Bundle, MIN_DIALECT};
use messageu_wire::envelope::field::{Fingerprint, RSA_BLOCK_SIZE, RsaPublicKey, Signature, UnixSeconds};
use messageu_wire::envelope::statement::Context;
use messageu_wire::fields::ClientId;
use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use super::reason::Reason;

/// The public key of somebody.
pub(super) struct Identity {
    key: RsaPublicKey,
    fingerprint: Fingerprint,
}

impl Identity {
    /// Takes a public key as an identity: RSA-3072 with e = 65537, in its one spelling.
    pub(super) fn new(key: &RsaPublicKey) -> Option<Self> {
        key.modulus()?;
        let hash = Sha256::new_with_prefix(Fingerprint::CONTEXT).chain_update(key.0).finalize();
        Some(Self { key: *key, fingerprint: Fingerprint(hash.into()) })
    }

    /// Nobody's: whatever it is asked about is not signed by it, which takes as long to find out as for any other.
    pub(super) fn decoy() -> Self {
        let mut modulus: [u8; RSA_BLOCK_SIZE] = rand::random();
        let [first, .., last] = &mut modulus;
        *first |= 0x80;
        *last |= 1;
        Self { key: RsaPublicKey::of_modulus(&modulus), fingerprint: Fingerprint([0; 32]) }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn client_id(&self) -> ClientId {
        self.fingerprint.client_id()
    }

    /// Whether it has signed these fields in this context.
    pub(super) fn has_signed(&self, context: Context, fields: &[u8], signature: &Signature) -> bool {
        let statement = [context.as_bytes(), fields].concat();
        let key = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, self.key.pkcs1());
        key.verify(&statement, &signature.0).is_ok()
    }
}

/// Checks a bundle that its owner publishes. Gives the owner.
pub(super) fn check_bundle(bundle: &Bundle, now: UnixSeconds) -> Result<Identity, Reason> {
    let content = &bundle.content;
    let owner = Identity::new(&content.identity).ok_or(Reason::InvalidKeys("the identity key"))?;
    if content.suite != Suite::ONE || content.min_dialect != MIN_DIALECT {
        return Err(Reason::InvalidKeys("the suite or the dialect"));
    }
    if content.wrap_key.modulus().is_none() || content.prekey.is_of_low_order() {
        return Err(Reason::InvalidKeys("the wrapping key or the prekey"));
    }
    if !owner.has_signed(Context::BUNDLE, &content.encode(), &bundle.signature) {
        return Err(Reason::InvalidKeys("the signature"));
    }
    if content.expires <= now {
        return Err(Reason::ExpiredKeys);
    }
    Ok(owner)
}

#[cfg(test)]
mod tests {
    use messageu_wire::envelope::field::{RSA_BLOCK_SIZE, RsaPublicKey, Signature};
    use messageu_wire::envelope::statement::Context;

    use super::Identity;

    #[test]
    fn a_decoy_is_a_key_like_any_other_and_has_signed_nothing() {
        let decoy = Identity::decoy();
        assert!(decoy.key.modulus().is_some());
        assert!(!decoy.has_signed(Context::AUTHENTICATION, b"", &Signature([1; 384])));
    }

    #[test]
    fn a_key_has_one_spelling() {
        let mut modulus = [0xff; RSA_BLOCK_SIZE];
        let key = RsaPublicKey::of_modulus(&modulus);
        assert!(Identity::new(&key).is_some());
        for at in (0..key.0.len()).filter(|at| !(33..417).contains(at)) {
            let mut other = key;
            other.0[at] ^= 1;
            assert!(Identity::new(&other).is_none(), "{at}");
        }
        modulus[0] = 0x7f;
        assert!(Identity::new(&RsaPublicKey::of_modulus(&modulus)).is_none());
        modulus[0] = 0xff;
        modulus[RSA_BLOCK_SIZE - 1] = 0xfe;
        assert!(Identity::new(&RsaPublicKey::of_modulus(&modulus)).is_none());
    }
}
