//! PostgreSQL: rows of a message's shape, each a transaction of its own that is on disk before its answer.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{free_address, listening};
use crate::account::connect;
use crate::load::{Fixed, Ready, Ring};
use crate::place::Place;
use crate::process::Program;

/// The program's name.
pub const PROGRAM: &str = "postgres";

/// Who runs it, since root may not.
const USER: &str = "postgres";

/// The protocol's version 3.0.
const PROTOCOL: u32 = 3 << 16;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS messages (ID bigserial PRIMARY KEY, ToClient bytea NOT NULL, \
                     FromClient bytea NOT NULL, Type smallint NOT NULL, Content bytea NOT NULL)";
const INSERT: &str = "INSERT INTO messages (ToClient, FromClient, Type, Content) VALUES ($1, $2, 3, $3)";

/// A server that was started here.
#[derive(Debug)]
pub struct Postgres {
    address: SocketAddr,
    _program: Program,
    _directory: TempDir,
}

impl Postgres {
    /// Makes a database and starts a server over it.
    ///
    /// # Errors
    /// When it does not listen, or may not: root needs the user `postgres` to be there.
    pub async fn start(path: &Path, place: &Place) -> Result<Self> {
        let directory = place.directory()?;
        let user = rustix::process::geteuid().is_root().then(user).transpose()?;
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(directory.path(), Some(uid), Some(gid))?;
        }
        let as_user = |program: &Path| {
            let mut command = Command::new(program);
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command.current_dir(directory.path()).stdout(Stdio::null());
            command
        };
        // Links to the program may be elsewhere than what belongs to it.
        let path = std::fs::canonicalize(path)?;
        let data = directory.path().join("data");
        let mut initialise = as_user(&path.with_file_name("initdb"));
        initialise.args(["--auth", "trust", "--username", USER, "--pgdata"]).arg(&data);
        let done = initialise.stderr(Stdio::null()).stdin(Stdio::null()).status();
        if !done.context("initdb cannot be started")?.success() {
            bail!("initdb failed in {}", data.display());
        }
        let address = free_address()?;
        let mut serve = as_user(&path);
        serve.arg("-D").arg(&data).arg("-k").arg(directory.path());
        serve.args(["-h", "127.0.0.1", "-p", &address.port().to_string()]).stderr(Stdio::null());
        let mut program = Program::start(&mut serve)?;
        listening(&mut program, address).await?;
        Ok(Self { address, _program: program, _directory: directory })
    }

    /// Connections that each insert for a recipient of their own.
    ///
    /// # Errors
    /// When they cannot be made.
    pub async fn connections(&self, count: usize, depth: usize, size: usize) -> Result<Vec<Ready<Fixed>>> {
        let content = vec![0x5a; size];
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            let mut stream = self.connect().await?;
            if number == 0 {
                stream.write_all(&message(b'Q', &text(TABLE))).await?;
                until_ready(&mut stream).await?;
            }
            let prepare = message(b'P', &[text("insert"), text(INSERT), vec![0, 0]].concat());
            stream.write_all(&[prepare, message(b'S', &[])].concat()).await?;
            until_ready(&mut stream).await?;
            let id = u8::try_from(number % 256)?;
            let insert = insert(&[&[id; 16], &[id.wrapping_add(1); 16], &content])?;
            // Bound, complete, ready for the next.
            let start = [&message(b'2', &[])[..], &message(b'C', &text("INSERT 0 1"))].concat();
            let replies = Fixed { size: start.len() + message(b'Z', b"I").len(), start, refusal: Vec::new() };
            connections.push(Ready { stream, ring: Ring::of_one(&insert, depth), replies, quota: u64::MAX });
        }
        Ok(connections)
    }

    async fn connect(&self) -> Result<TcpStream> {
        // It may listen before it lets anybody in.
        for _ in 0..100 {
            let mut stream = connect(self.address).await?;
            let parameters = [
                PROTOCOL.to_be_bytes().to_vec(),
                text("user"),
                text(USER),
                text("database"),
                text(USER),
                vec![0],
            ]
            .concat();
            let length = u32::try_from(parameters.len() + 4)?;
            stream.write_all(&[&length.to_be_bytes()[..], &parameters].concat()).await?;
            if until_ready(&mut stream).await.is_ok() {
                return Ok(stream);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        bail!("PostgreSQL lets nobody in")
    }
}

/// Takes messages up to the one that says that the server waits for the next command.
async fn until_ready(stream: &mut TcpStream) -> Result<()> {
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).await?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(length))?;
        let mut body = vec![0; length.saturating_sub(4).min(1 << 20)];
        stream.read_exact(&mut body).await?;
        match kind {
            b'E' => bail!("PostgreSQL refuses: {}", body.escape_ascii()),
            b'Z' => return Ok(()),
            _ => {}
        }
    }
}

/// Binds the prepared insert to binary values, executes it, and ends the transaction.
fn insert(values: &[&[u8]]) -> Result<Vec<u8>> {
    let count = u16::try_from(values.len())?.to_be_bytes();
    // The unnamed portal; one format for all values: binary.
    let mut bind = [text(""), text("insert"), vec![0, 1, 0, 1], count.to_vec()].concat();
    for value in values {
        bind.extend_from_slice(&u32::try_from(value.len())?.to_be_bytes());
        bind.extend_from_slice(value);
    }
    bind.extend_from_slice(&[0, 0]);
    let execute = [text(""), vec![0; 4]].concat();
    Ok([message(b'B', &bind), message(b'E', &execute), message(b'S', &[])].concat())
}

/// A message: its kind, its length with these four bytes, the rest.
fn message(kind: u8, rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(rest.len() + 4).unwrap_or(u32::MAX);
    [&[kind][..], &length.to_be_bytes(), rest].concat()
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// The ids of the user and the group.
fn user() -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find_map(|line| line.strip_prefix(USER)?.strip_prefix(':'));
    let mut fields =
        line.context("root may not run PostgreSQL, and there is no user postgres")?.split(':').skip(1);
    let mut id = || fields.next().and_then(|text| text.parse().ok()).context("/etc/passwd is not right");
    Ok((id()?, id()?))
}

#[cfg(test)]
mod tests {
    use super::{insert, message, text};

    #[test]
    fn a_message_counts_its_own_length() {
        assert_eq!(message(b'S', &[]), [b'S', 0, 0, 0, 4]);
        assert_eq!(message(b'Q', &text("a")), [b'Q', 0, 0, 0, 6, b'a', 0]);
    }

    #[test]
    fn an_insert_ends_its_transaction() {
        let bytes = insert(&[b"ab"]).unwrap();
        assert!(bytes.starts_with(b"B") && bytes.ends_with(&[b'S', 0, 0, 0, 4]));
        let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
        assert_eq!(bytes[1 + length], b'E');
    }
}
