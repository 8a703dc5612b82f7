//! Key files of version 3, which are sealed under a passphrase: what opens is what was sealed, what does not is refused for
//! what its error names, and what asks for too much is so before anything is allocated.

use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use messageu_envelope::at_rest::{Cost, KEY_FILE_OVERHEAD, open_key_file, seal_key_file};
use messageu_envelope::error::AtRestError;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::unstructured::change;

/// KiB times passes that are done: a file that asks for more is refused here only if it is refused at once.
const WORK_MAX: u64 = 1024;

/// Bytes before what is sealed.
const HEADER_SIZE: usize = 37;

const PASSPHRASE: &[u8] = b"correct horse";
const CONTENT: &[u8] = b"what nobody is to read";

/// A cost that takes no time.
pub(super) const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

/// Any bytes, a true file that was changed, or any content under any passphrase at any cost.
///
/// # Errors
/// When the bytes do not suffice to say one.
pub fn check_any_sealed_key_file(bytes: &mut Unstructured<'_>) -> Result<()> {
    match bytes.arbitrary::<u8>()? {
        0..64 => check_bytes(bytes.bytes(bytes.len())?),
        64..144 => {
            let mut file = true_key_file().to_vec();
            change(&mut file, bytes)?;
            check_bytes(&file);
        }
        _ => check_sealed(bytes)?,
    }
    Ok(())
}

/// A key file that a passphrase opens at once: a seed.
#[must_use]
pub fn true_key_file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        seal_key_file(PASSPHRASE, CHEAP, CONTENT, &mut StdRng::from_seed([11; 32])).expect("a key file")
    })
}

/// What has to become of a file that nobody sealed.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is refused before a key is derived.
    Refused(AtRestError),
    /// A key is derived, and does not open it.
    Tried,
    /// To derive its key would take a while.
    Dear,
}

/// What becomes of any bytes that are not a true file.
pub(super) fn verdict(file: &[u8]) -> Verdict {
    let sealed = file.len().saturating_sub(KEY_FILE_OVERHEAD - 16);
    if file.len() < HEADER_SIZE || file[..9] != *b"MU3-KEYS\x01" || sealed == 0 || !sealed.is_multiple_of(16)
    {
        return Verdict::Refused(AtRestError::Form);
    }
    let number = |at: usize| u32::from_le_bytes(*file[at..].first_chunk().expect("a whole header"));
    match refused_cost(Cost { memory_kib: number(9), passes: number(13), lanes: number(17) }) {
        Some(error) => Verdict::Refused(error),
        None if is_dear(number(9), number(13)) => Verdict::Dear,
        None => Verdict::Tried,
    }
}

fn is_dear(memory_kib: u32, passes: u32) -> bool {
    u64::from(memory_kib) * u64::from(passes) > WORK_MAX
}

/// Why a cost is given to nobody, if it is not.
fn refused_cost(cost: Cost) -> Option<AtRestError> {
    let bounds = [
        ("memory in KiB", cost.memory_kib, 1 << 20),
        ("number of passes", cost.passes, 16),
        ("number of lanes", cost.lanes, 16),
    ];
    let beyond = bounds.into_iter().find(|(_, found, limit)| *found == 0 || found > limit);
    let beyond = beyond.map(|(what, found, limit)| AtRestError::Cost { what, found, limit });
    let least = 8 * cost.lanes.min(16);
    let too_little = cost.memory_kib < least;
    beyond.or(too_little.then_some(AtRestError::Memory { found: cost.memory_kib, least }))
}

fn check_bytes(file: &[u8]) {
    let open = || open_key_file(PASSPHRASE, file);
    match verdict(file) {
        _ if file == true_key_file() => assert_eq!(**open().expect("a true file"), *CONTENT),
        Verdict::Refused(error) => assert_eq!(open().unwrap_err(), error),
        Verdict::Tried => assert_eq!(open().unwrap_err(), AtRestError::Open),
        Verdict::Dear => {}
    }
}

fn check_sealed(bytes: &mut Unstructured<'_>) -> Result<()> {
    let cost = Cost {
        memory_kib: *bytes.choose(&[8, 9, 16, 64, 128, 0, 7, 1 << 20, (1 << 20) + 1, u32::MAX])?,
        passes: *bytes.choose(&[1, 2, 3, 0, 16, 17, u32::MAX])?,
        lanes: *bytes.choose(&[1, 2, 4, 16, 0, 17, 1 << 29, u32::MAX])?,
    };
    let seed = [bytes.arbitrary::<u8>()?; 32];
    let size = usize::from(bytes.arbitrary::<u8>()? % 24).min(bytes.len());
    let passphrase = bytes.bytes(size)?;
    let (changes, content) = {
        let size = bytes.len().min(9);
        (bytes.bytes(size)?, bytes.bytes(bytes.len())?)
    };
    let refused = refused_cost(cost);
    if refused.is_none() && is_dear(cost.memory_kib, cost.passes) {
        return Ok(());
    }
    let sealed = seal_key_file(passphrase, cost, content, &mut StdRng::from_seed(seed));
    let file = match (sealed, refused) {
        (Ok(file), None) => file,
        (sealed, refused) => {
            assert_eq!(sealed.err(), refused);
            return Ok(());
        }
    };
    assert_eq!(**open_key_file(passphrase, &file).expect("what was sealed"), *content);
    let other = [passphrase, b" "].concat();
    assert_eq!(open_key_file(&other, &file).unwrap_err(), AtRestError::Open);
    let mut changed = file.clone();
    if change(&mut changed, &mut Unstructured::new(changes))? && changed != file {
        match verdict(&changed) {
            Verdict::Refused(error) => assert_eq!(open_key_file(passphrase, &changed).unwrap_err(), error),
            Verdict::Tried => assert_eq!(open_key_file(passphrase, &changed).unwrap_err(), AtRestError::Open),
            Verdict::Dear => {}
        }
    }
    Ok(())
}
