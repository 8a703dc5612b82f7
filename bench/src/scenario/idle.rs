//! Connections that say nothing: what each costs the server in memory.

use std::time::Duration;

use anyhow::{Context, Result};
use messageu_client::Address;
use messageu_client::modern::Connection;
use messageu_wire::modern::operation::hello;
use messageu_wire::operation::fetch_key;
use messageu_wire::operations::Operation;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::account::{Account, DIALECT, answer, connect_from_anywhere, register};
use crate::bench::Bench;
use crate::modern::connect;
use crate::process::{Memory, allow_files};
use crate::record::Record;
use crate::server::{Server, Store};

/// Connections that are made at once: no more than the system lets wait to be accepted.
const AT_ONCE: usize = 500;

/// Those that shake hands at once: what takes a processor's time should not wait for the others' until it is too late.
const SHAKING: usize = 100;

/// Files beside the connections.
const OTHER_FILES: u64 = 200;

/// How long the server may still be busy with a newcomer.
const SETTLING: Duration = Duration::from_millis(500);

/// How many there are.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Connections at once.
    #[arg(long, short, default_value_t = 20_000)]
    pub connections: usize,
    /// With TLS, in version 3.
    #[arg(long)]
    pub tls: bool,
    /// What the server keeps messages in.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    pub store: Store,
}

impl Options {
    /// The name of the record.
    #[must_use]
    pub fn name(&self) -> String {
        let how = if self.tls { "tls" } else { "plain" };
        format!("idle {how} {} c{}", self.store.name(), self.connections)
    }
}

/// Measures what so many connections cost the server.
///
/// # Errors
/// When the server does not take the connections, or the system allows hardly any.
pub async fn run(bench: &Bench, options: &Options) -> Result<Record> {
    let (count, files) = (options.connections, u64::try_from(options.connections)? + OTHER_FILES);
    let granted = allow_files(files);
    let count = match usize::try_from(files.saturating_sub(granted))? {
        0 => count,
        missing => {
            let fewer = count.saturating_sub(missing);
            eprintln!(
                "\n!!! the system grants {granted} open files (ulimit -Hn): {fewer} CONNECTIONS INSTEAD OF {count}\n"
            );
            fewer
        }
    };
    let clients = files.to_string();
    let flags = ["--max-clients", &clients, "--idle-time", "86400"];
    let server = Server::start_with(&bench.origin, &bench.place, options.store, &flags)?;
    let Figures { before, silent, served, connections } =
        if options.tls { encrypted(&server, count).await? } else { plain(&server, count).await? };
    let each = |after: Memory| after.resident.saturating_sub(before.resident) as f64 / connections as f64;
    Ok(Record::new(Options { connections: count, ..options.clone() }.name())
        .with("KiB each, silent", each(silent))
        .with("KiB each, after a request", each(served))
        .with("KiB of the server alone", before.resident as f64)
        .with("KiB at most", served.peak as f64))
}

/// The server's memory with nobody there, with silent newcomers, and after each of them has made one request.
struct Figures {
    before: Memory,
    silent: Memory,
    served: Memory,
    connections: usize,
}

async fn plain(server: &Server, count: usize) -> Result<Figures> {
    let accounts = register(server.address, DIALECT, 1).await?;
    let account = *accounts.first().context("no account")?;
    // What the first requests make the server set up is not the connections' share.
    drop(ask_on_all(several(server, 10).await?, account).await?);
    let before = settled(server).await?;

    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        streams.extend(several(server, AT_ONCE.min(count - streams.len())).await?);
    }
    // One more is answered only after all before it were accepted.
    drop(ask_on_all(several(server, 1).await?, account).await?);
    let silent = settled(server).await?;
    let streams = ask_on_all(streams, account).await?;
    let served = settled(server).await?;
    Ok(Figures { before, silent, served, connections: streams.len() })
}

/// With TLS: the newcomers have shaken hands, and their request is one that needs no account.
async fn encrypted(server: &Server, count: usize) -> Result<Figures> {
    let address = server.pinned()?.parse()?;
    greet_on_all(&shaken(&address, 10).await?).await?;
    let before = settled(server).await?;

    let mut connections = Vec::with_capacity(count);
    while connections.len() < count {
        connections.extend(shaken(&address, SHAKING.min(count - connections.len())).await?);
    }
    let silent = settled(server).await?;
    greet_on_all(&connections).await?;
    let served = settled(server).await?;
    Ok(Figures { before, silent, served, connections: connections.len() })
}

async fn settled(server: &Server) -> Result<Memory> {
    tokio::time::sleep(SETTLING).await;
    server.memory()
}

async fn shaken(address: &Address, count: usize) -> Result<Vec<Connection>> {
    let mut connecting = JoinSet::new();
    for _ in 0..count {
        let address = address.clone();
        connecting.spawn(async move { connect(&address).await });
    }
    let mut connections = Vec::with_capacity(count);
    while let Some(connection) = connecting.join_next().await {
        connections.push(connection??);
    }
    Ok(connections)
}

async fn greet_on_all(connections: &[Connection]) -> Result<()> {
    for connection in connections {
        connection.call(hello::Request).await?;
    }
    Ok(())
}

async fn several(server: &Server, count: usize) -> Result<Vec<TcpStream>> {
    let mut connecting = JoinSet::new();
    for _ in 0..count {
        connecting.spawn(connect_from_anywhere(server.address));
    }
    let mut streams = Vec::with_capacity(count);
    while let Some(stream) = connecting.join_next().await {
        streams.push(stream??);
    }
    Ok(streams)
}

/// Has each connection make a small request, a few at a time.
async fn ask_on_all(streams: Vec<TcpStream>, account: Account) -> Result<Vec<TcpStream>> {
    let request = account.request(&fetch_key::Request { client_id: account.id }.into())?;
    let mut asked = Vec::with_capacity(streams.len());
    let mut streams = streams.into_iter();
    loop {
        let mut asking = JoinSet::new();
        for mut stream in streams.by_ref().take(AT_ONCE) {
            let request = request.clone();
            asking.spawn(async move {
                stream.write_all(&request).await?;
                let answer = answer(&mut stream, account.dialect, Operation::FetchKey).await?;
                answer.context("a request was refused")?;
                anyhow::Ok(stream)
            });
        }
        if asking.is_empty() {
            return Ok(asked);
        }
        while let Some(stream) = asking.join_next().await {
            asked.push(stream??);
        }
    }
}
