//! Who asks: users with true keys, what they publish, and what they sign.

use std::sync::OnceLock;

use messageu_wire::envelope::Suite;
use messageu_wire::envelope::bundle::{Bundle, BundleContent, MIN_DIALECT};
use messageu_wire::envelope::field::{
    DhPublicKey, Epoch, Fingerprint, PrekeyId, RsaPublicKey, Signature, UnixSeconds, WrapId,
};
use messageu_wire::envelope::statement::Context;
use messageu_wire::fields::ClientId;
use messageu_wire::modern::operation::rotate_identity::Succession;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};

use crate::property::end_to_end::users::{User, alice, bob, carol};

/// How many there are.
pub(super) const PEOPLE: usize = 3;
/// Bundles of each: of rising epochs, and the last one has expired.
pub(super) const BUNDLES: usize = 4;

/// When successions were signed.
const ISSUED: UnixSeconds = UnixSeconds(7);

/// Somebody.
pub(super) struct Person {
    pub(super) fingerprint: Fingerprint,
    pub(super) identity: RsaPublicKey,
    pub(super) bundles: [Bundle; BUNDLES],
    /// The same key as that of the identity: ring signs in a fifth of the time.
    key: RsaKeyPair,
}

impl Person {
    fn new(user: &User) -> Self {
        let der = user.key.to_pkcs8_der().expect("a key");
        let key = RsaKeyPair::from_pkcs8(&der).expect("a key");
        let identity = user.bundle.bundle().content.identity;
        let bundles = std::array::from_fn(|at| {
            let is_last = at + 1 == BUNDLES;
            let number = u8::try_from(at).expect("a few") + 1;
            let content = BundleContent {
                suite: Suite::ONE,
                min_dialect: MIN_DIALECT,
                epoch: Epoch(number.into()),
                issued: UnixSeconds(0),
                // No clock gets there; or every clock was there.
                expires: UnixSeconds(if is_last { 1 } else { u64::MAX }),
                prekey_id: PrekeyId(number.into()),
                prekey: DhPublicKey([number + 8; 32]),
                wrap_id: WrapId(1),
                wrap_key: identity,
                identity,
            };
            let signature = sign(&key, Context::BUNDLE, &content.encode());
            Bundle { content, signature }
        });
        Self { fingerprint: user.identity().fingerprint(), identity, bundles, key }
    }

    pub(super) fn id(&self) -> ClientId {
        self.fingerprint.client_id()
    }

    pub(super) fn sign(&self, context: Context, fields: &[u8]) -> Signature {
        sign(&self.key, context, fields)
    }
}

/// All of them.
pub(super) fn people() -> &'static [Person; PEOPLE] {
    static ALL: OnceLock<[Person; PEOPLE]> = OnceLock::new();
    ALL.get_or_init(|| [alice(), bob(), carol()].map(Person::new))
}

/// Whose id this is.
pub(super) fn person_of(id: ClientId) -> Option<&'static Person> {
    people().iter().find(|person| person.id() == id)
}

/// Whose bundle this is, if it is just as its owner signed it.
pub(super) fn signer_of(bundle: &Bundle) -> Option<&'static Person> {
    people().iter().find(|person| person.bundles.contains(bundle))
}

/// That one gives way to another, signed by both; with the first bundle of the other.
pub(super) fn succession(old: usize, new: usize) -> &'static Succession {
    static ALL: OnceLock<Vec<Succession>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let pairs = people().iter().flat_map(|old| people().iter().map(move |new| (old, new)));
        pairs.map(|(old, new)| give_way(old, new)).collect()
    });
    &all[old * PEOPLE + new]
}

/// Whether both have signed it.
pub(super) fn is_signed_by_both(succession: &Succession, old: &Person, new: &Person) -> bool {
    let place = |person: &Person| people().iter().position(|one| one.id() == person.id());
    let (Some(old), Some(new)) = (place(old), place(new)) else { return false };
    let signed = self::succession(old, new);
    (succession.issued, &succession.by_old, &succession.by_new)
        == (signed.issued, &signed.by_old, &signed.by_new)
}

fn give_way(old: &Person, new: &Person) -> Succession {
    let none = Signature([0; 384]);
    let mut signed =
        Succession { bundle: new.bundles[0].clone(), issued: ISSUED, by_old: none, by_new: none };
    let fields = signed.rotation(old.fingerprint, new.fingerprint).encode();
    signed.by_old = old.sign(Context::ROTATION, &fields);
    signed.by_new = new.sign(Context::SUCCESSION, &fields);
    signed
}

fn sign(key: &RsaKeyPair, context: Context, fields: &[u8]) -> Signature {
    let mut signature = Signature([0; 384]);
    let statement = [context.as_bytes(), fields].concat();
    key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), &statement, &mut signature.0).expect("a signature");
    signature
}
