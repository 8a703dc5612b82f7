//! Secrets on a disk: a key file under a passphrase, and everything else under a key in it.
//!
//! ```text
//! 0 "MU3-KEYS" 8 ‖ 8 version 1 = 1 ‖ 9 memory in KiB u32 ‖ 13 passes u32 ‖ 17 lanes u32 ‖ 21 salt 16 ‖ 37 sealed
//! key 64 = Argon2id (version 0x13) of the passphrase; the aad is all before the sealed content
//! ```

use argon2::{Algorithm, Argon2, Block, Params, Version};
use messageu_wire::envelope::sealed::{SEALED_OVERHEAD, Sealed};
use rand::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use crate::aead::{AEAD_KEY_SIZE, AeadKey};
use crate::error::{AtRestError, OpenError};

/// Bytes that a key file has beside its content, and at least.
pub const KEY_FILE_OVERHEAD: usize = HEADER_SIZE + SEALED_OVERHEAD + 16;
/// Most bytes of a key file that are read.
pub const KEY_FILE_MAX: usize = 1 << 20;
/// Most bytes of a key file's content.
pub const KEY_FILE_CONTENT_MAX: usize = KEY_FILE_MAX - KEY_FILE_OVERHEAD;

const MAGIC: [u8; 8] = *b"MU3-KEYS";
const VERSION: u8 = 1;
const SALT_SIZE: usize = 16;
const HEADER_SIZE: usize = 37;
/// Most that a key file may ask for, so that a planted one cannot exhaust the machine.
const COST_MAX: Cost = Cost { memory_kib: 1 << 20, passes: 16, lanes: 16 };

/// KiB that Argon2 needs for each lane.
const LANE_KIB: u32 = 8;

/// What it costs to try a passphrase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes, which may be filled at once.
    pub lanes: u32,
}

impl Cost {
    /// What new key files ask for: 64 MiB, 3 passes, 4 lanes.
    pub const DEFAULT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };

    fn check(self) -> Result<Self, AtRestError> {
        let bounds = [
            ("memory in KiB", self.memory_kib, COST_MAX.memory_kib),
            ("number of passes", self.passes, COST_MAX.passes),
            ("number of lanes", self.lanes, COST_MAX.lanes),
        ];
        match bounds.into_iter().find(|(_, found, limit)| !(1..=*limit).contains(found)) {
            Some((what, found, limit)) => Err(AtRestError::Cost { what, found, limit }),
            None if self.memory_kib < LANE_KIB * self.lanes => {
                Err(AtRestError::Memory { found: self.memory_kib, least: LANE_KIB * self.lanes })
            }
            None => Ok(self),
        }
    }

    /// The key that a passphrase stands for.
    fn key(self, passphrase: &[u8], salt: &[u8; SALT_SIZE]) -> Result<AeadKey, AtRestError> {
        let refused =
            AtRestError::Cost { what: "memory in KiB", found: self.memory_kib, limit: COST_MAX.memory_kib };
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(AEAD_KEY_SIZE))
            .map_err(|_| refused)?;
        let mut memory = vec![Block::default(); params.block_count()];
        let mut key = Zeroizing::new([0; AEAD_KEY_SIZE]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let done = argon2.hash_password_into_with_memory(passphrase, salt, &mut *key, &mut memory);
        memory.zeroize();
        done.map(|()| AeadKey::from_bytes(&key)).map_err(|_| refused)
    }
}

/// Seals the content of a key file under a passphrase.
///
/// # Errors
/// [`AtRestError::Content`], [`AtRestError::Cost`] and [`AtRestError::Memory`] for what would not be opened again.
pub fn seal_key_file(
    passphrase: &[u8],
    cost: Cost,
    content: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, AtRestError> {
    if content.len() > KEY_FILE_CONTENT_MAX {
        return Err(AtRestError::Content { size: content.len() });
    }
    let cost = cost.check()?;
    let mut salt = [0; SALT_SIZE];
    rng.fill_bytes(&mut salt);
    let key = cost.key(passphrase, &salt)?;
    let costs = [cost.memory_kib, cost.passes, cost.lanes].map(u32::to_le_bytes);
    let header = [MAGIC.as_slice(), &[VERSION], costs.as_flattened(), &salt].concat();
    let sealed = key.seal(&header, content, rng);
    Ok([header, sealed.encode()].concat())
}

/// Opens a key file.
///
/// # Errors
/// [`AtRestError::Form`] if it is none, [`AtRestError::Cost`] or [`AtRestError::Memory`] if it asks for too much or too
/// little, [`AtRestError::Open`] if the passphrase is another one.
pub fn open_key_file(passphrase: &[u8], file: &[u8]) -> Result<Zeroizing<Vec<u8>>, AtRestError> {
    if file.len() > KEY_FILE_MAX {
        return Err(AtRestError::Form);
    }
    let mut rest = file;
    if take(&mut rest) != Some(MAGIC) || take(&mut rest) != Some([VERSION]) {
        return Err(AtRestError::Form);
    }
    let mut number = || take(&mut rest).map(u32::from_le_bytes).ok_or(AtRestError::Form);
    let cost = Cost { memory_kib: number()?, passes: number()?, lanes: number()? };
    let salt = take(&mut rest).ok_or(AtRestError::Form)?;
    let sealed = Sealed::decode("key file", rest, KEY_FILE_MAX).map_err(|_| AtRestError::Form)?;
    let key = cost.check()?.key(passphrase, &salt)?;
    let header = file.get(..HEADER_SIZE).ok_or(AtRestError::Form)?;
    key.open(header, &sealed).map_err(|OpenError| AtRestError::Open)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// Seals a record of a local store under a key from the key file. `place` says which record it is, so that records
/// cannot be exchanged for each other.
#[must_use]
pub fn seal_record(key: &AeadKey, place: &[u8], content: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
    key.seal(&record_aad(place), content, rng).encode()
}

/// Opens a record of a local store.
///
/// # Errors
/// [`OpenError`] for anything but what was sealed for this place.
pub fn open_record(key: &AeadKey, place: &[u8], record: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    // A record is on our own disk, so that it is as large as we made it.
    let sealed = Sealed::decode("record", record, record.len()).map_err(|_| OpenError)?;
    key.open(&record_aad(place), &sealed)
}

fn record_aad(place: &[u8]) -> Vec<u8> {
    [b"MU3-RECORD\0".as_slice(), place].concat()
}
