//! Room on the disk, asked for before a large file is written.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// Fails if a file of `size` bytes certainly does not fit into a directory, before anything is written.
pub(crate) fn require_room(dir: &Path, size: u64) -> Result<()> {
    // A file system that does not say, or claims to have no blocks at all, is tried.
    let Some(disk) = rustix::fs::statvfs(dir).ok().filter(|disk| disk.f_blocks > 0) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if size <= free {
        return Ok(());
    }
    let what = format!("{size} bytes do not fit into {}: {free} are free there", dir.display());
    Err(Error::new(ErrorKind::File, what).hint("make room on that disk and try again"))
}
