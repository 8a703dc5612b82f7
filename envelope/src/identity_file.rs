//! The identity file (`me.info`, `info.me`, `my.info`): who a user is, and the private key that makes it so.
//!
//! ```text
//! name                       to the first NUL, if there is one
//! id                         32 hexadecimal digits, perhaps with spaces; or 16 printable characters
//! private key                PKCS#8 DER in base64, on any number of lines; zeros may follow in the DER
//! ```
//! or, as danielsarne's program has it: name, key in hexadecimal, id in base64. Lines end with LF or CR LF.
//!
//! The key is not encrypted: the classic programs expect it so. Whoever writes the file keeps it from other users.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use messageu_wire::fields::{CLIENT_ID_SIZE, ClientId, Name};
use zeroize::Zeroizing;

use crate::error::FileError;
use crate::legacy::LegacyPrivateKey;

/// Most bytes of an identity file that are read; the largest of any program has about 1,700.
pub const IDENTITY_FILE_MAX: usize = 64 * 1024;

/// Columns of base64 a line, as Crypto++ wraps it.
const COLUMNS: usize = 72;
/// Base64 as we write it; when reading, the `=` at the end may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// What some editors put at the beginning of a text: U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const EXPECTED_ID: &str = "the client id: 32 hexadecimal digits";
const EXPECTED_KEY: &str = "the private key in base64";

/// What an identity file holds.
#[derive(Debug)]
pub struct IdentityFile {
    /// The name that the user registered.
    pub name: Name,
    /// The id that the server answered with.
    pub client_id: ClientId,
    /// The key pair whose public half the server has.
    pub key: LegacyPrivateKey,
}

impl IdentityFile {
    /// Reads an identity file of any of the classic programs.
    ///
    /// # Errors
    /// [`FileError`], which says the line and what is expected there.
    pub fn parse(file: &[u8]) -> Result<Self, FileError> {
        if file.len() > IDENTITY_FILE_MAX {
            return Err(FileError::Size { size: file.len(), limit: IDENTITY_FILE_MAX });
        }
        // A mark and blank lines at the beginning come from editors, not from programs.
        let text = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
        let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let mut lines = lines.skip_while(|line| line.is_empty());
        let name = parse_name(lines.next().unwrap_or_default())?;
        let second = lines.next().unwrap_or_default();
        let (client_id, key) = match parse_hex_key(second) {
            Some(der) => (parse_base64_id(lines.next().unwrap_or_default())?, parse_key(&der, 2)?),
            None => (parse_id(second)?, parse_key(&parse_base64_key(lines)?, 3)?),
        };
        Ok(Self { name, client_id, key })
    }

    /// Writes the file as the commonest classic programs do: name, 32 lower-case digits, base64 in lines of 72.
    #[must_use]
    pub fn write(&self) -> Zeroizing<Vec<u8>> {
        let base64 = Zeroizing::new(BASE64.encode(self.key.to_pkcs8_der()));
        let head = format!("{}\n{}\n", self.name, self.client_id);
        // Reserved whole: growing would leave copies of the key behind.
        let mut file =
            Zeroizing::new(Vec::with_capacity(head.len() + base64.len() / COLUMNS + base64.len() + 1));
        file.extend_from_slice(head.as_bytes());
        for line in base64.as_bytes().chunks(COLUMNS) {
            file.extend_from_slice(line);
            file.push(b'\n');
        }
        file
    }
}

/// Reads line 1, which some programs pad with NULs to the 255 bytes of the wire's field.
fn parse_name(line: &[u8]) -> Result<Name, FileError> {
    let bytes = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = str::from_utf8(bytes)
        .map_err(|_| FileError::Line { line: 1, expected: "the user's name in ASCII" })?;
    Name::new(text).map_err(FileError::Name)
}

/// Reads line 2 as an id: digits with or without spaces, or the characters themselves.
fn parse_id(line: &[u8]) -> Result<ClientId, FileError> {
    if let Some(id) = decode_hex(line).and_then(|id| <[u8; CLIENT_ID_SIZE]>::try_from(id.as_slice()).ok()) {
        return Ok(ClientId(id));
    }
    let id = <[u8; CLIENT_ID_SIZE]>::try_from(line).map(ClientId).ok();
    id.filter(ClientId::is_printable).ok_or(FileError::Line { line: 2, expected: EXPECTED_ID })
}

/// Reads the base64 of the key from line 3 on.
fn parse_base64_key<'a>(
    lines: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // Reserved whole: growing would leave copies of the key behind.
    let size = lines.clone().map(<[u8]>::len).sum();
    let mut base64 = Zeroizing::new(Vec::with_capacity(size));
    for (line, text) in (3..).zip(lines) {
        for byte in text {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'=' => base64.push(*byte),
                b' ' | b'\t' | b'\r' | 0 => {}
                _ => return Err(FileError::Line { line, expected: EXPECTED_KEY }),
            }
        }
    }
    decode_base64(&base64).ok_or(FileError::Line { line: 3, expected: EXPECTED_KEY })
}

/// Reads line 2 as danielsarne's program has it: a key in hexadecimal, so longer than any id.
fn parse_hex_key(line: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    decode_hex(line).filter(|bytes| bytes.len() > CLIENT_ID_SIZE)
}

/// Reads line 3 as danielsarne's program has it: an id in base64.
fn parse_base64_id(line: &[u8]) -> Result<ClientId, FileError> {
    let id =
        decode_base64(line.trim_ascii()).and_then(|id| <[u8; CLIENT_ID_SIZE]>::try_from(id.as_slice()).ok());
    id.map(ClientId).ok_or(FileError::Line { line: 3, expected: "the client id in base64: 24 characters" })
}

/// Takes DER as a private key, whose text began on the given line.
fn parse_key(der: &[u8], line: usize) -> Result<LegacyPrivateKey, FileError> {
    LegacyPrivateKey::from_pkcs8_der(der).map_err(|error| FileError::Key { line, error })
}

/// The bytes that pairs of hexadecimal digits stand for; spaces may be anywhere. Reserves once, for it may be a key.
fn decode_hex(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    let mut high = None;
    for character in text.iter().filter(|character| **character != b' ') {
        let digit = match character {
            b'0'..=b'9' => character - b'0',
            b'a'..=b'f' => character - b'a' + 10,
            b'A'..=b'F' => character - b'A' + 10,
            _ => return None,
        };
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high * 16 + digit),
        }
    }
    high.is_none().then_some(bytes)
}

/// The bytes that base64 stands for, in a buffer that is erased.
fn decode_base64(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let size = BASE64.decode_slice(text, &mut bytes).ok()?;
    bytes.truncate(size);
    Some(bytes)
}
