//! Where the data of what is measured is: a directory of its own on a real disk.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// The type of a file system that is in memory (`man 2 statfs`).
const TMPFS: u64 = 0x0102_1994;

/// Where directories are made.
#[derive(Clone, Debug)]
pub struct Place(PathBuf);

impl Place {
    /// A given directory, or one beside the build's output. Says loudly when it is not on a disk.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(given: Option<&Path>) -> Result<Self> {
        let path = match given {
            Some(path) => path.to_owned(),
            None => beside_the_program()?,
        };
        std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        if is_in_memory(&path)? {
            eprintln!(
                "\n!!! {} IS IN MEMORY: nothing here is durable, and every figure that includes a disk means \
                 nothing. Give a directory on a disk with --data.\n",
                path.display()
            );
        }
        Ok(Self(path))
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A new directory in it, which is gone when it is dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn directory(&self) -> Result<TempDir> {
        let made = tempfile::Builder::new().prefix("bench-").tempdir_in(&self.0);
        made.with_context(|| format!("no directory can be made in {}", self.0.display()))
    }
}

/// `target/bench-data`, if the program is in `target/release`.
fn beside_the_program() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent).context("the program has no directory")?;
    Ok(target.join("bench-data"))
}

fn is_in_memory(path: &Path) -> Result<bool> {
    let kind = rustix::fs::statfs(path)
        .with_context(|| format!("{} cannot be asked for its disk", path.display()))?;
    Ok(u64::try_from(kind.f_type).is_ok_and(|kind| kind == TMPFS))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_in_memory;

    #[test]
    fn memory_is_told_from_a_disk() {
        assert!(!is_in_memory(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap());
        if Path::new("/dev/shm").exists() {
            assert!(is_in_memory(Path::new("/dev/shm")).unwrap());
        }
    }
}
