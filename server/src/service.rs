//! The server as a service: its sockets, its signals, and what it tells the service manager.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use messageu_server::admin::Admin;
use messageu_server::limits::Limits;
use messageu_server::modern::Modern;
use messageu_server::tls::{Certificate, CertificateSource, Tls};
use messageu_server::{ListenAddress, Listener, Relay, run};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Cli, Database, Difference, Options};
use crate::log::LogFile;
use crate::sockets::{self, Inherited};

/// File descriptors that are not for connections: database, log, listeners.
const OTHER_FILES: u64 = 64;

/// Serves until it is told to stop.
pub(crate) async fn serve(cli: Cli, inherited: Inherited, log: Option<Arc<LogFile>>) -> Result<()> {
    let options = &cli.options;
    let limits = options.limits()?;
    let certificate = options.certificate()?;
    raise_file_limit(limits.clients);
    let stops = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let reloads = (signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?);
    // Bound before the store is opened: a second server on the same port must not touch the database.
    let Inherited { listeners, admin } = inherited;
    let listeners = listen(options, listeners)?;
    let admin = listen_for_admin(options, admin).await?;
    let (store, modern) = crate::open_stores(options)?;
    let disk = match options.database()? {
        Database::Memory => None,
        Database::Sqlite(path) => path.parent().map(|parent| Path::new(".").join(parent)),
    };
    let mut relay = Relay::new(store, limits, disk);
    if listeners.iter().any(|listener| listener.serves().modern()) {
        let tls = Tls::new(Certificate::load_or_make(&certificate)?);
        relay.modern = Some(Arc::new(Modern::new(tls, modern, options.registration()?)));
    }
    let relay = Arc::new(relay);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), database = %options.database()?, "serving");
    say_where(&listeners, admin.as_ref(), &relay)?;
    let shutdown = CancellationToken::new();
    tokio::spawn(stop_on_signal(stops, shutdown.clone()));
    let own = options.own_certificate()?;
    tokio::spawn(reload_on_signal(reloads, cli, own, Arc::clone(&relay), log));
    tokio::spawn(report_to_manager(Arc::clone(&relay)));
    if let Some(admin) = admin {
        tokio::spawn(admin.serve(Arc::clone(&relay), listeners.len(), shutdown.clone()));
    }
    tell_manager(&[NotifyState::Ready, NotifyState::Status("serving")]);
    run(listeners, relay, shutdown).await;
    Ok(())
}

/// Says on standard output where the server listens, and what it is known by. In one piece: whoever starts a server may read
/// no more than the first lines.
fn say_where(listeners: &[Listener], admin: Option<&Admin>, relay: &Relay) -> Result<()> {
    let mut text = String::new();
    for listener in listeners {
        writeln!(text, "ready {}", listener.local_address()?)?;
    }
    if let Some(admin) = admin {
        writeln!(text, "admin {}", admin.local_address()?)?;
    }
    if let Some(modern) = &relay.modern {
        writeln!(text, "pin sha256={}", modern.tls.pin())?;
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// The sockets that were passed on, and those that the options ask for beside them.
fn listen(options: &Options, inherited: Vec<(std::net::TcpListener, String)>) -> Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for (socket, pin) in inherited {
        let separator = if pin.is_empty() { "" } else { "," };
        let address: ListenAddress = format!("{}{separator}{pin}", sockets::address(&socket)?)
            .parse()
            .context("FileDescriptorName= of a socket that the service manager passed on is not right")?;
        listeners.push(Listener::adopt(socket, options.guard(address)?)?);
    }
    for address in options.listen(!listeners.is_empty())? {
        let address = options.guard(address)?;
        let listener = Listener::bind(address).with_context(|| {
            format!(
                "cannot listen on {address} (another server there? choose another with --listen or --port)"
            )
        })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

async fn listen_for_admin(
    options: &Options,
    inherited: Option<std::net::TcpListener>,
) -> Result<Option<Admin>> {
    if let Some(socket) = inherited {
        options.allow_admin(sockets::address(&socket)?)?;
        return Ok(Some(Admin::adopt(socket)?.known_as(options.admin_hosts())));
    }
    let Some(address) = options.admin() else { return Ok(None) };
    options.allow_admin(address)?;
    let admin = Admin::bind(address).await.with_context(|| cannot_listen(address))?;
    Ok(Some(admin.known_as(options.admin_hosts())))
}

fn cannot_listen(address: SocketAddr) -> String {
    format!("cannot listen on {address} (something else there? choose another with --admin)")
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
    tell_manager(&[NotifyState::Stopping, NotifyState::Status("finishing what is in flight")]);
    shutdown.cancel();
    next().await;
    tracing::warn!("stopped at once");
    std::process::exit(1);
}

/// SIGHUP opens the log file again, takes the limits from the configuration file and reads the certificate again; SIGUSR1
/// does only the first.
async fn reload_on_signal(
    (mut hangup, mut user): (Signal, Signal),
    mut cli: Cli,
    own: CertificateSource,
    relay: Arc<Relay>,
    log: Option<Arc<LogFile>>,
) {
    loop {
        let reload = tokio::select! {
            Some(()) = hangup.recv() => true,
            Some(()) = user.recv() => false,
            else => return,
        };
        if let Some(Err(error)) = log.as_ref().map(|log| log.reopen()) {
            tracing::error!(%error, "the log file cannot be opened again: the log goes on where it was");
        }
        if reload {
            // Without a time, a later version of the manager would not take it.
            let now = NotifyState::monotonic_usec_now().ok();
            tell_manager(&[Some(NotifyState::Reloading), now].into_iter().flatten().collect::<Vec<_>>());
            reload_limits(&mut cli, &relay);
            reload_certificate(&cli.options, own.clone(), &relay);
            tell_manager(&[NotifyState::Ready]);
        }
    }
}

/// Options, if what can be taken from them at a reload is right.
fn checked(options: Options) -> Result<(Options, Limits)> {
    options.certificate()?;
    let limits = options.limits()?;
    Ok((options, limits))
}

/// Serves new connections with the certificate as it is now, which may have been renewed. If anything about it is wrong, the
/// old one stays.
fn reload_certificate(options: &Options, own: CertificateSource, relay: &Relay) {
    let Some(modern) = &relay.modern else { return };
    let source = match options.certificate() {
        Ok(given @ CertificateSource::Given { .. }) => given,
        _ => own,
    };
    if source == CertificateSource::Memory {
        return;
    }
    match Certificate::load(&source) {
        Ok(certificate) => {
            let before = modern.tls.pin();
            if modern.tls.replace(certificate) {
                tracing::info!(pin = format!("sha256={}", modern.tls.pin()), "another certificate");
            }
            if modern.tls.pin() != before {
                tracing::warn!(
                    before = format!("sha256={before}"),
                    "the server is known by another key now: clients that know it by the one before will refuse it"
                );
            }
        }
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::error!(error, "the certificate cannot be read again: the one before stays");
        }
    }
}

/// Takes what can be changed from the configuration file as it is now. If anything in it is wrong, nothing changes.
fn reload_limits(cli: &mut Cli, relay: &Relay) {
    let (options, limits) = match cli.read_again().and_then(checked) {
        Ok(read) => read,
        Err(error) => {
            tracing::error!(
                error = format!("{error:#}"),
                "the configuration cannot be reloaded: nothing has changed"
            );
            return;
        }
    };
    let differences = match cli.options.differences(&options) {
        Ok(differences) => differences,
        Err(error) => {
            tracing::error!(
                error = format!("{error:#}"),
                "the configuration cannot be compared: nothing has changed"
            );
            return;
        }
    };
    let (later, now): (Vec<_>, Vec<_>) =
        differences.iter().partition(|difference| difference.needs_restart());
    let list = |differences: &[&Difference]| {
        differences.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    if !now.is_empty() {
        raise_file_limit(limits.clients);
        relay.set_limits(limits);
        tracing::info!(changed = list(&now), "reloaded");
    } else {
        tracing::info!("reloaded: no limit has changed");
    }
    if !later.is_empty() {
        tracing::warn!(changed = list(&later), "these take effect at the next start");
    }
    cli.options = options;
}

/// Tells the service manager that the server is alive, as often as it wants to know, and how it is.
async fn report_to_manager(relay: Arc<Relay>) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    loop {
        tokio::time::sleep(patience / 2).await;
        // Whether it can commit is another question; but a store that says nothing at all is stuck.
        let _ = relay.store.probe().await;
        let waiting = relay.store.metrics().messages.waiting.read().messages;
        let open = relay.metrics.open.load(std::sync::atomic::Ordering::Relaxed);
        let status = format!("{open} connections, {waiting} messages waiting");
        tell_manager(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
    }
}

fn tell_manager(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
