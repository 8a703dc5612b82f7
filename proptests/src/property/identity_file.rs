//! Identity files.

use messageu_envelope::identity_file::IdentityFile;
use messageu_wire::fields::{ClientId, Name};

/// A file in any of the spellings there are is read as what it holds, and written in the one spelling that is ours.
pub fn check_identity_file(file: &[u8], name: &Name, id: ClientId, pkcs8: &[u8]) {
    match IdentityFile::parse(file) {
        Ok(read) => {
            assert_eq!((&read.name, read.client_id), (name, id));
            assert!(read.key.to_pkcs8_der()[..] == *pkcs8, "another private key");
        }
        Err(error) => panic!("{error}, in:\n{}", String::from_utf8_lossy(file)),
    }
    check_identity_bytes(file);
}

/// Any bytes: what is accepted is written in our own spelling, which is read as the same and written so again; what is
/// rejected says why, and quotes nothing.
pub fn check_identity_bytes(file: &[u8]) {
    match IdentityFile::parse(file) {
        Ok(read) => {
            let written = read.write();
            let again = IdentityFile::parse(&written).expect("what was written can be read");
            assert_eq!((&again.name, again.client_id), (&read.name, read.client_id));
            assert!(again.key.to_pkcs8_der() == read.key.to_pkcs8_der(), "another private key");
            assert!(again.write() == written, "written otherwise the second time");
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty());
            let quotes = |piece: &[u8]| str::from_utf8(piece).is_ok_and(|piece| said.contains(piece));
            assert!(!file.windows(12).any(quotes), "{said:?} quotes the file");
        }
    }
}
