//! A bare TCP server on the server's runtime: it counts bytes and answers each request's worth with a fixed reply.
//!
//! It runs in a process of its own, as the server does: this program, started again with [`COMMAND`].

use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::account::connect;
use crate::load::{Fixed, Ready, Ring};
use crate::process::Program;

/// The subcommand of this program that serves.
pub const COMMAND: &str = "echo-server";

/// Bytes that are read at once.
const READ_SIZE: usize = 16 * 1024;

/// What the server is told.
#[derive(Clone, Copy, PartialEq, Eq, clap::Args, Debug)]
pub struct Exchange {
    /// Bytes of a request.
    #[arg(long)]
    pub request: usize,
    /// Bytes of a reply.
    #[arg(long)]
    pub reply: usize,
    /// Whether the server closes a connection after its first reply.
    #[arg(long)]
    pub close: bool,
}

impl Exchange {
    /// How its replies look: zeros.
    #[must_use]
    pub fn replies(&self) -> Fixed {
        Fixed { size: self.reply, start: vec![0; self.reply], refusal: Vec::new() }
    }
}

/// Serves until the process ends; says where on standard output.
///
/// # Errors
/// When it cannot listen.
pub async fn serve(exchange: Exchange) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ready {}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A peer that is gone needs no answer.
            let _ = echo(stream, exchange).await;
        });
    }
}

async fn echo(mut stream: TcpStream, exchange: Exchange) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = vec![0; READ_SIZE];
    let replies = vec![0; exchange.reply * (READ_SIZE / exchange.request.max(1) + 2)];
    let mut unanswered = 0;
    loop {
        let read = stream.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        unanswered += read;
        let whole = unanswered / exchange.request;
        unanswered %= exchange.request;
        stream.write_all(&replies[..whole * exchange.reply]).await?;
        if whole > 0 && exchange.close {
            return stream.shutdown().await;
        }
    }
}

/// Such a server, in a process of its own until this is dropped.
#[derive(Debug)]
pub struct EchoServer {
    _program: Program,
    address: SocketAddr,
    exchange: Exchange,
}

impl EchoServer {
    /// Starts one; `program` is this program.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(program: &std::path::Path, exchange: Exchange) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg(COMMAND);
        command.args(["--request", &exchange.request.to_string(), "--reply", &exchange.reply.to_string()]);
        command.args(exchange.close.then_some("--close"));
        let (program, address) = Program::start_and_hear(&mut command, "ready ")?;
        let address = address.parse().context("the echo server does not say where it listens")?;
        Ok(Self { _program: program, address, exchange })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections to it.
    ///
    /// # Errors
    /// When they cannot be made.
    pub async fn connections(&self, count: usize, depth: usize) -> Result<Vec<Ready<Fixed>>> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(Ready {
                stream: connect(self.address).await?,
                ring: Ring::of_one(&vec![0x5a; self.exchange.request], depth),
                replies: self.exchange.replies(),
                quota: u64::MAX,
            });
        }
        Ok(connections)
    }
}
