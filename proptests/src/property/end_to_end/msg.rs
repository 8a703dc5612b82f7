//! MSG: what opens in a session, and what does not.

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Result, Unstructured};
use messageu_envelope::aead::AeadKey;
use messageu_envelope::init::{IncomingInit, OneTimeSecret, seal_init};
use messageu_envelope::session::{SKIP_MAX, Session};
use messageu_wire::envelope::frame::{BodyType, Frame, LADDER};
use messageu_wire::envelope::msg::{MSG_HEADER_SIZE, Msg};

use super::users::{NOW, ONE_TIME_ID, alice, bob, chain_step, msg_aad, rng, text};
use crate::rarely::rarely;
use crate::unstructured::change;

/// Of the messages that are as far ahead as may be, one in so many is tried: each takes two thousand keys.
const SKIP_ONE_IN: u32 = 64;
/// How many messages of Alice's are on their way.
const WAITING: usize = 3;

/// Alice and Bob, somewhere in the middle: he waits for the second message of her chain, has the third, and has answered.
struct Middle {
    bob: Session,
    /// To Bob: the second message, the fourth and the fifth.
    waiting: [Vec<u8>; WAITING],
    /// The header of the fourth, and the chain key that it is sealed under: its number is 3.
    header: [u8; MSG_HEADER_SIZE],
    chain: [u8; 32],
}

/// The number that follows the newest that Bob has opened.
const NEXT: u32 = 3;

fn middle() -> &'static Middle {
    static MIDDLE: OnceLock<Middle> = OnceLock::new();
    MIDDLE.get_or_init(|| {
        let mut rng = rng(120);
        let one_time = bob().peer_one_time();
        let sealed =
            seal_init(&alice().key, &bob().peer_bundle(), Some(&one_time), &text(b"first"), &mut rng);
        let (init, mut session) = sealed.expect("an INIT");
        let secret = OneTimeSecret::Prekey(ONE_TIME_ID, &bob().one_time);
        let incoming = IncomingInit::decode(&init).expect("an INIT");
        let mut bob_session = incoming.open(&bob().bundle, secret, NOW, &mut rng).expect("an INIT").session;
        let mut send = |session: &Session| session.seal(&text(b"text"), &mut rng).expect("a MSG");
        let (second, after) = send(&session);
        let (third, after) = send(&after);
        bob_session = bob_session.open(&third, NOW).expect("the third").session;
        (_, bob_session) = send(&bob_session);
        session = after;
        // The chain key stands behind version, ids, root, tag, count and secret: see session_state.rs.
        let chain = *session.to_bytes()[113 + 1 + 4 + 32..].first_chunk().expect("a chain key");
        let (fourth, after) = send(&session);
        let (fifth, _) = send(&after);
        let header = *fourth.first_chunk().expect("a header");
        Middle { bob: bob_session, waiting: [second, fourth, fifth], header, chain }
    })
}

/// The MSGs that Bob waits for: seeds.
#[must_use]
pub fn true_msgs() -> &'static [Vec<u8>] {
    &middle().waiting
}

/// Any bytes, a true MSG that was changed, or any plaintext that is sealed under the right key.
///
/// # Errors
/// When the bytes do not suffice to say one.
pub fn check_any_msg(bytes: &mut Unstructured<'_>) -> Result<()> {
    let skips_many = rarely(bytes.peek_bytes(bytes.len()).unwrap_or_default(), SKIP_ONE_IN);
    match bytes.arbitrary::<u8>()? {
        0..64 => check_came(bytes.bytes(bytes.len())?),
        choice @ 64..128 => {
            let mut came = middle().waiting[usize::from(choice) % WAITING].clone();
            change(&mut came, bytes)?;
            check_came(&came);
        }
        choice => {
            let number = match choice {
                128..224 => NEXT + u32::from(choice % 4),
                224..248 => u32::from(choice % 4),
                248..252 if skips_many => NEXT + SKIP_MAX + u32::from(choice % 4) - 2,
                248..252 => NEXT + SKIP_MAX + 1,
                _ => NEXT.wrapping_add(bytes.arbitrary::<u32>()? << 4),
            };
            let plaintext = plaintext(bytes)?;
            let previous_count = bytes.arbitrary::<Option<u32>>()?.unwrap_or_default();
            check_sealed(number, previous_count, &plaintext);
        }
    }
    Ok(())
}

/// A frame, a frame that was changed, or bytes of a size that a MSG has; or of any other size.
fn plaintext(bytes: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(match bytes.arbitrary::<u8>()? {
        0..96 => {
            let mut frame =
                Frame::arbitrary(bytes)?.encode().map_or_else(|_| Vec::new(), |frame| frame.to_vec());
            change(&mut frame, bytes)?;
            frame
        }
        choice @ 96..224 => {
            let mut any = bytes.bytes(bytes.len())?.to_vec();
            any.resize(LADDER[usize::from(choice) % 3] - 1, 0);
            any
        }
        _ => bytes.bytes(bytes.len())?.to_vec(),
    })
}

/// What is read is written again byte for byte, and nothing opens but what was sent.
fn check_came(came: &[u8]) {
    match Msg::decode(came) {
        Ok(msg) => assert!(msg.encode() == came),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let is_true = middle().waiting.iter().any(|sent| sent == came);
    assert_eq!(middle().bob.open(came, NOW).is_ok(), is_true, "{came:02x?}");
}

/// Whatever Alice's program seals under her chain: it opens if it is a frame, and if its number is one to come.
fn check_sealed(number: u32, previous_count: u32, plaintext: &[u8]) {
    let mut header = middle().header;
    header[56..60].copy_from_slice(&previous_count.to_le_bytes());
    header[60..].copy_from_slice(&number.to_le_bytes());
    let ahead = number.checked_sub(NEXT).filter(|ahead| *ahead <= SKIP_MAX);
    let key = message_key(ahead.unwrap_or(0));
    let aad = msg_aad(alice().identity(), bob().identity(), &header);
    let sealed = key.seal(&aad, plaintext, &mut rng(1));
    let came = [&header[..], &sealed.encode()].concat();

    let has_a_size = LADDER.contains(&sealed.ciphertext.len());
    assert_eq!(Msg::decode(&came).is_ok(), has_a_size);
    let frame = Frame::decode(plaintext).ok().filter(|frame| frame.body_type != BodyType::KEY_ANSWER);
    if let Some(frame) = &frame {
        assert!(frame.encode().is_ok_and(|encoded| **encoded == *plaintext), "a frame has one spelling");
    }
    match middle().bob.open(&came, NOW) {
        Ok(opened) => {
            assert_eq!(Some(&opened.frame), frame.as_ref());
            assert_eq!(Some(opened.newly_missing), ahead);
            assert_eq!(opened.session.missing(), middle().bob.missing() + opened.newly_missing as usize);
            assert!(opened.session.open(&came, NOW).is_err(), "it opens once");
        }
        Err(_) => assert!(frame.is_none() || ahead.is_none(), "{number}: {plaintext:02x?}"),
    }
}

/// The key of the message that is so far ahead in Alice's chain.
fn message_key(ahead: u32) -> AeadKey {
    let mut chain = middle().chain;
    for _ in 0..ahead {
        chain = chain_step(&chain).1;
    }
    chain_step(&chain).0
}
