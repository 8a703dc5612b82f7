//! A file that is sent: sealed piece by piece as it is read.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use messageu_envelope::legacy::LegacySealer;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, FileResult, Result};

/// Bytes that are sealed at a time.
const PIECE_SIZE: usize = 256 * 1024;

/// A file to send, whose size was said when it was opened and must hold until its end.
#[derive(Debug)]
pub(crate) struct Upload {
    file: File,
    path: PathBuf,
    size: u64,
}

impl Upload {
    /// Opens a regular file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        // Asked before it is opened: opening a pipe waits for whoever writes to it.
        if !std::fs::metadata(path).at("read", path)?.is_file() {
            return Err(Error::new(ErrorKind::File, format!("{} is not a regular file", path.display()))
                .hint("of a pipe, save what comes to a file first"));
        }
        let file = File::open(path).at("read", path)?;
        let size = file.metadata().at("read", path)?.len();
        Ok(Self { file, path: path.to_owned(), size })
    }

    /// Its size before it is sealed, in bytes.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Its content, sealed. A piece is an error if the file has another size by now.
    pub(crate) fn seal(self, sealer: LegacySealer) -> SealedPieces {
        SealedPieces { left: self.size, upload: self, sealer: Some(sealer) }
    }

    fn changed(&self, how: &str) -> Error {
        let what = format!("{} became {how} while it was sent; nothing was", self.path.display());
        Error::new(ErrorKind::File, what).hint("try again when nobody is writing to it, or send a copy")
    }
}

/// The pieces of a file, each sealed when it is asked for.
pub(crate) struct SealedPieces {
    upload: Upload,
    sealer: Option<LegacySealer>,
    left: u64,
}

impl SealedPieces {
    fn piece(&mut self, mut sealer: LegacySealer) -> Result<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(PIECE_SIZE));
        let most = u64::try_from(PIECE_SIZE).unwrap_or(u64::MAX);
        let wanted = self.left.min(most);
        let mut read = |most: u64, plain: &mut Vec<u8>| -> Result<u64> {
            let count =
                (&mut self.upload.file).take(most).read_to_end(plain).at("read", &self.upload.path)?;
            Ok(u64::try_from(count).unwrap_or(u64::MAX))
        };
        if read(wanted, &mut plain)? < wanted {
            return Err(self.upload.changed("shorter"));
        }
        self.left -= wanted;
        let is_last = self.left == 0;
        if is_last && read(1, &mut Vec::new())? > 0 {
            return Err(self.upload.changed("longer"));
        }
        let mut sealed = Vec::new();
        sealer.update(&plain, &mut sealed);
        if is_last {
            sealer.finish(&mut sealed);
        } else {
            self.sealer = Some(sealer);
        }
        Ok(sealed)
    }
}

impl Iterator for SealedPieces {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Result<Vec<u8>>> {
        let sealer = self.sealer.take()?;
        Some(self.piece(sealer))
    }
}

#[cfg(test)]
mod tests {
    use messageu_envelope::legacy::{LegacyIv, LegacyKey};

    use super::*;

    /// The outcome of sending a file that had one size when it was opened, and has another when it is read.
    fn send_resized(before: usize, now: usize) -> Vec<Result<Vec<u8>>> {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&path, vec![7; before]).unwrap();
        let upload = Upload::open(&path).unwrap();
        std::fs::write(&path, vec![7; now]).unwrap();
        let key = LegacyKey::from_bytes(&[1; 16]);
        upload.seal(LegacySealer::new(&key, LegacyIv::Zero, &mut rand::rng())).collect()
    }

    #[test]
    fn a_file_that_changes_its_size_is_an_error_and_neither_filled_up_nor_cut() {
        for (before, now) in
            [(101, 100), (100, 101), (PIECE_SIZE, PIECE_SIZE + 1), (0, 1), (PIECE_SIZE + 1, 5)]
        {
            let pieces = send_resized(before, now);
            let last = pieces.last().unwrap().as_ref();
            assert_eq!(last.unwrap_err().kind(), ErrorKind::File, "{before} {now}");
        }
    }

    #[test]
    fn a_file_that_stays_as_it_is_becomes_as_many_bytes_as_were_said() {
        for size in [0, 1, 16, PIECE_SIZE, PIECE_SIZE + 1] {
            let sealed: usize = send_resized(size, size).into_iter().map(|piece| piece.unwrap().len()).sum();
            assert_eq!(sealed, (size / 16 + 1) * 16);
        }
    }
}
