//! The program `messageu-server`: chooses store and listeners, and runs until it is told to stop.
#![forbid(unsafe_code)]

mod config;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use config::{Cli, Command, Database, LogFormat, Options};
use messageu_server::admin::Admin;
use messageu_server::import::{ImportFailure, ImportReport, import_classic};
use messageu_server::store::Store;
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::sqlite::SqliteStore;
use messageu_server::{Listener, Relay, run};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// File descriptors that are not for connections: database, log, listeners.
const OTHER_FILES: u64 = 64;

fn main() -> ExitCode {
    let cli = match Cli::read().with_file() {
        Ok(cli) => cli,
        Err(error) => return fail(&error),
    };
    let done = match &cli.command {
        Some(Command::Completions { shell }) => {
            clap_complete::generate(*shell, &mut Cli::command(), "messageu-server", &mut std::io::stdout());
            Ok(())
        }
        Some(Command::Man) => clap_mangen::Man::new(Cli::command())
            .render(&mut std::io::stdout())
            .context("the manual page cannot be printed"),
        Some(Command::Import { path }) => in_runtime(&cli.options, import(&cli.options, path)),
        None => in_runtime(&cli.options, serve(&cli.options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("messageu-server: {error:#}");
    ExitCode::FAILURE
}

fn in_runtime(options: &Options, work: impl Future<Output = Result<()>>) -> Result<()> {
    let filter = EnvFilter::try_new(options.log_filter()).context("--log is no filter")?;
    let colours = std::io::stderr().is_terminal();
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match options.log_format() {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the threads of the server cannot be started")?;
    let done = runtime.block_on(work);
    // Whatever is still waiting for a disk or a peer has had its time.
    runtime.shutdown_background();
    done
}

fn open_store(options: &Options) -> Result<Arc<dyn Store>> {
    Ok(match options.database()? {
        Database::Memory => Arc::new(MemoryStore::new()),
        Database::Sqlite(path) => Arc::new(open_sqlite(options, &path)?),
    })
}

fn open_sqlite(options: &Options, path: &Path) -> Result<SqliteStore> {
    let data = options.data();
    std::fs::create_dir_all(data)
        .with_context(|| format!("the directory {} cannot be made", data.display()))?;
    Ok(SqliteStore::open(path)?)
}

async fn serve(options: &Options) -> Result<()> {
    let limits = options.limits()?;
    let addresses = options.listen()?;
    raise_file_limit(limits.clients);
    let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // Bound before the store is opened: a second server on the same port must not touch the database.
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = Listener::bind(address).with_context(|| {
            format!(
                "cannot listen on {address} (another server there? choose another with --listen or --port)"
            )
        })?;
        listeners.push(listener);
    }
    let admin = match options.admin()? {
        Some(address) => Some(Admin::bind(address).await.with_context(|| {
            format!("cannot listen on {address} (something else there? choose another with --admin)")
        })?),
        None => None,
    };
    let store = open_store(options)?;
    let disk = match options.database()? {
        Database::Memory => None,
        Database::Sqlite(path) => path.parent().map(|parent| Path::new(".").join(parent)),
    };
    let relay = Arc::new(Relay::new(store, limits, disk));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), database = %options.database()?, "serving");
    for listener in &listeners {
        println!("ready {}", listener.local_address()?);
    }
    if let Some(admin) = &admin {
        println!("admin {}", admin.local_address()?);
    }
    std::io::stdout().flush()?;
    let shutdown = CancellationToken::new();
    tokio::spawn(stop_on_signal(signals, shutdown.clone()));
    if let Some(admin) = admin {
        tokio::spawn(admin.serve(Arc::clone(&relay), listeners.len(), shutdown.clone()));
    }
    run(listeners, relay, shutdown).await;
    Ok(())
}

/// Each connection takes a file descriptor: as many are asked for as the system grants.
fn raise_file_limit(clients: usize) {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Without the raise, what there is has to do.
    let _ = setrlimit(Resource::Nofile, most);
    let wanted = u64::try_from(clients).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    match getrlimit(Resource::Nofile).current {
        Some(granted) if granted < wanted => tracing::warn!(
            granted,
            wanted,
            "the system grants fewer file descriptors than --max-clients needs: raise the limit (ulimit -n), or lower --max-clients"
        ),
        _ => {}
    }
}

async fn stop_on_signal((mut terminate, mut interrupt): (Signal, Signal), shutdown: CancellationToken) {
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    next().await;
    tracing::info!("stopping: what is in flight finishes; once more stops at once");
    shutdown.cancel();
    next().await;
    tracing::warn!("stopped at once");
    std::process::exit(1);
}

async fn import(options: &Options, path: &Path) -> Result<()> {
    let Database::Sqlite(target) = options.database()? else {
        bail!("an import needs a database to import into: give --db FILE");
    };
    // Asked before the target is made, so that a slip of the pen leaves no empty database behind.
    std::fs::metadata(path).with_context(|| format!("there is no database {} to import", path.display()))?;
    let store = open_sqlite(options, &target)?;
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
