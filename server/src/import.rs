//! Taking over a classic server's database: row by row, whatever of it can be understood.
//!
//! The programs of the family agree on what they keep, but not on how. So this looks at what is there: ids as bytes,
//! digits or characters, names with or without a NUL, and so on. The source is only read, on a thread of its own.

use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use messageu_wire::fields::{ClientId, Name, PUBLIC_KEY_SIZE, PublicKey};
use messageu_wire::message::MessageType;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::store::sqlite::schema;
use crate::store::{
    CHUNK_SIZE, Client, Content, ImportRow, Imported, NewMessage, Store, StoreError, UploadId,
};

/// Rows that are taken over in one transaction, unless their contents are large.
const BATCH_ROWS: usize = 256;

/// Bytes of content that are taken over in one transaction.
const BATCH_BYTES: usize = 1 << 20;

/// Pieces that are read ahead of what is written.
const READ_AHEAD: usize = 4;

/// Reasons that a report gives; the rows beyond are counted.
const REASONS_MAX: usize = 100;

/// Takes the clients and messages of a classic server's database over, the messages in their order.
///
/// What cannot be taken is left out, and the report says why; a `LastSeen` that cannot be understood becomes unknown.
/// A second run takes only what the first one has not. The source is not changed.
///
/// # Errors
/// [`ImportFailure`], which says what was taken before it: that stays.
pub async fn import_classic(source: &Path, target: &impl Store) -> Result<ImportReport, ImportFailure> {
    let mut taker = Taker { target, upload: None, report: ImportReport::default() };
    match taker.take_all(source).await {
        Ok(()) => Ok(taker.report),
        Err(error) => Err(ImportFailure { report: taker.report, error }),
    }
}

/// An import that did not come to its end.
#[derive(Debug, Error)]
#[error("the import did not come to its end")]
pub struct ImportFailure {
    /// What had been taken by then.
    pub report: ImportReport,
    /// What was in the way.
    #[source]
    pub error: ImportError,
}

/// What became of a database that was taken over. Its text is for people.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImportReport {
    /// What became of the clients.
    pub clients: Counts,
    /// What became of the messages.
    pub messages: Counts,
    /// The first of those that were left out.
    pub left_out: Vec<LeftOut>,
}

/// What became of the rows of one table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Rows that were taken over.
    pub taken: u64,
    /// Rows that had been taken over before.
    pub already_there: u64,
    /// Rows that could not be taken.
    pub left_out: u64,
}

/// A row that could not be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Where it is.
    pub place: Place,
    /// Why it could not be taken.
    pub reason: String,
}

/// A row of the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its table.
    pub table: Table,
    /// Its rowid.
    pub row: i64,
}

/// A table of a classic server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    /// Those who registered.
    Clients,
    /// What waits for them.
    Messages,
}

impl ImportReport {
    fn counts(&mut self, table: Table) -> &mut Counts {
        match table {
            Table::Clients => &mut self.clients,
            Table::Messages => &mut self.messages,
        }
    }

    fn leave_out(&mut self, place: Place, reason: String) {
        self.counts(place.table).left_out += 1;
        if self.left_out.len() < REASONS_MAX {
            self.left_out.push(LeftOut { place, reason });
        }
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (table, counts) in [(Table::Clients, self.clients), (Table::Messages, self.messages)] {
            let Counts { taken, already_there, left_out } = counts;
            writeln!(f, "{table}: {taken} taken, {already_there} already there, {left_out} left out")?;
        }
        for LeftOut { place: Place { table, row }, reason } in &self.left_out {
            writeln!(f, "  {table}, row {row}: {reason}")?;
        }
        let told = u64::try_from(self.left_out.len()).unwrap_or(u64::MAX);
        match (self.clients.left_out + self.messages.left_out).saturating_sub(told) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clients => "clients",
            Self::Messages => "messages",
        })
    }
}

/// Why a database cannot be taken over, or not to its end.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Not SQLite, or damaged.
    #[error("the source is not a SQLite database, or it is damaged")]
    NotADatabase,
    /// A SQLite database with something else in it.
    #[error("the source is no classic server's database: it has no table `clients`")]
    NotClassic,
    /// A database that needs no taking over.
    #[error("the source is a database of this program; the server can open it as it is")]
    Ours,
    /// A table that is not as any known program makes it.
    #[error("the source's table `{table}` has no column `{column}`")]
    NoColumn {
        /// The table.
        table: Table,
        /// The column, as most programs call it.
        column: &'static str,
    },
    /// The source cannot be read.
    #[error("the source cannot be read: {0}")]
    Source(rusqlite::Error),
    /// The target cannot be written.
    #[error("what was taken until now stays, and another run takes the rest")]
    Store(#[from] StoreError),
    /// The program is ending.
    #[error("interrupted; what was taken until then stays, and another run takes the rest")]
    Interrupted,
}

impl From<rusqlite::Error> for ImportError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::NotADatabase,
            _ => Self::Source(error),
        }
    }
}

/// What the reading thread finds, in the order of the source.
enum Find {
    /// Rows that fit into one transaction.
    Rows(Vec<(Place, ImportRow)>),
    /// The content of a large message begins.
    Begin { to: ClientId, size: u32 },
    /// It goes on.
    Chunk(Bytes),
    /// It is complete.
    End(Place, Head, Digest),
    /// A row that cannot be understood; if it has begun, it does not go on.
    LeftOut(LeftOut),
}

type Digest = [u8; 32];

/// A message but for its content.
#[derive(Clone, Copy)]
struct Head {
    to: ClientId,
    from: ClientId,
    kind: MessageType,
}

impl Head {
    fn with(self, content: Content) -> NewMessage {
        NewMessage { to: self.to, from: self.from, kind: self.kind, content }
    }
}

/// Puts finds into the target.
struct Taker<'a, S> {
    target: &'a S,
    /// Of the message that has begun; none if its recipient is not there.
    upload: Option<UploadId>,
    report: ImportReport,
}

impl<S: Store> Taker<'_, S> {
    async fn take_all(&mut self, source: &Path) -> Result<(), ImportError> {
        let (finds, mut found) = mpsc::channel(READ_AHEAD);
        let source = source.to_owned();
        let reading = tokio::task::spawn_blocking(move || read_source(&source, finds));
        while let Some(find) = found.recv().await {
            self.take(find).await?;
        }
        reading.await.map_err(|_| ImportError::Interrupted)?
    }

    async fn take(&mut self, find: Find) -> Result<(), ImportError> {
        match find {
            Find::Rows(rows) => self.take_rows(rows).await?,
            Find::Begin { to, size } => {
                self.upload = match self.target.begin_upload(to, size).await {
                    Ok(upload) => Some(upload),
                    Err(StoreError::UnknownClient(_)) => None,
                    Err(error) => return Err(error.into()),
                };
            }
            Find::Chunk(chunk) => {
                if let Some(upload) = self.upload {
                    self.target.append_chunk(upload, chunk).await?;
                }
            }
            Find::End(place, head, digest) => match self.upload {
                Some(upload) => {
                    let message = head.with(Content::Uploaded(upload));
                    self.take_rows(vec![(place, ImportRow::Message { message, digest })]).await?;
                    self.give_up();
                }
                None => self.note(place, Err(StoreError::UnknownClient(head.to))),
            },
            Find::LeftOut(LeftOut { place, reason }) => {
                self.report.leave_out(place, reason);
                self.give_up();
            }
        }
        Ok(())
    }

    async fn take_rows(&mut self, rows: Vec<(Place, ImportRow)>) -> Result<(), ImportError> {
        let (places, rows): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let outcomes = self.target.import(rows).await?;
        for (place, outcome) in places.into_iter().zip(outcomes) {
            self.note(place, outcome);
        }
        Ok(())
    }

    fn note(&mut self, place: Place, outcome: Result<Imported, StoreError>) {
        match outcome {
            Ok(Imported::Now) => self.report.counts(place.table).taken += 1,
            Ok(Imported::Before) => self.report.counts(place.table).already_there += 1,
            Err(refused) => self.report.leave_out(place, reason(&refused)),
        }
    }

    /// Lets go of an upload that no message has used up.
    fn give_up(&mut self) {
        if let Some(upload) = self.upload.take() {
            self.target.abandon_upload(upload);
        }
    }
}

fn reason(refused: &StoreError) -> String {
    match refused {
        StoreError::NameTaken => "another client has its name".to_owned(),
        StoreError::IdTaken => "another client has its ID, or one with the same first 8 bytes".to_owned(),
        StoreError::UnknownClient(id) => format!("its recipient {id} is not among the clients"),
        other => other.to_string(),
    }
}

/// Reads the source through, in one transaction, and passes on what it finds.
fn read_source(path: &Path, finds: mpsc::Sender<Find>) -> Result<(), ImportError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // Somebody else's file: what it defines must not run.
    connection.pragma_update(None, "trusted_schema", false)?;
    let source = connection.unchecked_transaction()?;
    if schema::pragma::<i32>(&source, "application_id")? == schema::APPLICATION_ID {
        return Err(ImportError::Ours);
    }
    if !schema::has_table(&source, "clients")? {
        return Err(ImportError::NotClassic);
    }
    let mut reader = SourceReader { source: &source, finds, rows: Vec::new(), bytes: 0 };
    reader.read_clients()?;
    if schema::has_table(&source, "messages")? {
        reader.read_messages()?;
    }
    reader.flush()
}

struct SourceReader<'a> {
    source: &'a Connection,
    finds: mpsc::Sender<Find>,
    /// Found, and not yet passed on.
    rows: Vec<(Place, ImportRow)>,
    /// Bytes of content among them.
    bytes: usize,
}

impl SourceReader<'_> {
    fn read_clients(&mut self) -> Result<(), ImportError> {
        let columns = Columns::of(self.source, Table::Clients)?;
        let (id, name) =
            (columns.find("ID", &["id", "clientid"])?, columns.find("UserName", &["username", "name"])?);
        let key = columns.find("PublicKey", &["publickey", "pubkey"])?;
        let seen = columns.find("LastSeen", &["lastseen"]).unwrap_or_else(|_| "NULL".to_owned());
        let mut select = self.source.prepare(&format!(
            "SELECT rowid, {id}, {name}, {key},
                CASE WHEN {seen} <> '' AND {seen} NOT GLOB '*[^0-9.]*' THEN CAST({seen} AS INTEGER)
                     ELSE unixepoch(CAST({seen} AS TEXT)) END
             FROM clients ORDER BY rowid",
        ))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let place = Place { table: Table::Clients, row: row.get(0)? };
            match parse_client(row)? {
                Ok(client) => self.found(place, ImportRow::Client { client, last_seen: row.get(4)? }, 0)?,
                Err(reason) => self.leave_out(place, reason)?,
            }
        }
        Ok(())
    }

    fn read_messages(&mut self) -> Result<(), ImportError> {
        let columns = Columns::of(self.source, Table::Messages)?;
        let (to, from) = (
            columns.find("ToClient", &["toclient", "to"])?,
            columns.find("FromClient", &["fromclient", "from"])?,
        );
        let kind = columns.find("Type", &["type", "messagetype"])?;
        let content = columns.name("Content", &["content", "messagecontent"])?;
        let mut select = self.source.prepare(&format!(
            "SELECT rowid, {to}, {from}, {kind}, typeof({}) FROM messages ORDER BY rowid",
            quoted(content)
        ))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let place = Place { table: Table::Messages, row: row.get(0)? };
            let content_type: String = row.get(4)?;
            match (parse_head(row)?, content_type.as_str()) {
                (Ok(head), "null") => self.found_message(place, head, Bytes::new())?,
                (Ok(head), "blob" | "text") => self.read_content(place, head, content)?,
                (Ok(_), _) => self.leave_out(place, "its Content is a number".to_owned())?,
                (Err(reason), _) => self.leave_out(place, reason)?,
            }
        }
        Ok(())
    }

    /// Reads a content piece by piece, as it may be larger than what should be in memory.
    fn read_content(&mut self, place: Place, head: Head, column: &str) -> Result<(), ImportError> {
        let mut content = self.source.blob_open("main", "messages", column, place.row, true)?;
        let size = content.len();
        if size <= CHUNK_SIZE {
            let mut whole = Vec::with_capacity(size);
            return match content.read_to_end(&mut whole) {
                Ok(_) => self.found_message(place, head, whole.into()),
                Err(error) => self.leave_out(place, format!("its Content cannot be read: {error}")),
            };
        }
        self.flush()?;
        let size_field = u32::try_from(size).unwrap_or(u32::MAX);
        self.pass_on(Find::Begin { to: head.to, size: size_field })?;
        let mut digest = begin_digest(place, head);
        let mut rest = size;
        while rest > 0 {
            let mut chunk = vec![0; rest.min(CHUNK_SIZE)];
            if let Err(error) = content.read_exact(&mut chunk) {
                return self.leave_out(place, format!("its Content cannot be read: {error}"));
            }
            rest -= chunk.len();
            digest.update(&chunk);
            self.pass_on(Find::Chunk(chunk.into()))?;
        }
        self.pass_on(Find::End(place, head, digest.finalize().into()))
    }

    fn found_message(&mut self, place: Place, head: Head, content: Bytes) -> Result<(), ImportError> {
        let digest = begin_digest(place, head).chain_update(&content).finalize().into();
        let bytes = content.len();
        self.found(place, ImportRow::Message { message: head.with(Content::Inline(content)), digest }, bytes)
    }

    fn found(&mut self, place: Place, row: ImportRow, bytes: usize) -> Result<(), ImportError> {
        self.rows.push((place, row));
        self.bytes += bytes;
        if self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn leave_out(&mut self, place: Place, reason: String) -> Result<(), ImportError> {
        self.pass_on(Find::LeftOut(LeftOut { place, reason }))
    }

    fn flush(&mut self) -> Result<(), ImportError> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() { Ok(()) } else { self.pass_on(Find::Rows(rows)) }
    }

    fn pass_on(&self, find: Find) -> Result<(), ImportError> {
        self.finds.blocking_send(find).map_err(|_| ImportError::Interrupted)
    }
}

/// Tells a message from all others, also from a later one in the same row, and wherever its database has been moved.
fn begin_digest(place: Place, head: Head) -> Sha256 {
    Sha256::new()
        .chain_update(place.row.to_le_bytes())
        .chain_update(head.to.0)
        .chain_update(head.from.0)
        .chain_update([head.kind.0])
}

/// The columns of a table, whatever they are called.
struct Columns {
    table: Table,
    names: Vec<String>,
}

impl Columns {
    fn of(source: &Connection, table: Table) -> rusqlite::Result<Self> {
        let mut select = source.prepare("SELECT name FROM pragma_table_xinfo(?1)")?;
        let names =
            select.query_map([table.to_string()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(Self { table, names })
    }

    /// The column with one of these spellings, as SQL.
    fn find(&self, column: &'static str, spellings: &[&str]) -> Result<String, ImportError> {
        self.name(column, spellings).map(quoted)
    }

    /// The column with one of these spellings, whatever its case and underscores.
    fn name(&self, column: &'static str, spellings: &[&str]) -> Result<&str, ImportError> {
        let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
        let found = self.names.iter().find(|name| spellings.contains(&plain(name).as_str()));
        found.map(String::as_str).ok_or(ImportError::NoColumn { table: self.table, column })
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The client in a row of rowid, id, name and key, or why there is none.
fn parse_client(row: &Row<'_>) -> rusqlite::Result<Result<Client, String>> {
    let (id, name, key) = (row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?);
    Ok((|| {
        let id = parse_id(id).ok_or("its ID is neither 16 bytes nor 32 hexadecimal digits")?;
        // No request could come from them: zeros are nobody's id, and the other begins a TLS connection.
        if id == ClientId::NOBODY || id.0.starts_with(&[0x16, 0x03]) {
            return Err("its ID could not be told from the beginning of something else".to_owned());
        }
        let name = parse_name(name)?;
        let key = parse_key(key).ok_or("its PublicKey is not 160 bytes, in whatever writing")?;
        Ok(Client { id, name, public_key: PublicKey(key), profile: String::new() })
    })())
}

/// The message in a row of rowid, recipient, sender and type, or why there is none.
fn parse_head(row: &Row<'_>) -> rusqlite::Result<Result<Head, String>> {
    let (to, from, kind) = (row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?);
    Ok((|| {
        let to = parse_id(to).ok_or("its ToClient is neither 16 bytes nor 32 hexadecimal digits")?;
        let from = parse_id(from).ok_or("its FromClient is neither 16 bytes nor 32 hexadecimal digits")?;
        let kind = parse_kind(kind).ok_or("its Type is not 1, 2, 3 or 4")?;
        Ok(Head { to, from, kind })
    })())
}

fn parse_id(value: ValueRef<'_>) -> Option<ClientId> {
    let bytes = value.as_bytes().ok()?;
    if let Some(id) = padded(bytes) {
        return Some(ClientId(id));
    }
    let text = str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    text.replace(['-', ' '], "").parse().ok()
}

fn parse_name(value: ValueRef<'_>) -> Result<Name, String> {
    let bytes = value.as_bytes().map_err(|_| "its name is not text")?;
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = str::from_utf8(name).map_err(|_| "its name is not made of printable ASCII characters")?;
    Name::new(text).map_err(|error| error.to_string())
}

fn parse_key(value: ValueRef<'_>) -> Option<[u8; PUBLIC_KEY_SIZE]> {
    let bytes = value.as_bytes().ok()?;
    if let Some(key) = padded(bytes) {
        return Some(key);
    }
    let mut text = bytes.to_vec();
    text.retain(|byte| !byte.is_ascii_whitespace() && *byte != 0);
    let key = if text.len() == 2 * PUBLIC_KEY_SIZE { from_hex(&text)? } else { BASE64.decode(text).ok()? };
    key.try_into().ok()
}

fn parse_kind(value: ValueRef<'_>) -> Option<MessageType> {
    let number = match value {
        ValueRef::Integer(number) => u8::try_from(number).ok()?,
        _ => match padded(value.as_bytes().ok()?)? {
            [digit @ b'0'..=b'9'] => digit - b'0',
            [number] => number,
        },
    };
    Some(MessageType(number)).filter(|kind| kind.is_known())
}

/// A field of N bytes, and nothing but NULs behind it.
fn padded<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let (field, rest) = bytes.split_first_chunk()?;
    rest.iter().all(|byte| *byte == 0).then_some(*field)
}

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}
