//! Where the log goes.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::{LogFormat, Options};

/// Begins to log as the options say. Gives the file that it goes to, if it goes to one.
pub(crate) fn start(options: &Options) -> Result<Option<Arc<LogFile>>> {
    let filter = EnvFilter::try_new(options.log_filter()).context("--log is no filter")?;
    let file = match options.log_file() {
        Some(path) => {
            let file = LogFile::open(path);
            Some(Arc::new(file.with_context(|| format!("the log file {} cannot be opened", path.display()))?))
        }
        None => None,
    };
    let (writer, colours) = match &file {
        Some(file) => (BoxMakeWriter::new(Arc::clone(file)), false),
        None => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    match options.log_format() {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(file)
}

/// A file that is appended to, and can be opened again when somebody has moved it away.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: Mutex::new(append_to(path)?) })
    }

    /// Opens the file of this name, and lets go of the one that is open. If that fails, the log stays where it is.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let file = append_to(&self.path)?;
        *self.file() = file;
        Ok(())
    }

    fn file(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

impl Write for &LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}
