//! The program `messageu-server`: chooses store and listeners, and runs until it is told to stop.
#![forbid(unsafe_code)]

mod config;
mod log;
mod maintenance;
mod manual;
mod service;
mod sockets;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use config::{Cli, Command, Database, Options};
use messageu_server::store::Store;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::modern::ModernStore;
use messageu_server::store::sqlite::SqliteStore;
use messageu_server::tls::{Certificate, CertificateSource};
use sockets::Inherited;

fn main() -> ExitCode {
    match Inherited::take().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("messageu-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(inherited: Inherited) -> Result<()> {
    let cli = Cli::read().with_file()?;
    match &cli.command {
        Some(Command::Completions { shell }) => {
            clap_complete::generate(*shell, &mut Cli::command(), "messageu-server", &mut std::io::stdout());
            Ok(())
        }
        Some(Command::Man) => manual::print().context("the manual page cannot be printed"),
        Some(Command::Backup { path, overwrite }) => maintenance::back_up(&cli.options, path, *overwrite),
        Some(Command::Restore { path, overwrite }) => maintenance::restore(&cli.options, path, *overwrite),
        Some(Command::VerifyBackup { path }) => maintenance::verify(path),
        Some(Command::Pin) => print_pin(&cli.options),
        Some(Command::Import { path }) => {
            log::start(&cli.options)?;
            in_runtime(maintenance::import(&cli.options, path))
        }
        None => {
            let log = log::start(&cli.options)?;
            in_runtime(service::serve(cli, inherited, log))
        }
    }
}

/// Prints what clients know the server by.
fn print_pin(options: &Options) -> Result<()> {
    let source = options.certificate()?;
    if source == CertificateSource::Memory {
        bail!("a certificate in memory ends with its server, which prints its pin when it starts");
    }
    println!("sha256={}", Certificate::load(&source)?.pin);
    Ok(())
}

fn in_runtime(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the threads of the server cannot be started")?;
    let done = runtime.block_on(work);
    // Whatever is still waiting for a disk or a peer has had its time.
    runtime.shutdown_background();
    done
}

/// The database, as the classic dialects and as version 3 know it.
fn open_stores(options: &Options) -> Result<(Arc<dyn Store>, Arc<dyn ModernStore>)> {
    fn both<S: Store + ModernStore>(store: S) -> (Arc<dyn Store>, Arc<dyn ModernStore>) {
        let store = Arc::new(store);
        (store.clone(), store)
    }
    Ok(match options.database()? {
        Database::Memory => both(MemoryStore::new()),
        Database::Sqlite(path) => both(open_sqlite(options, &path)?),
    })
}

fn open_sqlite(options: &Options, path: &Path) -> Result<SqliteStore> {
    make_data_directory(options)?;
    Ok(SqliteStore::open(path)?)
}

fn make_data_directory(options: &Options) -> Result<()> {
    let data = options.data();
    std::fs::create_dir_all(data).with_context(|| format!("the directory {} cannot be made", data.display()))
}
