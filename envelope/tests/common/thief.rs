//! What a thief of a device's whole state can read of a session's messages.
//!
//! The thief knows everything that was stored of a session, and every envelope that ever crossed the network, and derives
//! from it whatever can be derived with primitives alone: message keys from chain keys, root and chain keys from root
//! keys, stolen private keys and all public keys.

use std::collections::HashSet;

use messageu_envelope::aead::AeadKey;
use messageu_envelope::dh::DhSecret;
use messageu_envelope::identity::Identity;
use messageu_envelope::session::Session;
use messageu_wire::envelope::field::DhPublicKey;
use messageu_wire::envelope::msg::Msg;

use super::primitives::{chain_step, root_step};

/// What a thief has, and what follows from it.
pub struct Thief {
    roots: HashSet<[u8; 32]>,
    chains: HashSet<[u8; 32]>,
    pub secrets: Vec<DhSecret>,
    message_keys: Vec<[u8; 64]>,
}

/// How many messages a chain is followed for.
const CHAIN_LENGTH: usize = 30;
/// How many root steps are followed.
const ROOT_STEPS: usize = 2;

impl Thief {
    /// Takes a stored session apart, as session_state.rs lays it out.
    pub fn of(session: &Session) -> Self {
        let stored = session.to_bytes();
        let mut at = 81;
        let mut take = |size: usize| {
            at += size;
            &stored[at - size..at]
        };
        let mut thief = Self {
            roots: HashSet::new(),
            chains: HashSet::new(),
            secrets: Vec::new(),
            message_keys: Vec::new(),
        };
        thief.roots.insert(take(32).try_into().unwrap());
        let sends_chain = take(1) == [1];
        take(4);
        if sends_chain {
            thief.secrets.push(DhSecret::from_bytes(take(32).try_into().unwrap()));
            thief.chains.insert(take(32).try_into().unwrap());
            take(4);
        }
        if take(1) == [1] {
            take(32);
            thief.chains.insert(take(32).try_into().unwrap());
            take(4);
        }
        let count = u16::from_le_bytes(take(2).try_into().unwrap());
        for _ in 0..count {
            take(44);
            thief.message_keys.push(take(64).try_into().unwrap());
        }
        assert_eq!(at, stored.len());
        thief
    }

    /// Which of the envelopes, which are MSGs that two users have sent each other, it can read.
    pub fn reads(mut self, envelopes: &[Vec<u8>], users: [&Identity; 2]) -> Vec<bool> {
        let messages: Vec<Msg> = envelopes.iter().map(|envelope| Msg::decode(envelope).unwrap()).collect();
        let publics: HashSet<DhPublicKey> = messages.iter().map(|msg| msg.header.ratchet).collect();
        let mut newest = self.roots.clone();
        for _ in 0..ROOT_STEPS {
            let steps = newest.iter().flat_map(|root| {
                let pairs =
                    self.secrets.iter().flat_map(|secret| publics.iter().map(move |key| (secret, key)));
                pairs.map(|(secret, public)| root_step(root, &secret.agree(public).unwrap()))
            });
            let (roots, chains): (HashSet<_>, Vec<_>) = steps.unzip();
            self.chains.extend(chains);
            newest = roots;
        }
        for mut chain in self.chains {
            for _ in 0..CHAIN_LENGTH {
                let (message_key, next) = chain_step(&chain);
                self.message_keys.push(message_key);
                chain = next;
            }
        }
        // Whether a tag holds depends on the additional data, which is not secret.
        let [one, other] = users;
        let directions = [parties(one, other), parties(other, one)];
        let keys: Vec<_> = self.message_keys.iter().map(AeadKey::from_bytes).collect();
        let reads = |(msg, envelope): (&Msg, &Vec<u8>)| {
            directions.iter().any(|parties| {
                let aad = [parties.as_slice(), &envelope[..64]].concat();
                keys.iter().any(|key| key.open(&aad, &msg.sealed).is_ok())
            })
        };
        messages.iter().zip(envelopes).map(reads).collect()
    }
}

/// The beginning of the additional data of what one sends to the other.
fn parties(from: &Identity, to: &Identity) -> Vec<u8> {
    let fingerprints = [from.fingerprint().0, to.fingerprint().0];
    [b"MU3-MSG\0".as_slice(), &from.client_id().0, &to.client_id().0, fingerprints.as_flattened()].concat()
}
