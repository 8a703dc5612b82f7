//! spec.md, section 24: from Bob's private keys and the bytes that Alice sent, everything that the example says follows,
//! step by step, with primitives.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test should stop")]

mod common;

use std::collections::HashMap;

use common::primitives::{chain_step, hkdf, root_step};
use common::users::rsa_key;
use common::{rng, unhex};
use messageu_envelope::aead::AeadKey;
use messageu_envelope::dh::DhSecret;
use messageu_envelope::identity::Identity;
use messageu_envelope::wrapping::WrappingKey;
use messageu_wire::envelope::bundle::Bundle;
use messageu_wire::envelope::field::{DhPublicKey, OneTimeId, RsaPublicKey, Signature, WrappedSecret};
use messageu_wire::envelope::frame::{BodyType, Frame};
use messageu_wire::envelope::sealed::Sealed;
use messageu_wire::envelope::statement::Context;
use sha2::{Digest, Sha256};

const SPEC: &str = include_str!("../../spec.md");

/// What the example gives, by name.
fn given() -> HashMap<&'static str, Vec<u8>> {
    let (_, section) = SPEC.split_once("## 24 A worked example").unwrap();
    let (_, block) = section.split_once("```hex\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let mut given: HashMap<&str, String> = HashMap::new();
    let mut current = "";
    for line in block.lines() {
        let digits = match line.split_once(" =") {
            Some((name, digits)) => {
                current = name;
                digits
            }
            None => line,
        };
        given.entry(current).or_default().push_str(digits.trim());
    }
    given.into_iter().map(|(name, digits)| (name, unhex(&digits))).collect()
}

#[test]
fn the_worked_example_follows_from_bobs_keys_and_the_bytes_of_the_init() {
    let given = given();
    let is = |name: &str, derived: &[u8]| assert_eq!(given[name], derived, "{name}");
    let envelope = &given["INIT"];
    let (header, behind) = envelope.split_at(436);
    let (sender, msg) = behind.split_at(880);

    let bundle = Bundle::decode(&given["bundle_B"]).unwrap().content;
    is("bundle_hash", &Sha256::digest(&given["bundle_B"]));
    let fingerprint = |spki: &[u8]| Sha256::digest([b"MU3-ID\0", spki].concat()).to_vec();
    let id = |fingerprint: &[u8]| {
        let mut id = fingerprint[..16].to_vec();
        (id[6], id[8]) = (id[6] & 0x0f | 0x80, id[8] & 0x3f | 0x80);
        id
    };
    is("fingerprint_B", &fingerprint(&bundle.identity.0));
    is("id_B", &id(&given["fingerprint_B"]));
    is("T", &Sha256::digest([header, &given["fingerprint_B"], &given["bundle_hash"]].concat()));

    // The header names Bob's keys.
    assert_eq!(header[..8], *b"MU3\x01\x01\x02\0\0");
    let number = |at: usize| u32::from_le_bytes(*header[at..].first_chunk().unwrap());
    assert_eq!((number(8), number(16)), (bundle.prekey_id.0, bundle.wrap_id.0));
    assert_eq!(OneTimeId(number(12)), common::users::ONE_TIME_ID);
    let secret = |name: &str| DhSecret::from_bytes(given[name].as_slice().try_into().unwrap());
    let (prekey, one_time) = (secret("prekey_secret"), secret("one_time_secret"));
    assert_eq!(prekey.public_key(), bundle.prekey);
    let ephemeral = DhPublicKey(*header[20..].first_chunk().unwrap());
    is("agreed", &*prekey.agree(&ephemeral).unwrap());
    is("agreed_once", &*one_time.agree(&ephemeral).unwrap());
    let wrapping = WrappingKey::from_pkcs8_der(&rsa_key("bob", "wrapping")).unwrap();
    assert_eq!(*wrapping.public_key(), bundle.wrap_key);
    let wrapped = WrappedSecret(*header[52..].first_chunk().unwrap());
    is("random", wrapping.unwrap(&wrapped, &mut rng(1)).as_bytes());

    let joined = [given["random"].as_slice(), &given["agreed"], &given["agreed_once"]].concat();
    let derived = hkdf::<96>(&given["T"], &joined, b"MU3-INIT");
    is("K0", &derived[..64]);
    is("pre", &derived[64..]);
    let open = |key: &str, aad: &[u8], sealed: &[u8]| {
        let sealed = Sealed::decode("example", sealed, sealed.len()).unwrap();
        AeadKey::from_bytes(given[key].as_slice().try_into().unwrap()).open(aad, &sealed).unwrap()
    };
    let block = open("K0", &given["T"], sender);
    is("sender_block", &block);
    let identity = RsaPublicKey(*block[16..].first_chunk().unwrap());
    is("fingerprint_A", &fingerprint(&identity.0));
    is("id_A", &id(&given["fingerprint_A"]));
    assert_eq!(block[..16], *given["id_A"]);
    is("signed", &[b"MU3-INIT\0".as_slice(), &given["T"], &given["id_A"], &given["id_B"]].concat());
    let fields = &given["signed"][Context::INIT.as_bytes().len()..];
    let signature = Signature(*block.last_chunk().unwrap());
    assert_eq!(Identity::new(&identity).unwrap().verify(Context::INIT, fields, &signature), Ok(()));

    let info = [b"MU3-SK".as_slice(), &given["fingerprint_A"], &given["fingerprint_B"]].concat();
    let derived = hkdf::<48>(&given["T"], &given["pre"], &info);
    is("SK", &derived[..32]);
    is("session_id", &derived[32..]);
    assert_eq!(msg[8..24], *given["session_id"]);
    let ratchet = DhPublicKey(*msg[24..].first_chunk().unwrap());
    let (root, chain) = root_step(derived.first_chunk().unwrap(), &prekey.agree(&ratchet).unwrap());
    is("root", &root);
    is("chain", &chain);
    is("message_key", &chain_step(&chain).0);
    let parties =
        ["id_A", "id_B", "fingerprint_A", "fingerprint_B"].map(|name| given[name].as_slice()).concat();
    is("aad", &[b"MU3-MSG\0".as_slice(), &parties, &msg[..64]].concat());
    let plaintext = open("message_key", &given["aad"], &msg[64..]);
    is("plaintext", &plaintext);
    let frame = Frame::decode(&plaintext).unwrap();
    assert_eq!((frame.body_type, frame.body.as_slice()), (BodyType::TEXT, b"Hello, Bob!".as_slice()));
}
