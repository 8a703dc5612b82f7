//! Identity files, private and public keys, and base64 in them.

use arbitrary::{Result, Unstructured};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use messageu_envelope::error::{FileError, LegacyKeyError};
use messageu_envelope::identity_file::{IDENTITY_FILE_MAX, IdentityFile};
use messageu_envelope::legacy::{LEGACY_WRAPPED_KEY_SIZE, LegacyKey, LegacyPrivateKey, legacy_wrap_key};
use messageu_wire::fields::{ClientId, PUBLIC_KEY_SIZE, PublicKey};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::envelope::{key_pair, key_pair_der};
use crate::rarely::rarely;
use crate::unstructured::change;

/// Of the executions that could read a key to its end, one in this many does: RSA takes as long as hundreds of others.
const RSA_ONE_IN: u32 = 128;

/// Bytes of a DER key before its first number that is not one byte: what shapes it.
const DER_SHAPE: usize = 33;

/// An identity file, a private or a public key, as a fuzzer's bytes say it.
///
/// # Errors
/// When the bytes do not suffice to say one.
pub fn check_any_key_file(bytes: &mut Unstructured<'_>) -> Result<()> {
    let is_rare = rarely(bytes.peek_bytes(bytes.len()).unwrap_or_default(), RSA_ONE_IN);
    match bytes.arbitrary::<u8>()? {
        0..64 => check_identity_file(bytes.bytes(bytes.len())?),
        64..160 => check_identity_file(&written_file(bytes, is_rare)?),
        160..192 => check_private_key(bytes.bytes(bytes.len())?),
        192..240 => check_private_key(&changed_key(bytes, is_rare)?),
        _ => {
            let mut key = key_pair().public_key();
            let reach = if is_rare { PUBLIC_KEY_SIZE } else { DER_SHAPE };
            let is_changed = change(&mut key.0[..reach], bytes)?;
            if is_rare || is_changed {
                check_public_key(&key);
            }
        }
    }
    Ok(())
}

/// Any bytes as an identity file: what is read is written in one way and read again as the same, what is rejected is so
/// for what its error names.
fn check_identity_file(file: &[u8]) {
    match IdentityFile::parse(file) {
        Ok(read) => {
            let written = read.write();
            let again = IdentityFile::parse(&written).expect("what was written can be read");
            assert_eq!((&again.name, again.client_id), (&read.name, read.client_id));
            assert_eq!(again.key.to_pkcs8_der(), read.key.to_pkcs8_der());
            assert_eq!(again.write(), written);
            check_private_key(&read.key.to_pkcs8_der());
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let lines = file.split(|byte| *byte == b'\n').count();
            match error {
                FileError::Size { size, limit } => assert!(size == file.len() && limit == IDENTITY_FILE_MAX),
                FileError::Name(_) => {}
                FileError::Line { line, .. } | FileError::Key { line, .. } => {
                    // A line that is missing is the one behind the last.
                    assert!((1..=lines.max(3)).contains(&line), "line {line} of {lines}");
                }
            }
            assert!(file.len() <= IDENTITY_FILE_MAX || matches!(error, FileError::Size { .. }));
        }
    }
}

/// Any bytes as a private key: what is read is written as it was, but for zeros behind it and for numbers that the others
/// give (Chinese remainders), and its public half fits the classic field.
fn check_private_key(der: &[u8]) {
    match LegacyPrivateKey::from_pkcs8_der(der) {
        Ok(read) => {
            let written = read.to_pkcs8_der();
            let again = LegacyPrivateKey::from_pkcs8_der(&written).expect("what was written can be read");
            assert_eq!((again.to_pkcs8_der(), again.public_key()), (written, read.public_key()));
            check_public_key(&read.public_key());
        }
        Err(error) => assert_eq!(error, LegacyKeyError::Private),
    }
}

/// Any public key: a symmetric key is wrapped to it, or it is refused as what it is.
fn check_public_key(key: &PublicKey) {
    let symmetric = LegacyKey::from_bytes(&[3; 16]);
    match legacy_wrap_key(key, &symmetric, &mut StdRng::from_seed([9; 32])) {
        Ok(wrapped) => {
            assert_ne!(wrapped, [0; LEGACY_WRAPPED_KEY_SIZE]);
            let ours = key_pair().public_key();
            // The form has no other bytes than modulus and exponent.
            assert_eq!(key.0[..29], ours.0[..29], "{:02x?}", key.0);
            assert_eq!(key.0[157..159], ours.0[157..159], "{:02x?}", key.0);
            assert!(key.0[156] % 2 == 1 && (3..0x80).contains(&key.0[159]), "{:02x?}", key.0);
        }
        Err(error) => assert_eq!(error, LegacyKeyError::Public),
    }
}

/// An identity file that is true but for a few bytes: names, ids, lines and columns in the ways of all programs.
fn written_file(bytes: &mut Unstructured<'_>, is_rare: bool) -> Result<Vec<u8>> {
    let [style, columns, name_size] = bytes.arbitrary::<[u8; 3]>()?;
    let line_end: &[u8] = if style & 1 == 0 { b"\n" } else { b"\r\n" };
    let mut file = bytes.bytes(usize::from(name_size % 32).min(bytes.len()))?.to_vec();
    if style & 2 != 0 {
        file.resize(255, 0);
    }
    file.extend_from_slice(line_end);
    let id: ClientId = bytes.arbitrary()?;
    let der = changed_key(bytes, is_rare)?;
    if style & 12 == 12 {
        file.extend(der.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()));
        file.extend_from_slice(line_end);
        file.extend_from_slice(BASE64_STANDARD.encode(id.0).as_bytes());
    } else {
        match style & 12 {
            0 => file.extend_from_slice(id.to_string().as_bytes()),
            4 => file.extend(id.0.iter().flat_map(|byte| format!("{byte:02X} ").into_bytes())),
            _ => file.extend_from_slice(&id.0),
        }
        for line in BASE64_STANDARD.encode(der).as_bytes().chunks(usize::from(columns) + 1) {
            file.extend_from_slice(line_end);
            file.extend_from_slice(line);
        }
    }
    if style & 16 != 0 {
        file.extend_from_slice(line_end);
    }
    change(&mut file, bytes)?;
    Ok(file)
}

/// A private key with a few bytes changed and zeros behind it. It is only its beginning where a whole one would be read
/// to its end, but for a rare one.
fn changed_key(bytes: &mut Unstructured<'_>, is_rare: bool) -> Result<Vec<u8>> {
    let mut der = key_pair_der().to_vec();
    if !is_rare {
        der.truncate(usize::from(bytes.arbitrary::<u8>()?));
    }
    change(&mut der, bytes)?;
    der.resize(der.len() + usize::from(bytes.arbitrary::<u8>()? / 32), 0);
    Ok(der)
}
