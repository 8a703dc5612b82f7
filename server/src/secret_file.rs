//! Files that are for their owner alone.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

/// Bytes of a file of certificates or secrets that are read: far more than any has.
const FILE_MAX: u64 = 1 << 20;

/// Puts a secret into a file for its owner alone, whole or not at all. What another server has put there stays.
pub(crate) fn keep(path: &Path, secret: &str) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made for its owner alone.
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(secret.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(directory)?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

/// Reads a file, as far as it has a sensible size.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a file that should be for its owner alone, and warns if it is not.
pub(crate) fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = read_file(path)?;
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o007 != 0 {
        tracing::warn!(
            file = %path.display(),
            mode = format!("{:o}", mode & 0o777),
            "a secret that everybody on this machine can read: chmod 600"
        );
    }
    Ok(bytes)
}
