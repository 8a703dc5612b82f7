//! What is done to a database beside serving it: taking another one over, and backups.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use messageu_server::import::{ImportFailure, ImportReport, import_classic};
use messageu_server::store::Store as _;
use messageu_server::store::sqlite::backup;

use crate::config::{Database, Options};

/// How often a terminal is told how far it is.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Takes a classic server's database over.
pub(crate) async fn import(options: &Options, path: &Path) -> Result<()> {
    let target = database(options)?;
    // Asked before the target is made, so that a slip of the pen leaves no empty database behind.
    std::fs::metadata(path).with_context(|| format!("there is no database {} to import", path.display()))?;
    let store = crate::open_sqlite(options, &target)?;
    let report = import_classic(path, &store).await;
    store.close().await;
    match report {
        Ok(report) => {
            println!("{report}");
            Ok(())
        }
        Err(ImportFailure { report, error }) => {
            if report != ImportReport::default() {
                println!("{report}");
            }
            Err(error).with_context(|| format!("{} cannot be imported, or not to its end", path.display()))
        }
    }
}

/// Copies the database into a file.
pub(crate) fn back_up(options: &Options, path: &Path, overwrite: bool) -> Result<()> {
    let database = database(options)?;
    let done = with_progress(|progress| backup::back_up(&database, path, overwrite, progress));
    println!("backed up {} to {}: {}", database.display(), path.display(), done?);
    Ok(())
}

/// Puts a backup in the place of the database.
pub(crate) fn restore(options: &Options, path: &Path, overwrite: bool) -> Result<()> {
    let database = database(options)?;
    crate::make_data_directory(options)?;
    let done = with_progress(|progress| backup::restore(path, &database, overwrite, progress));
    println!("restored {} from {}: {}", database.display(), path.display(), done?);
    Ok(())
}

/// Says whether a backup is sound.
pub(crate) fn verify(path: &Path) -> Result<()> {
    let inventory = backup::verify(path)?;
    println!("{} is sound: {inventory}", path.display());
    Ok(())
}

fn database(options: &Options) -> Result<PathBuf> {
    match options.database()? {
        Database::Sqlite(path) => Ok(path),
        Database::Memory => bail!("a database in memory ends with its server: give --db FILE"),
    }
}

/// Does something, and tells a terminal how far it is.
fn with_progress<T>(work: impl FnOnce(backup::Progress<'_>) -> T) -> T {
    let mut stderr = std::io::stderr();
    let is_terminal = stderr.is_terminal();
    let mut told: Option<Instant> = None;
    let done = work(&mut |done, all| {
        if is_terminal && told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            told = Some(Instant::now());
            // A terminal that is gone needs to know nothing.
            let _ = write!(stderr, "\r{:3} %", done.saturating_mul(100) / all.max(1));
        }
    });
    if told.is_some() {
        let _ = write!(stderr, "\r     \r");
    }
    done
}
