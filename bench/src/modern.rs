//! Users of version 3: accounts, connections with TLS, and what they send.

use anyhow::{Context, Result, bail};
use messageu_client::modern::{Account, Connection, NewKeys, Patience, Registrant, Settings};
use messageu_client::{Address, Profile};
use messageu_wire::envelope::field::EnvelopeId;
use messageu_wire::fields::{ClientId, Name};
use messageu_wire::modern::field::{Envelope, StoreStatus};
use messageu_wire::modern::operation::send_envelope;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::server::Server;

/// What the server looks at of an envelope: that it is a message of suite 1.
pub const ENVELOPE_PREFIX: [u8; 8] = *b"MU3\x01\x01\x03\0\0";

/// A user with an account at the server.
pub struct User {
    /// Who it is.
    pub id: ClientId,
    account: Account,
    _directory: TempDir,
}

impl User {
    /// Registers so many users. Their keys take a second or so each.
    ///
    /// # Errors
    /// When the server does not register them.
    pub async fn register(server: &Server, count: usize) -> Result<Vec<Self>> {
        let address: Address = server.pinned()?.parse()?;
        let run: u64 = rand::random();
        let mut registering = JoinSet::new();
        for number in 0..count {
            let address = address.clone();
            registering.spawn(async move {
                let directory = tempfile::tempdir()?;
                let name = Name::new(&format!("bench {run:016x} {number}"))?;
                let who = Registrant { name, phone: None };
                let (profile, settings) = (Profile::at(directory.path()), Settings::new(directory.path()));
                let account = Account::prepare(&profile, None, who, settings, NewKeys::generate).await?;
                let connection = Connection::connect(&address, Patience::default()).await?;
                let answer = connection.register(account.identity_key(), account.registration()?).await?;
                account.take_registration(&answer)?;
                anyhow::Ok(Self { id: account.id(), account, _directory: directory })
            });
        }
        let mut users = Vec::with_capacity(count);
        while let Some(user) = registering.join_next().await {
            users.push(user??);
        }
        Ok(users)
    }

    /// A connection that is authenticated as this user.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn connect(&self, server: &Server) -> Result<Connection> {
        let connection = connect(&server.pinned()?.parse()?).await?;
        connection.authenticate(self.account.identity_key()).await?;
        Ok(connection)
    }
}

/// A connection as nobody yet.
///
/// # Errors
/// When it cannot be made.
pub async fn connect(address: &Address) -> Result<Connection> {
    Connection::connect(address, Patience::default()).await.context("a connection of version 3")
}

/// Sends an envelope of this size that begins, behind its prefix, with `stamp`.
///
/// # Errors
/// When the server does not store it.
pub async fn send(connection: &Connection, to: ClientId, stamp: &[u8], size: usize) -> Result<()> {
    let mut bytes = [&ENVELOPE_PREFIX, stamp].concat();
    bytes.resize(size, 0x5a);
    let request = send_envelope::Request {
        to,
        message_id: EnvelopeId(rand::random()),
        envelope: Envelope::new(bytes).context("no envelope")?,
    };
    match connection.call(request).await?.status {
        StoreStatus::STORED => Ok(()),
        status => bail!("an envelope was answered with {status:?}"),
    }
}
