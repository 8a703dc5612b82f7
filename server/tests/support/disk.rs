//! A disk that fills up soon.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A small disk of its own, until it is dropped.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None where the system does not let us mount one.
    pub(crate) fn mount(mebibytes: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()).output();
        mount.is_ok_and(|mount| mount.status.success()).then_some(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills what is free, but for so many bytes.
    pub(crate) fn fill(&self, left: u64) -> PathBuf {
        let file = self.path().join("filler");
        let disk = rustix::fs::statvfs(self.path()).unwrap();
        let size = (disk.f_bavail * disk.f_frsize).saturating_sub(left);
        std::fs::write(&file, vec![1; size as usize]).unwrap();
        file
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
