//! The names of dialects, and what the wire's values look like to somebody who debugs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test should stop")]

use messageu_wire::dialect::{Deviation, Dialect, Family, Profile};
use messageu_wire::fields::{ClientId, Name, NameField, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::operations::{Codes, Operation, ResponseCode};

#[test]
fn dialects_have_distinct_names_that_read_back() {
    let names: Vec<String> = Dialect::all().map(|dialect| dialect.to_string()).collect();
    for (at, name) in names.iter().enumerate() {
        assert!(!names[..at].contains(name));
        assert_eq!(name.parse::<Dialect>().unwrap().to_string(), *name);
    }
    for (short, name) in [("D", "d"), ("Big-Endian", "d/big-endian"), ("uid-echo", "b/uid-echo")] {
        assert_eq!(short.parse::<Dialect>().unwrap().to_string(), name);
    }
    for ambiguous in ["padded-1024", "classic", "f", ""] {
        assert!(ambiguous.parse::<Dialect>().is_err());
    }
}

#[test]
fn profiles_and_families_have_names_that_read_back() {
    for profile in Profile::ALL {
        assert_eq!(profile.to_string(), profile.name);
        assert_eq!(profile.name.parse::<&Profile>(), Ok(profile));
    }
    for (family, name) in Family::ALL.into_iter().zip(["A", "B", "C", "D", "E"]) {
        assert_eq!(family.to_string(), name);
        assert_eq!(name.to_lowercase().parse::<Family>(), Ok(family));
    }
    assert!("none".parse::<&Profile>().is_err());
}

#[test]
fn values_are_debugged_as_they_are_read() {
    let name = Name::new("alice").unwrap();
    assert_eq!(format!("{name:?}"), "Name(\"alice\")");
    assert_eq!(format!("{:?}", NameField::from(&name)), "NameField(\"alice\")");
    let id = ClientId([0xa7; 16]);
    assert_eq!(format!("{id:?}"), format!("ClientId({id})"));
    assert_eq!(format!("{:?}", Dialect::classic(Family::D)), "Dialect(d)");
    assert_eq!(format!("{:?}", MessageType::TEXT), "MessageType(3: text)");
}

#[test]
fn of_a_public_key_only_the_end_is_debugged() {
    let mut key = PublicKey([0xaa; 160]);
    key.0[152..].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(format!("{key:?}"), "PublicKey(0102030405060708…)");
}

#[test]
fn operations_and_codes_are_shown_by_name() {
    assert_eq!(Operation::PullMessages.to_string(), "pull_messages");
    for (code, shown) in
        [(2104, "2104 (pull_messages)"), (9000, "9000 (refusal)"), (7, "7 (unknown in family D)")]
    {
        assert_eq!(ResponseCode { family: Family::D, code }.to_string(), shown);
    }
}

#[test]
fn deviations_are_shown_by_name() {
    for deviation in Deviation::ALL {
        assert_eq!(deviation.to_string(), deviation.name());
    }
    assert_eq!(Deviation::SendDeclaresThreeMore.name(), "send-declares-three-more");
}

#[test]
fn every_code_means_its_operation_and_no_other_does() {
    for family in Family::ALL {
        for code in 0..u16::MAX {
            let with = |code_of: fn(Codes) -> u16| {
                Operation::ALL.iter().copied().find(|op| op.codes(family).map(code_of) == Some(code))
            };
            assert_eq!(Operation::of_request(family, code), with(|codes| codes.request));
            assert_eq!(Operation::of_response(family, code), with(|codes| codes.response));
        }
    }
}

#[test]
fn a_name_is_shown_without_what_moves_a_cursor_or_turns_the_order() {
    for unfit in ['\u{1}', '\u{1b}', '\u{7f}', '\u{9b}', '\u{2028}', '\u{202e}', '\u{2066}', '\u{2069}'] {
        let mut field = NameField::from(&Name::new("Anna").unwrap());
        let text = format!("An{unfit}na");
        field.0[..text.len()].copy_from_slice(text.as_bytes());
        assert_eq!(field.to_text(), "An\u{fffd}na", "{unfit:?}");
    }
    for fit in ['\u{2027}', '\u{202f}', '\u{2065}', '\u{206a}'] {
        let mut field = NameField::from(&Name::new("Anna").unwrap());
        let text = format!("An{fit}na");
        field.0[..text.len()].copy_from_slice(text.as_bytes());
        assert_eq!(field.to_text(), text, "{fit:?}");
    }
}
