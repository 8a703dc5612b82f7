//! Copies of accounts: one is taken over whole, or refused by name, and then nothing is left of it.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use messageu_client::modern::{Account, NewKeys, Passphrase, Registrant, Settings};
use messageu_client::{ErrorKind, Profile};
use messageu_envelope::at_rest::{open_key_file, seal_key_file};
use messageu_envelope::identity::IdentityKey;
use messageu_envelope::wrapping::WrappingKey;
use messageu_wire::fields::Name;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::end_to_end::users::rsa_key;
use super::sealed_key_file::{CHEAP, Verdict, verdict};
use crate::rarely::rarely;
use crate::unstructured::change;

/// Of the copies that are taken over, or whose database does not open then, one in so many is: a new key file costs what
/// it is to cost.
const TAKE_ONE_IN: u32 = 512;

/// Bytes of the size before the key file.
const SIZE_BYTES: usize = 4;

/// A copy of an account, taken apart.
struct TrueCopy {
    /// What its key file holds: the keys of the store, and the manifest of what follows.
    content: Vec<u8>,
    /// The database, sealed.
    database: Vec<u8>,
}

/// Any bytes, a true copy that was changed, or one whose key file holds something else under the right passphrase.
///
/// # Errors
/// When the bytes do not suffice to say one.
pub fn check_any_account_export(bytes: &mut Unstructured<'_>) -> Result<()> {
    let is_rare = rarely(bytes.peek_bytes(bytes.len()).unwrap_or_default(), TAKE_ONE_IN);
    match bytes.arbitrary::<u8>()? {
        0..48 => check_refused(bytes.bytes(bytes.len())?),
        48..160 => {
            let mut file = true_account_export().to_vec();
            // Most in front: the rest is a database.
            let reach = if bytes.arbitrary()? { file.len() } else { 700 };
            change(&mut file[..reach], bytes)?;
            file.truncate(file.len().saturating_sub(bytes.arbitrary::<u8>()?.saturating_sub(0xe0).into()));
            if file != true_account_export() {
                check_refused(&file);
            } else if is_rare {
                assert!(is_taken(&file), "a true copy is refused");
            }
        }
        _ => {
            let mut content = true_copy().content.clone();
            change(&mut content, bytes)?;
            // As long as it was, and one more or less.
            content.resize((content.len() + bytes.int_in_range(0..=2)?).saturating_sub(1), 0);
            if is_rare {
                // What is left of it is looked at in there: its name may be another one, which is no harm.
                is_taken(&assemble(&content));
            }
        }
    }
    Ok(())
}

/// A copy of an account whose passphrase costs nothing to try: a seed.
#[must_use]
pub fn true_account_export() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| assemble(&true_copy().content))
}

fn check_refused(file: &[u8]) {
    let key_file = file.split_first_chunk::<SIZE_BYTES>().and_then(|(size, rest)| {
        let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
        rest.get(..size)
    });
    if key_file.is_none_or(|key_file| verdict(key_file) != Verdict::Dear) {
        assert!(!is_taken(file), "what nobody has exported is taken");
    }
}

/// Whether a copy is taken over. What is refused is so by name, and leaves no account; what is taken opens.
fn is_taken(file: &[u8]) -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    let (from, profile) = (dir.path().join("copy"), Profile::at(dir.path().join("profile")));
    fs::write(&from, file).expect("a file");
    match Account::import(&profile, &from, &passphrase()) {
        Ok(()) => {
            let settings = Settings::new(dir.path().join("downloads"));
            let account = Account::open(&profile, Some(&passphrase()), settings).expect("what was taken");
            assert_eq!(account.name().as_str(), "alice");
            true
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::File | ErrorKind::Profile), "{error}");
            assert!(!Account::is_in(&profile), "a copy was refused ({error}), and its account is there");
            assert_eq!(left_in(&dir.path().join("profile")), [""; 0], "{error}");
            false
        }
    }
}

/// All files below a directory.
fn left_in(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let below = entries
        .map(|entry| entry.expect("an entry").path())
        .flat_map(|path| if path.is_dir() { left_in(&path) } else { vec![path.display().to_string()] });
    below.collect()
}

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse".to_owned())
}

fn true_copy() -> &'static TrueCopy {
    static COPY: OnceLock<TrueCopy> = OnceLock::new();
    COPY.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let settings = Settings::new(dir.path().join("downloads"));
        let who = Registrant { name: Name::new("alice").expect("a name"), phone: None };
        let keys = || {
            let identity = IdentityKey::from_pkcs8_der(&rsa_key("alice", "identity")).expect("a key");
            let wrapping = WrappingKey::from_pkcs8_der(&rsa_key("alice", "wrapping")).expect("a key");
            Ok(NewKeys { identity, wrapping })
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let profile = Profile::at(dir.path().join("profile"));
        let account = runtime.block_on(Account::prepare(&profile, None, who, settings, keys));
        let account = account.expect("an account");
        account.registered().expect("a sound store");
        let path = dir.path().join("copy");
        account.export(&path, &passphrase()).expect("a copy");
        let file = fs::read(path).expect("a copy");
        let (size, rest) = file.split_first_chunk::<SIZE_BYTES>().expect("a size");
        let (key_file, database) = rest.split_at(u32::from_le_bytes(*size) as usize);
        let content = open_key_file(passphrase().as_bytes(), key_file).expect("a key file").to_vec();
        TrueCopy { content, database: database.to_vec() }
    })
}

/// A copy with this in its key file.
fn assemble(content: &[u8]) -> Vec<u8> {
    let mut rng = StdRng::from_seed([12; 32]);
    let key_file = seal_key_file(passphrase().as_bytes(), CHEAP, content, &mut rng).expect("a key file");
    [&(key_file.len() as u32).to_le_bytes()[..], &key_file, &true_copy().database].concat()
}
