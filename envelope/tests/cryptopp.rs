//! Against Crypto++ itself, which all the classic programs use: its data always, and the library live where it is.
//!
//! The live half is built by g++ from `cryptopp/tool.cpp`. Without g++ or Crypto++ (`libcrypto++-dev`) it says so and
//! passes; with `MESSAGEU_REQUIRE_CRYPTOPP` in the environment, as in CI, it fails. `tool > data/cryptopp.txt` makes
//! the data anew.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test that calls it")]

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{alice, bob, hex, rng, unhex};
use messageu_envelope::error::OpenError;
use messageu_envelope::identity_file::IdentityFile;
use messageu_envelope::legacy::{
    LegacyIv, LegacyKey, LegacyPrivateKey, legacy_open, legacy_seal, legacy_text, legacy_wrap_key,
};
use messageu_wire::fields::{ClientId, Name, PublicKey};

const DATA: &str = include_str!("data/cryptopp.txt");
const ID: &str = "00112233445566778899aabbccddeeff";

// What Crypto++ once made

/// The value of that name in the data.
fn text(name: &str) -> &'static str {
    let mut pairs = DATA.lines().filter_map(|line| line.split_once(' '));
    pairs
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .unwrap_or_else(|| panic!("no {name} in the data"))
}

fn bytes(name: &str) -> Vec<u8> {
    unhex(text(name))
}

fn private() -> LegacyPrivateKey {
    LegacyPrivateKey::from_pkcs8_der(&bytes("private")).unwrap()
}

fn key() -> LegacyKey {
    LegacyKey::from_bytes(&bytes("key").try_into().unwrap())
}

#[test]
fn its_private_key_is_read_and_has_its_public_key() {
    assert_eq!(hex(&private().public_key().0), text("public"));
}

#[test]
fn its_private_key_is_written_so_that_it_is_read_again() {
    // Not byte for byte: d may be kept modulo another multiple of its order.
    let again = LegacyPrivateKey::from_pkcs8_der(&private().to_pkcs8_der()).unwrap();
    assert_eq!(again.unwrap_key(&bytes("wrapped"), &mut rng(1)), Ok(key()));
}

#[test]
fn its_wrapped_keys_open() {
    assert_eq!(private().unwrap_key(&bytes("wrapped"), &mut rng(2)), Ok(key()));
    assert_eq!(private().unwrap_key(&bytes("wrapped-long"), &mut rng(2)), Ok(key()));
    assert_eq!(private().unwrap_key(&bytes("wrapped-short"), &mut rng(2)), Err(OpenError));
    assert_eq!(alice().unwrap_key(&bytes("wrapped"), &mut rng(2)), Err(OpenError));
}

#[test]
fn its_content_opens_and_is_what_we_seal() {
    for size in [0, 1, 15, 16, 17, 32, 59] {
        let (plain, sealed) = (bytes(&format!("text-{size}")), bytes(&format!("sealed-{size}")));
        assert_eq!(plain.len(), size);
        assert_eq!(legacy_open(&key(), LegacyIv::Zero, &sealed).as_ref(), Ok(&plain));
        assert_eq!(hex(&legacy_seal(&key(), LegacyIv::Zero, &plain, &mut rng(3))), hex(&sealed));
    }
    let prefixed = legacy_open(&key(), LegacyIv::Prefixed, &bytes("sealed-prefixed"));
    assert_eq!(prefixed, Ok(bytes("text-59")));
    let with_nul = legacy_open(&key(), LegacyIv::Zero, &bytes("sealed-nul")).unwrap();
    assert_eq!(legacy_text(&with_nul).into_bytes(), bytes("text-59"));
}

#[test]
fn its_identity_files_are_read() {
    for key in ["private-base64", "private-padded-base64"] {
        let read = IdentityFile::parse(format!("alice\n{ID}\n{}\n", text(key)).as_bytes()).unwrap();
        assert_eq!(hex(&read.key.public_key().0), text("public"));
    }
    let id = "ABEiM0RVZneImaq7zN3u/w==";
    let read = IdentityFile::parse(format!("alice\n{}\n{id}\n", text("private")).as_bytes()).unwrap();
    assert_eq!(
        (hex(&read.key.public_key().0).as_str(), read.client_id.to_string().as_str()),
        (text("public"), ID)
    );
}

// What it makes now

/// The tool, built.
struct Tool(PathBuf);

impl Tool {
    /// Builds the tool, or says that there is nothing to build it with.
    fn build() -> Option<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cryptopp");
        let tool = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cryptopp-tool");
        let gpp = |arguments: &[&str]| Command::new("g++").arg("-std=c++17").args(arguments).output();
        // Looked for apart from the tool, lest a mistake in the tool pass for a missing library.
        let header = ["-fsyntax-only", "-x", "c++", "-include", "cryptopp/rsa.h", "/dev/null"];
        let has_library = gpp(&header).is_ok_and(|run| run.status.success());
        if !has_library {
            return None;
        }
        let source = here.join("tool.cpp");
        let run = gpp(&["-o", tool.to_str()?, source.to_str()?, "-lcryptopp"]).unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        Some(Self(tool))
    }

    /// What the tool prints, as lines.
    fn run(&self, arguments: &[&str]) -> Vec<String> {
        let run = Command::new(&self.0).args(arguments).output().unwrap();
        assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Its keys with us, and ours with it.
    fn exchange_keys(&self, seed: u8) {
        let key = LegacyKey::generate(&mut rng(seed));
        let its_pair = self.run(&["generate"]);
        let [its_private, its_public] = its_pair.as_slice() else { panic!("{its_pair:?}") };
        let its_key = LegacyPrivateKey::from_pkcs8_der(&unhex(its_private)).unwrap();
        assert_eq!(hex(&its_key.public_key().0), *its_public);
        let our_key = LegacyPrivateKey::generate(&mut rng(seed)).unwrap();

        // Each pair as its maker keeps it and as we write it; each end of the wrap with each library.
        for pair in [&its_key, &our_key] {
            let private = hex(&pair.to_pkcs8_der());
            let wrapped = legacy_wrap_key(&pair.public_key(), &key, &mut rng(seed)).unwrap();
            assert_eq!(self.run(&["unwrap", &private, &hex(&wrapped)]), [hex(key.as_bytes())]);
            let wrapped = self.run(&["wrap", &hex(&pair.public_key().0), &hex(key.as_bytes())]).concat();
            assert_eq!(pair.unwrap_key(&unhex(&wrapped), &mut rng(seed)).as_ref(), Ok(&key));
        }
        let to_it = PublicKey(unhex(its_public).try_into().unwrap());
        let wrapped = legacy_wrap_key(&to_it, &key, &mut rng(seed)).unwrap();
        assert_eq!(self.run(&["unwrap", its_private, &hex(&wrapped)]), [hex(key.as_bytes())]);
    }

    /// Content of one size, both ways.
    fn exchange_content(&self, size: usize) {
        let key = LegacyKey::generate(&mut rng(4));
        let key_hex = hex(key.as_bytes());
        let plain: Vec<u8> = (0..=u8::MAX).cycle().take(size).collect();
        let sealed = legacy_seal(&key, LegacyIv::Zero, &plain, &mut rng(5));
        assert_eq!(self.run(&["open", &key_hex, &hex(&sealed)]).concat(), hex(&plain), "{size}");
        let sealed = unhex(&self.run(&["seal", &key_hex, &hex(&plain)]).concat());
        assert_eq!(legacy_open(&key, LegacyIv::Zero, &sealed), Ok(plain), "{size}");
    }

    /// Identity files, both ways.
    fn exchange_identity_files(&self) {
        let path = self.0.with_extension("info");
        let path_text = path.to_str().unwrap();
        let key = LegacyPrivateKey::from_pkcs8_der(&bob().to_pkcs8_der()).unwrap();
        let public = hex(&key.public_key().0);
        let ours =
            IdentityFile { name: Name::new("bob").unwrap(), client_id: ID.parse::<ClientId>().unwrap(), key };
        std::fs::write(&path, ours.write()).unwrap();
        assert_eq!(self.run(&["read-identity", path_text]), ["bob", ID, &public]);

        self.run(&["write-identity", path_text, "bob", ID, &hex(&ours.key.to_pkcs8_der())]);
        let its_file = std::fs::read(&path).unwrap();
        assert_eq!(String::from_utf8_lossy(&its_file), String::from_utf8_lossy(&ours.write()));
        let read = IdentityFile::parse(&its_file).unwrap();
        assert_eq!((read.name, read.client_id), (ours.name, ours.client_id));
        assert_eq!(hex(&read.key.public_key().0), public);
    }
}

#[test]
fn live_both_ways() {
    let Some(tool) = Tool::build() else {
        assert!(std::env::var_os("MESSAGEU_REQUIRE_CRYPTOPP").is_none(), "g++ or Crypto++ is missing");
        // Past the test runner, which would keep it to itself.
        writeln!(std::io::stderr(), "SKIPPED: no g++ with Crypto++ here, so nothing was tried with it live")
            .unwrap();
        return;
    };
    (0..8).for_each(|seed| tool.exchange_keys(seed));
    (0..50).chain([1000, 16 * 1024]).for_each(|size| tool.exchange_content(size));
    tool.exchange_identity_files();
}
