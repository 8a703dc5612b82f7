//! One large content, to the server and back, beside a plain copy; and what memory that takes the server.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use messageu_wire::operations::Operation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::account::{Account, DIALECT, answer, connect, register};
use crate::bench::Bench;
use crate::record::Record;
use crate::reference::loopback::MB;
use crate::server::{Server, Store};

/// Bytes that are written and read at once.
const BUFFER: usize = 256 * 1024;

/// How large the content is.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Its size in MiB.
    #[arg(long, default_value_t = 2_048)]
    pub mib: u64,
    /// What the server keeps messages in.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    pub store: Store,
}

impl Options {
    /// The name of the record.
    #[must_use]
    pub fn name(&self) -> String {
        format!("file {} of {} MiB", self.store.name(), self.mib)
    }

    /// Bytes of the content.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.mib << 20
    }
}

/// Measures a content both ways.
///
/// # Errors
/// When the server does not take it, or gives back something else.
pub async fn run(bench: &Bench, options: &Options) -> Result<Record> {
    let free_disk = ["--min-free-disk", "0"];
    let server = Server::start(&bench.origin, &bench.place, options.store, &free_disk)?;
    let accounts = register(server.address, DIALECT, 1).await?;
    let account = accounts.first().context("no account")?;
    let mut stream = connect(server.address).await?;
    // What the first message makes the server set up is not the content's share.
    upload(&mut stream, account, 1).await?;
    download(&mut stream, account, 1).await?;
    let before = server.memory()?;

    let began = Instant::now();
    upload(&mut stream, account, options.size()).await?;
    let up = began.elapsed().as_secs_f64();
    let uploaded = server.memory()?;
    let began = Instant::now();
    download(&mut stream, account, options.size()).await?;
    let down = began.elapsed().as_secs_f64();
    let downloaded = server.memory()?;

    let megabytes = options.size() as f64 / MB;
    Ok(Record::new(options.name())
        .with("up MB a second", megabytes / up)
        .with("down MB a second", megabytes / down)
        .with("KiB more after up", uploaded.peak.saturating_sub(before.peak) as f64)
        .with("KiB more after both", downloaded.peak.saturating_sub(before.peak) as f64))
}

/// The bytes at an offset of the content: each piece differs from the others, so that one in another's place shows.
fn fill(piece: &mut [u8], offset: u64) {
    let stamp = (offset / BUFFER as u64).to_le_bytes();
    let at = piece.len().min(stamp.len());
    piece[..at].copy_from_slice(&stamp[..at]);
}

async fn upload(stream: &mut TcpStream, account: &Account, size: u64) -> Result<()> {
    stream.write_all(&account.send_head(account.id, u32::try_from(size)?)?).await?;
    let mut bytes = vec![0x5a; BUFFER];
    let mut sent = 0;
    while sent < size {
        let piece = bytes.len().min(usize::try_from(size - sent)?);
        fill(&mut bytes[..piece], sent);
        stream.write_all(&bytes[..piece]).await?;
        sent += piece as u64;
    }
    answer(stream, account.dialect, Operation::SendMessage).await?.context("the content was refused")?;
    Ok(())
}

/// Takes the one message that waits, which must be what [`upload`] sent.
async fn download(stream: &mut TcpStream, account: &Account, size: u64) -> Result<()> {
    stream.write_all(&account.pull()?).await?;
    let profile = account.dialect.profile;
    let mut front = vec![0; profile.header.response_size() + profile.entry.size()];
    stream.read_exact(&mut front).await?;
    let head = messageu_wire::operation::pull_messages::EntryHead::decode(
        &front[profile.header.response_size()..],
        profile,
    )?;
    if u64::from(head.size) != size {
        bail!("a content of {} bytes came where {size} were sent", head.size);
    }
    let (mut bytes, mut expected) = (vec![0; BUFFER], vec![0x5a; BUFFER]);
    let mut taken = 0;
    while taken < size {
        let piece = bytes.len().min(usize::try_from(size - taken)?);
        stream.read_exact(&mut bytes[..piece]).await?;
        fill(&mut expected[..piece], taken);
        if bytes[..piece] != expected[..piece] {
            bail!("the content differs from what was sent, at byte {taken} or soon after");
        }
        taken += piece as u64;
    }
    Ok(())
}
