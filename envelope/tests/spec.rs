//! The cryptographic half of spec.md: the key pairs, the wrapped key and the sealed texts of its session are real, and
//! its identity file is one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

mod common;

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::{hex, rng, unhex};
use messageu_envelope::identity_file::IdentityFile;
use messageu_envelope::legacy::{
    LegacyIv, LegacyKey, LegacyPrivateKey, legacy_open, legacy_seal, legacy_text, legacy_wrap_key,
};

const SPEC: &str = include_str!("../../spec.md");

/// The lines of the only fenced block of this kind.
fn block(kind: &str) -> &'static str {
    let opening = format!("\n```{kind}\n");
    let mut found = SPEC.split(&opening);
    let behind = found.nth(1).unwrap_or_else(|| panic!("spec.md has no block {kind}"));
    assert!(found.next().is_none(), "spec.md has more than one block {kind}");
    let (block, _) = behind.split_once("```").unwrap();
    block
}

/// What section 3.1 gives, by name, the lines of a value joined.
fn given() -> HashMap<&'static str, String> {
    let mut values: HashMap<&str, String> = HashMap::new();
    let mut name = "";
    for line in block("given").lines() {
        let text = match line.split_once(" =") {
            Some((before, text)) if !line.starts_with(' ') => {
                name = before;
                text
            }
            _ => line,
        };
        *values.entry(name).or_default() += text.trim();
    }
    values
}

fn private_key(given: &HashMap<&str, String>, name: &str) -> LegacyPrivateKey {
    let text = given[format!("{name}.private").as_str()].strip_prefix("base64").unwrap();
    LegacyPrivateKey::from_pkcs8_der(&BASE64.decode(text).unwrap()).unwrap()
}

fn key(given: &HashMap<&str, String>) -> LegacyKey {
    LegacyKey::from_bytes(unhex(&given["key"]).as_slice().try_into().unwrap())
}

fn text(given: &HashMap<&str, String>) -> String {
    given["text"].strip_prefix('"').unwrap().strip_suffix('"').unwrap().to_owned()
}

#[test]
fn the_key_pairs_are_pairs_and_are_written_as_they_are_given() {
    let given = given();
    for name in ["alice", "bob"] {
        let private = private_key(&given, name);
        assert_eq!(hex(&private.public_key().0), given[format!("{name}.public").as_str()], "{name}");
        let text = given[format!("{name}.private").as_str()].strip_prefix("base64").unwrap();
        assert_eq!(BASE64.encode(private.to_pkcs8_der()), text, "{name}");
    }
}

#[test]
fn the_wrapped_key_opens_with_alices_private_key_and_no_other() {
    let given = given();
    let wrapped = unhex(&given["wrapped"]);
    assert_eq!(wrapped.len(), 128);
    assert!(private_key(&given, "alice").unwrap_key(&wrapped, &mut rng(1)).unwrap() == key(&given));
    assert!(private_key(&given, "bob").unwrap_key(&wrapped, &mut rng(1)).is_err());
    let again =
        legacy_wrap_key(&private_key(&given, "alice").public_key(), &key(&given), &mut rng(2)).unwrap();
    assert_ne!(again.as_slice(), wrapped, "another one wraps to other bytes");
    assert!(private_key(&given, "alice").unwrap_key(&again, &mut rng(1)).unwrap() == key(&given));
}

#[test]
fn the_sealed_texts_open_to_the_text() {
    let given = given();
    for (name, iv) in [("sealed", LegacyIv::Zero), ("sealed-random-iv", LegacyIv::Prefixed)] {
        let opened = legacy_open(&key(&given), iv, &unhex(&given[name])).unwrap();
        assert_eq!(legacy_text(&opened), text(&given), "{name}");
        assert_eq!(opened, text(&given).as_bytes(), "{name}: nothing behind the text");
    }
    let sealed = legacy_seal(&key(&given), LegacyIv::Zero, text(&given).as_bytes(), &mut rng(1));
    assert_eq!(hex(&sealed), given["sealed"], "sealing with a zero IV has one result");
}

#[test]
fn the_identity_file_is_alices_and_is_written_as_it_stands() {
    let given = given();
    let file = IdentityFile::parse(block("identity").as_bytes()).unwrap();
    assert_eq!(file.name.as_str(), "alice");
    assert_eq!(file.client_id.to_string(), given["alice.id"]);
    assert_eq!(hex(&file.key.public_key().0), given["alice.public"]);
    assert_eq!(file.write().as_slice(), block("identity").as_bytes());
}

#[test]
fn the_session_carries_the_wrapped_key_and_the_sealed_text() {
    let (_, tour) = SPEC.split_once("### 3.2 ").unwrap();
    let (tour, _) = tour.split_once("## 4 ").unwrap();
    for (title, content) in [
        ("> send_message version=2 from=bob to=alice type=2 content=wrapped", "[wrapped]"),
        ("> send_message version=2 from=alice to=bob type=3 content=sealed", "[sealed]"),
    ] {
        let (_, behind) = tour.split_once(title).unwrap_or_else(|| panic!("no {title:?}"));
        let frame = behind.split(['>', '<']).next().unwrap();
        assert!(frame.contains(content), "{title}");
    }
}
