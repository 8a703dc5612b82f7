//! The server that is measured: one that is started here, or one that listens already.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tempfile::TempDir;

use crate::place::Place;
use crate::process::{Memory, Program, memory};

/// More than any run here makes wait: what is refused for want of room is not what these measure.
const NO_LIMIT: &str = "1000000000";
const NO_LIMIT_BYTES: &str = "1000000000000";

/// What the server keeps messages in.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub enum Store {
    /// On disk before the answer.
    Sqlite,
    /// Nowhere but in memory: what is left is the cost of a request beside its store.
    Memory,
}

impl Store {
    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Memory => "memory",
        }
    }
}

/// Where servers come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// This program is started, over a new directory each time.
    Program(PathBuf),
    /// Somebody else started it, and it stays.
    Listening(SocketAddr),
}

/// Where the server is if it was built together with this program.
///
/// # Errors
/// When this program does not know where it is itself.
pub fn beside_this_program() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("messageu-server"))
}

/// A server that listens. One that was started here is stopped when this is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    // In this order: the program stops before its directory goes.
    program: Option<Program>,
    /// What was started, and over which directory.
    started: Option<(PathBuf, TempDir)>,
}

impl Server {
    /// Starts a server with no limits that a run could reach, and with `more` options; or takes the one that listens,
    /// with whatever it has.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(origin: &Origin, place: &Place, store: Store, more: &[&str]) -> Result<Self> {
        let unlimited = ["--queue-limit", "--recipient-messages"].map(|flag| [flag, NO_LIMIT]);
        let bytes = ["--queue-bytes", "--recipient-bytes"].map(|flag| [flag, NO_LIMIT_BYTES]);
        let unlimited: Vec<&str> = [unlimited.as_flattened(), bytes.as_flattened(), more].concat();
        Self::start_with(origin, place, store, &unlimited)
    }

    /// Starts a server with these options and no others.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_with(origin: &Origin, place: &Place, store: Store, options: &[&str]) -> Result<Self> {
        let path = match origin {
            Origin::Listening(address) => {
                return Ok(Self { address: *address, program: None, started: None });
            }
            Origin::Program(path) => path,
        };
        if !path.is_file() {
            bail!(
                "there is no server at {}: build it (cargo build --release -p messageu-server), or say where it is \
                 (--server-binary PATH, or --server ADDR:PORT for one that is listening)",
                path.display()
            );
        }
        let directory = place.directory()?;
        let mut command = Command::new(path);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MESSAGEU_")) {
            command.env_remove(name);
        }
        command
            .args(["--listen", "127.0.0.1:0", "--log", "warn", "--data"])
            .arg(directory.path())
            .args(options);
        if store == Store::Memory {
            command.args(["--db", "memory:"]);
        }
        let (program, address) = Program::start_and_hear(&mut command, "ready ")?;
        let address = address.parse().context("the server does not say where it listens")?;
        Ok(Self { address, program: Some(program), started: Some((path.clone(), directory)) })
    }

    /// Where it listens, and the pin that clients of version 3 know it by.
    ///
    /// # Errors
    /// When it was not started here, or cannot say.
    pub fn pinned(&self) -> Result<String> {
        let Some((binary, directory)) = &self.started else {
            bail!("the pin of a server that was not started here is not known");
        };
        let said = Command::new(binary).args(["pin", "--data"]).arg(directory.path()).output()?;
        let pin = String::from_utf8(said.stdout)?;
        if !said.status.success() {
            bail!("the server does not say its pin: {}", String::from_utf8_lossy(&said.stderr));
        }
        Ok(format!("{}#{}", self.address, pin.trim_end()))
    }

    /// Its process id, if it was started here.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.program.as_ref().map(Program::id)
    }

    /// Its memory.
    ///
    /// # Errors
    /// When it was not started here, or has ended.
    pub fn memory(&self) -> Result<Memory> {
        let id = self.id().context("the memory of a server that was not started here is not known")?;
        memory(id)
    }
}
