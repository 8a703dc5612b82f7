//! Identity files in every form that the classic programs write, and in forms that none does.
#![allow(clippy::panic, reason = "a helper of tests fails the test that calls it")]

mod common;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::{alice, hex};
use messageu_envelope::error::{FileError, LegacyKeyError};
use messageu_envelope::identity_file::{IDENTITY_FILE_MAX, IdentityFile};
use messageu_envelope::legacy::LegacyPrivateKey;
use messageu_wire::error::FieldError;
use messageu_wire::fields::{ClientId, Name};
use proptest::prelude::*;

const ID: &str = "00112233445566778899aabbccddeeff";

/// Alice's key in base64, with a line end after every so many columns.
fn base64(columns: usize, line_end: &str) -> String {
    let base64 = BASE64_STANDARD.encode(alice().to_pkcs8_der());
    let columns: Vec<_> = base64.as_bytes().chunks(columns).map(String::from_utf8_lossy).collect();
    columns.join(line_end)
}

fn one_line() -> String {
    base64(usize::MAX, "")
}

fn check(file: impl AsRef<[u8]>) {
    check_id(file, ID);
}

fn check_id(file: impl AsRef<[u8]>, id: &str) {
    match IdentityFile::parse(file.as_ref()) {
        Ok(read) => {
            assert_eq!((read.name.as_str(), read.client_id.to_string().as_str()), ("alice", id));
            assert_eq!(read.key.public_key(), alice().public_key());
        }
        Err(error) => panic!("{error}, in:\n{}", String::from_utf8_lossy(file.as_ref())),
    }
}

fn refusal(file: impl AsRef<[u8]>) -> FileError {
    match IdentityFile::parse(file.as_ref()) {
        Ok(read) => panic!("{read:?}"),
        Err(error) => error,
    }
}

#[test]
fn the_key_may_be_wrapped_at_any_width() {
    for columns in [1, 60, 64, 72, 76, usize::MAX] {
        for end in ["", "\n", "\n\n", "\0"] {
            check(format!("alice\n{ID}\n{}{end}", base64(columns, "\n")));
        }
    }
}

#[test]
fn lines_may_end_with_cr_lf() {
    check(format!("alice\r\n{ID}\r\n{}\r\n", base64(72, "\r\n")));
    check(format!("alice\r\n{ID}\r\n{}", one_line()));
}

#[test]
fn what_editors_put_at_the_beginning_does_no_harm() {
    for beginning in ["\u{feff}", "\n", "\r\n\n", "\u{feff}\r\n"] {
        check(format!("{beginning}alice\n{ID}\n{}\n", one_line()));
    }
}

#[test]
fn the_name_may_be_padded() {
    check(format!("{:\0<255}\n{ID}\n{}\n", "alice", one_line()));
    check(format!("alice\0\r\n{ID}\r\n{}\r\n", one_line()));
}

#[test]
fn the_id_may_be_upper_case_or_spaced_or_printable() {
    check(format!("alice\n{}\n{}\n", ID.to_uppercase(), one_line()));
    let spaced: Vec<_> = ID.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    check(format!("alice\n{}\n{}\n", spaced.join(" "), one_line()));
    check(format!("alice\n{} \n{}\n", spaced.join(" "), one_line()));
    // Sixteen characters are an id themselves, even where they look like eight bytes.
    for printable in ["sixteen chars id", "0011223344556677"] {
        check_id(format!("alice\n{printable}\n{}\n", one_line()), &hex(printable.as_bytes()));
    }
}

#[test]
fn the_key_may_be_padded_with_zeros_inside_the_base64() {
    let mut padded = alice().to_pkcs8_der().to_vec();
    padded.resize(1000, 0);
    check(format!("alice\n{ID}\n{}\n", BASE64_STANDARD.encode(padded)));
}

#[test]
fn the_base64_may_lack_its_padding() {
    check(format!("alice\n{ID}\n{}", one_line().trim_end_matches('=')));
}

#[test]
fn key_and_id_may_be_the_other_way_round() {
    let id = BASE64_STANDARD.encode(common::unhex(ID));
    let key = hex(&alice().to_pkcs8_der());
    check(format!("alice\n{key}\n{id}\n"));
    check(format!("alice\r\n{}\r\n{id}", key.to_uppercase()));
}

#[test]
fn our_own_file_is_as_the_commonest_programs_write_it() {
    let read =
        IdentityFile::parse(format!("alice\n{}\n{}", ID.to_uppercase(), one_line()).as_bytes()).unwrap();
    assert_eq!(String::from_utf8_lossy(&read.write()), format!("alice\n{ID}\n{}\n", base64(72, "\n")));
    check(read.write().as_slice());
}

#[test]
fn a_file_of_64_kib_is_read_and_a_larger_one_is_not() {
    assert_eq!(IDENTITY_FILE_MAX, 65_536);
    let mut file = format!("alice\n{ID}\n{}", one_line()).into_bytes();
    file.resize(65_536, b'\n');
    check(&file);
    file.push(b'\n');
    assert_eq!(refusal(&file), FileError::Size { size: 65_537, limit: 65_536 });
}

#[test]
fn hexadecimal_digits_of_either_case_are_read_and_their_neighbours_are_not() {
    let id = "0123456789abcdefABCDEF0123456789";
    check_id(format!("alice\n{id}\n{}\n", one_line()), &id.to_lowercase());
    for neighbour in ["/", ":", "@", "G", "`", "g"] {
        let id = format!("{}{neighbour}", &id[1..]);
        let error = refusal(format!("alice\n{id}\n{}\n", one_line()));
        assert!(matches!(error, FileError::Line { line: 2, .. }), "{id}: {error}");
    }
}

#[test]
fn refusals_name_the_line_and_what_belongs_there() {
    let name = |error| FileError::Name(error);
    assert_eq!(refusal(""), name(FieldError::NameLength { length: 0 }));
    assert_eq!(refusal(format!("ali\tce\n{ID}\n")), name(FieldError::NameCharacter { at: 3 }));
    let shown = [
        ("alice".to_owned(), "line 2: expected the client id: 32 hexadecimal digits"),
        (format!("alice\n{ID}0\n"), "line 2: expected the client id: 32 hexadecimal digits"),
        ("alice\nsixteen\tchars id\n".to_owned(), "line 2: expected the client id: 32 hexadecimal digits"),
        (format!("alice\n{ID}\nMII-\n"), "line 3: expected the private key in base64"),
        (format!("alice\n{ID}\nMIIC\nMI?C\n"), "line 4: expected the private key in base64"),
        (format!("alice\n{ID}\nMIICM\n"), "line 3: expected the private key in base64"),
        (
            format!("alice\n{}\nno id\n", hex(&alice().to_pkcs8_der())),
            "line 3: expected the client id in base64",
        ),
        (format!("alice\n{ID}\n"), "line 3 and on: a classic private key is PKCS#8 DER"),
        (format!("alice\n{ID}00\n"), "line 3: expected the client id in base64"),
    ];
    for (file, expected) in shown {
        let error = refusal(&file).to_string();
        assert!(error.starts_with(expected), "{error:?} for {file:?}");
    }
    let key = FileError::Key { line: 3, error: LegacyKeyError::Private };
    assert_eq!(refusal(format!("alice\n{ID}\nTm8ga2V5\n")), key);
    let large = vec![b'a'; IDENTITY_FILE_MAX + 1];
    assert_eq!(refusal(&large), FileError::Size { size: IDENTITY_FILE_MAX + 1, limit: IDENTITY_FILE_MAX });
}

#[test]
fn nothing_secret_is_in_debug() {
    let file = IdentityFile::parse(format!("alice\n{ID}\n{}", one_line()).as_bytes()).unwrap();
    let public = alice().public_key();
    let expected = format!(
        "IdentityFile {{ name: Name(\"alice\"), client_id: ClientId({ID}), key: LegacyPrivateKey {{ public: {public:?}, .. }} }}"
    );
    assert_eq!(format!("{file:?}"), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(name in "[ -~]{1,254}", id: [u8; 16]) {
        let key = LegacyPrivateKey::from_pkcs8_der(&alice().to_pkcs8_der()).unwrap();
        let file = IdentityFile { name: Name::new(&name).unwrap(), client_id: ClientId(id), key };
        let read = IdentityFile::parse(&file.write()).unwrap();
        prop_assert_eq!((read.name, read.client_id), (file.name, file.client_id));
        prop_assert_eq!(read.key.to_pkcs8_der(), file.key.to_pkcs8_der());
    }

    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(IdentityFile::parse(&bytes).is_err());
    }

    #[test]
    fn garbage_behind_a_good_beginning_is_refused(rest in "[A-Za-z0-9+/=\\n\\r ]{0,900}") {
        let file = format!("alice\n{ID}\n{rest}");
        prop_assert!(IdentityFile::parse(file.as_bytes()).is_err());
    }

    #[test]
    fn a_damaged_file_is_refused_or_has_the_same_key(at: prop::sample::Index, byte: u8) {
        let mut file = format!("alice\n{ID}\n{}", base64(72, "\n")).into_bytes();
        let at = at.index(file.len());
        file[at] = byte;
        if let Ok(read) = IdentityFile::parse(&file) {
            prop_assert_eq!(read.key.public_key(), alice().public_key());
        }
    }

    #[test]
    fn a_cut_file_is_refused(keep: prop::sample::Index) {
        let file = format!("alice\n{ID}\n{}", base64(72, "\n"));
        // The last two characters of this key are padding, which may be missing.
        let keep = keep.index(file.trim_end_matches('=').len());
        prop_assert!(IdentityFile::parse(&file.as_bytes()[..keep]).is_err());
    }
}
