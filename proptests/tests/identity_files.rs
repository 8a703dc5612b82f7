//! Identity files in every spelling, their base64, and what one changed byte makes of them.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a failed property should stop")]

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use messageu_envelope::identity_file::IdentityFile;
use messageu_envelope::legacy::LegacyPrivateKey;
use messageu_proptests::property::{check_identity_bytes, check_identity_file};
use messageu_proptests::run::check;
use messageu_proptests::strategy::client_id;
use messageu_wire::fields::{ClientId, Name};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// PKCS#8 DER of two key pairs; the second has a size that base64 does not fill up.
static KEYS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let key = |seed| {
        let key = LegacyPrivateKey::generate(&mut StdRng::seed_from_u64(seed)).expect("a key pair");
        key.to_pkcs8_der().to_vec()
    };
    let first = key(1);
    let other = (2..).map(key).find(|key| key.len() % 3 != first.len() % 3).expect("sizes vary");
    vec![first, other]
});

/// What an identity file holds, and how it is spelt.
#[derive(Clone, Debug)]
struct Spelling {
    name: String,
    id: ClientId,
    key: usize,
    /// NULs behind the name, and zeros behind the key's DER.
    behind: (usize, usize),
    crlf: bool,
    upper: bool,
    /// Where spaces stand among the digits.
    spaces: Vec<Index>,
    /// As its own characters, if they are printable.
    as_characters: bool,
    /// Where something stands among the base64 that means nothing.
    gaps: Vec<(Index, &'static str)>,
    filled_up: bool,
    /// Key in digits, then id in base64.
    swapped: bool,
    ended: bool,
}

fn spelling() -> impl Strategy<Value = Spelling> {
    let gaps = vec((any::<Index>(), select(&["\n", "\r\n", " ", "\t", "\0", "\n\n"][..])), 0..20);
    let zeros = prop_oneof![Just(0), 0..300_usize];
    let contents = ("[ -~]{1,254}", client_id(), 0..2_usize);
    let ways = (any::<[bool; 6]>(), (0..20_usize, zeros), vec(any::<Index>(), 0..20), gaps);
    (contents, ways).prop_map(|((name, id, key), (flags, behind, spaces, gaps))| {
        let [crlf, upper, as_characters, filled_up, swapped, ended] = flags;
        Spelling {
            name,
            id,
            key,
            behind,
            crlf,
            upper,
            spaces,
            as_characters,
            gaps,
            filled_up,
            swapped,
            ended,
        }
    })
}

impl Spelling {
    fn file(&self) -> Vec<u8> {
        let end = if self.crlf { "\r\n" } else { "\n" };
        let (nuls, zeros) = self.behind;
        let name = format!("{}{}", self.name, "\0".repeat(nuls));
        let mut der = KEYS[self.key].clone();
        der.resize(der.len() + zeros, 0);
        let base64 = |bytes: &[u8]| match self.filled_up {
            true => BASE64_STANDARD.encode(bytes),
            false => BASE64_STANDARD_NO_PAD.encode(bytes),
        };
        let (second, rest) = match self.swapped {
            true => (self.digits(&der), base64(&self.id.0)),
            false => (self.id_line(), self.spread(base64(&der))),
        };
        let last = if self.ended { end } else { "" };
        [name.as_bytes(), end.as_bytes(), &second, end.as_bytes(), rest.as_bytes(), last.as_bytes()].concat()
    }

    fn id_line(&self) -> Vec<u8> {
        // What reads as an id of digits cannot be one of characters too.
        let ambiguous = self.id.0.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b' ');
        if self.as_characters && self.id.is_printable() && !ambiguous {
            return self.id.0.to_vec();
        }
        self.digits(&self.id.0)
    }

    fn digits(&self, bytes: &[u8]) -> Vec<u8> {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut digits = if self.upper { digits.to_uppercase() } else { digits }.into_bytes();
        for at in &self.spaces {
            digits.insert(at.index(digits.len() + 1), b' ');
        }
        digits
    }

    fn spread(&self, mut base64: String) -> String {
        for (at, gap) in &self.gaps {
            base64.insert_str(at.index(base64.len() + 1), gap);
        }
        base64
    }

    fn check(&self, file: &[u8]) {
        let name = Name::new(&self.name).expect("printable");
        check_identity_file(file, &name, self.id, &KEYS[self.key]);
    }
}

#[test]
fn an_identity_is_read_in_every_spelling_and_written_in_one() {
    check(384, spelling(), |spelling| spelling.check(&spelling.file()));
}

#[test]
fn what_we_write_is_what_we_read() {
    check(128, spelling(), |spelling| {
        let file = IdentityFile::parse(&spelling.file()).expect("a spelling there is").write();
        spelling.check(&file);
    });
}

#[test]
fn a_changed_byte_makes_no_file_or_another_one_that_is_written_so() {
    check(512, (spelling(), vec((any::<Index>(), any::<u8>()), 1..3)), |(spelling, changes)| {
        let mut file = spelling.file();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        check_identity_bytes(&file);
    });
}

#[test]
fn a_file_cut_short_anywhere_has_no_key_or_the_whole_one() {
    check(256, (spelling(), any::<Index>()), |(spelling, keep)| {
        let file = spelling.file();
        let cut = &file[..keep.index(file.len())];
        check_identity_bytes(cut);
        if let Ok(read) = IdentityFile::parse(cut) {
            assert!(read.key.to_pkcs8_der()[..] == KEYS[spelling.key][..], "another private key");
        }
    });
}

#[test]
fn any_bytes_are_no_file() {
    check(512, vec(any::<u8>(), 0..2000), |bytes| {
        check_identity_bytes(&bytes);
        assert!(IdentityFile::parse(&bytes).is_err());
    });
}

#[test]
fn base64_means_one_thing_and_is_spelt_in_one_way_but_for_its_end() {
    let key: String = KEYS[0].iter().map(|byte| format!("{byte:02x}")).collect();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let texts = prop_oneof![
        2 => any::<[u8; 16]>().prop_map(|id| BASE64_STANDARD.encode(id)),
        4 => ("[A-Za-z0-9+/]{21}", select(&alphabet[..]), select(&["", "=", "==", "==="][..]))
            .prop_map(|(text, last, end)| format!("{text}{}{end}", char::from(last))),
        1 => "[A-Za-z0-9+/=_. -]{20,26}",
    ];
    check(2048, texts, |text| {
        // 22 characters of 6 bits are 16 bytes, and 4 bits that must be 0.
        let digits = text.trim_matches(' ').trim_end_matches('=');
        let filler = text.trim_matches(' ').len() - digits.len();
        let values: Option<Vec<u128>> = digits
            .bytes()
            .map(|digit| (0..).zip(alphabet).find(|(_, known)| **known == digit).map(|(value, _)| value))
            .collect();
        let id = values.filter(|values| values.len() == 22 && filler <= 2).and_then(|values| {
            let last = values[21];
            let bits = values[..21].iter().fold(0_u128, |bits, value| bits << 6 | value);
            (last & 15 == 0).then(|| ClientId((bits << 2 | last >> 4).to_be_bytes()))
        });
        let read = IdentityFile::parse(format!("alice\n{key}\n{text}\n").as_bytes());
        assert_eq!(read.ok().map(|read| read.client_id), id, "{text:?}");
    });
}
