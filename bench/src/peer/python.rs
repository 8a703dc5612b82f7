//! A classic server as students write it in Python: a thread a connection, SQLite with a commit for each request. It speaks
//! the classic dialect of family C (`fixtures/classic_server.py`).

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use messageu_wire::dialect::{Dialect, Family};
use tempfile::TempDir;

use crate::account::{connect, register};
use crate::load::{Fixed, Ready, Ring};
use crate::place::Place;
use crate::process::Program;
use crate::scenario::send::requests;

/// The program's name.
pub const PROGRAM: &str = "python3";

const SOURCE: &str = include_str!("../../fixtures/classic_server.py");

/// A server that was started here.
#[derive(Debug)]
pub struct Python {
    /// Where it listens.
    pub address: SocketAddr,
    _program: Program,
    directory: TempDir,
}

impl Python {
    /// Starts one.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn start(path: &Path, place: &Place) -> Result<Self> {
        let directory = place.directory()?;
        let source = directory.path().join("classic_server.py");
        std::fs::File::create(&source)?.write_all(SOURCE.as_bytes())?;
        let mut command = Command::new(path);
        command.arg(&source).current_dir(directory.path());
        let (program, address) = Program::start_and_hear(&mut command, "ready ")?;
        let address = address.parse().context("the Python server does not say where it listens")?;
        Ok(Self { address, _program: program, directory })
    }

    /// Connections that each send to the next one's owner.
    ///
    /// # Errors
    /// When they cannot be made.
    pub async fn connections(&self, count: usize, depth: usize, size: usize) -> Result<Vec<Ready<Fixed>>> {
        let mut connections = Vec::with_capacity(count);
        for (request, replies) in self.requests(count, size).await? {
            let stream = connect(self.address).await?;
            connections.push(Ready { stream, ring: Ring::of_one(&request, depth), replies, quota: u64::MAX });
        }
        Ok(connections)
    }

    /// What each of so many accounts sends, and how the receipts look.
    ///
    /// # Errors
    /// When they cannot be registered.
    pub async fn requests(&self, count: usize, size: usize) -> Result<Vec<(Vec<u8>, Fixed)>> {
        requests(&register(self.address, Dialect::classic(Family::C), count).await?, size)
    }

    /// Messages in its database.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn stored(&self) -> Result<u64> {
        let database = rusqlite::Connection::open(self.directory.path().join("server.db"))?;
        Ok(database.query_one("SELECT count(*) FROM messages", [], |row| row.get(0))?)
    }
}
