//! The inbox: every pulled message, still sealed, on disk before the server may delete it.
//!
//! A message is one file that holds its content; the file's name holds all else:
//! `SEQUENCE-FROM-MESSAGEID-TYPE-SHA256.STATE`. A message leaves the inbox when it has been shown.
//!
//! A message for which the disk has no room is read past, and holds up no other: it stays with the server, which is not
//! told that its answer arrived. The journal remembers it, so that the user can give it up.
//!
//! A server that did not see its answer arrive delivers it again. So while a pull is open, and after one that was cut,
//! the journal knows which messages may come twice; these, and no others, are dropped when they do.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use messageu_wire::fields::{ClientId, MessageId};
use messageu_wire::message::MessageType;
use messageu_wire::operation::pull_messages::EntryHead;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::disk::require_room;
use crate::error::{Error, ErrorKind, FileResult, Result};
use crate::profile::{StateDir, create_private_dir, sync_parent};

const INBOX_DIR: &str = "inbox";
const INCOMING_FILE: &str = "incoming";
const JOURNAL_FILE: &str = "inbox.json";
/// Most bytes of the journal that are read.
const JOURNAL_MAX: usize = 64 << 20;

/// Where a message in the inbox is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Not shown yet.
    New,
    /// Shown to be there, but not to be opened: it waits for a key.
    Waiting,
}

impl State {
    const ALL: [Self; 2] = [Self::New, Self::Waiting];

    const fn suffix(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Waiting => "waiting",
        }
    }
}

/// A message in the inbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) state: State,
    pub(crate) sequence: u64,
    pub(crate) from: ClientId,
    pub(crate) message_id: Option<MessageId>,
    pub(crate) kind: MessageType,
    /// Sender, number, type and content as one text, by which a message is known again.
    identity: String,
}

/// What must be known after a crash about which messages may come twice.
#[derive(Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
struct Journal {
    /// The first message of the pull that is open.
    open_from: Option<u64>,
    /// The messages of pulls that were cut.
    may_come_again: Vec<String>,
    /// The messages that found no room.
    no_room: Vec<Unstored>,
}

/// A message that found no room, and is with the server still.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Unstored {
    identity: String,
    size: u32,
    /// Whether the user does not want it: it is dropped when it comes again.
    #[serde(default)]
    given_up: bool,
}

/// The message that is coming in.
#[derive(Debug)]
struct Incoming {
    head: EntryHead,
    place: Place,
    digest: Sha256,
}

/// Where its content goes.
#[derive(Debug)]
enum Place {
    File(File),
    /// Nowhere: there is no room, and this is how it was found out.
    Nowhere(Error),
}

/// The inbox of an identity.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: StateDir,
    dir: PathBuf,
    journal: Journal,
    next: u64,
    incoming: Option<Incoming>,
    /// Messages of this pull that came before, in a pull that was cut.
    may_come_again: Vec<String>,
    pulled: Vec<Entry>,
    /// The first message of this pull that found no room.
    unstored: Option<(ClientId, Error)>,
}

impl Inbox {
    pub(crate) fn open(state: &StateDir) -> Result<Self> {
        let dir = state.path(INBOX_DIR);
        create_private_dir(&dir)?;
        let journal = state.read(JOURNAL_FILE, JOURNAL_MAX)?;
        let mut inbox = Self {
            state: state.clone(),
            dir,
            journal,
            next: 0,
            incoming: None,
            may_come_again: Vec::new(),
            pulled: Vec::new(),
            unstored: None,
        };
        inbox.discard_incoming();
        inbox.next = inbox.all()?.iter().map(|entry| entry.sequence + 1).max().unwrap_or(0);
        inbox.recover()?;
        Ok(inbox)
    }

    /// The messages in a state, oldest first.
    pub(crate) fn entries(&self, state: State) -> Result<Vec<Entry>> {
        Ok(self.all()?.into_iter().filter(|entry| entry.state == state).collect())
    }

    /// A message begins to come in.
    pub(crate) fn begin(&mut self, head: EntryHead) -> Result<()> {
        let path = self.dir.join(INCOMING_FILE);
        let place = match require_room(&self.dir, head.size.into()) {
            Ok(()) => Place::File(create_private(&path).at("create", &path)?),
            Err(no_room) => Place::Nowhere(no_room),
        };
        self.incoming = Some(Incoming { head, place, digest: Sha256::new() });
        Ok(())
    }

    /// A piece of its content has come.
    pub(crate) fn content(&mut self, bytes: &[u8]) -> Result<()> {
        let incoming = self.incoming.as_mut().ok_or_else(out_of_order)?;
        incoming.digest.update(bytes);
        let Place::File(file) = &mut incoming.place else { return Ok(()) };
        let path = self.dir.join(INCOMING_FILE);
        match file.write_all(bytes) {
            Ok(()) => Ok(()),
            Err(error) if is_no_room(&error) => {
                // Others may use the room that it took.
                fs::remove_file(&path).at("remove", &path)?;
                incoming.place = Place::Nowhere(Error::file("write", &path, &error));
                Ok(())
            }
            Err(error) => Err(Error::file("write", &path, &error)),
        }
    }

    /// All its content has come. On disk it is for sure after [`Inbox::sync`] alone.
    pub(crate) fn end(&mut self) -> Result<()> {
        let Incoming { head, place, digest } = self.incoming.take().ok_or_else(out_of_order)?;
        let from = self.dir.join(INCOMING_FILE);
        let identity = identity(&head, &digest.finalize());
        if let Some(at) = self.may_come_again.iter().position(|known| *known == identity) {
            self.may_come_again.swap_remove(at);
            self.discard_incoming();
            return Ok(());
        }
        let known = self.journal.no_room.iter().position(|known| known.identity == identity);
        let given_up = known.and_then(|at| self.journal.no_room.get(at)).is_some_and(|known| known.given_up);
        match place {
            _ if given_up => {
                self.discard_incoming();
                return Ok(());
            }
            Place::File(_) => {}
            Place::Nowhere(no_room) => {
                if known.is_none() {
                    self.journal.no_room.push(Unstored { identity, size: head.size, given_up: false });
                    self.write_journal()?;
                }
                self.unstored.get_or_insert((head.from, no_room));
                return Ok(());
            }
        }
        if self.pulled.is_empty() {
            self.journal.open_from = Some(self.next);
            self.write_journal()?;
        }
        let name = format!("{:020}-{identity}.{}", self.next, State::New.suffix());
        let entry = Entry::at(&self.dir.join(name)).ok_or_else(out_of_order)?;
        fs::rename(&from, &entry.path).at("rename", &from)?;
        self.next += 1;
        self.pulled.push(entry);
        Ok(())
    }

    /// The first message of this pull that found no room: from whom it is, and what was wrong.
    pub(crate) fn take_unstored(&mut self) -> Option<(ClientId, Error)> {
        self.unstored.take()
    }

    /// The messages that found no room, and that the server has still.
    pub(crate) fn at_server(&self) -> impl Iterator<Item = EntryHead> {
        self.journal.no_room.iter().filter(|unstored| !unstored.given_up).filter_map(Unstored::head)
    }

    /// Lets those from a user be dropped when they come again.
    pub(crate) fn give_up(&mut self, from: ClientId) -> Result<()> {
        for unstored in &mut self.journal.no_room {
            unstored.given_up |= unstored.head().is_some_and(|head| head.from == from);
        }
        self.write_journal()
    }

    /// A pull begins.
    pub(crate) fn open_pull(&mut self) {
        self.may_come_again.clone_from(&self.journal.may_come_again);
        self.pulled.clear();
        self.unstored = None;
    }

    /// Makes sure that what has come is on disk, so that the server may delete it.
    pub(crate) fn sync(&self) -> Result<()> {
        for entry in &self.pulled {
            File::open(&entry.path).and_then(|file| file.sync_all()).at("write", &entry.path)?;
        }
        match self.pulled.first() {
            Some(entry) => sync_parent(&entry.path),
            None => Ok(()),
        }
    }

    /// A pull is over: it came to its end, or was cut.
    pub(crate) fn close_pull(&mut self, whole: bool) -> Result<()> {
        let mut journal = Journal::default();
        if !whole {
            journal.no_room.append(&mut self.journal.no_room);
            journal
                .no_room
                .retain(|unstored| self.pulled.iter().all(|entry| entry.identity != unstored.identity));
            journal.may_come_again.append(&mut self.journal.may_come_again);
            journal.may_come_again.extend(self.pulled.drain(..).map(|entry| entry.identity));
        }
        self.pulled.clear();
        self.discard_incoming();
        let changed = journal != self.journal;
        self.journal = journal;
        if changed { self.write_journal() } else { Ok(()) }
    }

    /// The message waits for a key from now on.
    pub(crate) fn keep_waiting(&self, entry: &Entry) -> Result<()> {
        let waiting = entry.path.with_extension(State::Waiting.suffix());
        fs::rename(&entry.path, waiting).at("rename", &entry.path)
    }

    /// The message has been shown.
    pub(crate) fn remove(&self, entry: &Entry) -> Result<()> {
        fs::remove_file(&entry.path).at("remove", &entry.path)
    }

    /// All messages, oldest first.
    pub(crate) fn all(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.dir).at("read", &self.dir)? {
            entries.extend(Entry::at(&file.at("read", &self.dir)?.path()));
        }
        entries.sort_by_key(|entry| entry.sequence);
        Ok(entries)
    }

    /// Closes the pull that a process before us left open.
    fn recover(&mut self) -> Result<()> {
        let Some(open_from) = self.journal.open_from else { return Ok(()) };
        self.pulled = self.all()?.into_iter().filter(|entry| entry.sequence >= open_from).collect();
        self.sync()?;
        self.close_pull(false)
    }

    /// Removes what a cut left of a message.
    fn discard_incoming(&mut self) {
        self.incoming = None;
        // Mostly there is nothing; and what there is will be overwritten.
        let _ = fs::remove_file(self.dir.join(INCOMING_FILE));
    }

    fn write_journal(&self) -> Result<()> {
        self.state.write(JOURNAL_FILE, &self.journal, 0)
    }
}

impl Entry {
    /// What a file in the inbox is; `None` for one that is not ours.
    fn at(path: &Path) -> Option<Self> {
        let (stem, suffix) = path.file_name()?.to_str()?.split_once('.')?;
        let state = State::ALL.into_iter().find(|state| state.suffix() == suffix)?;
        let (sequence, identity) = stem.split_once('-')?;
        let EntryHead { from, message_id, kind, .. } = head(identity, 0)?;
        Some(Self {
            path: path.to_owned(),
            state,
            sequence: sequence.parse().ok()?,
            from,
            message_id,
            kind,
            identity: identity.to_owned(),
        })
    }

    /// The size of the content.
    pub(crate) fn size(&self) -> Result<u64> {
        fs::metadata(&self.path).map(|metadata| metadata.len()).at("read", &self.path)
    }

    /// The content, sealed.
    pub(crate) fn open(&self) -> Result<File> {
        File::open(&self.path).at("read", &self.path)
    }

    /// The content, sealed, as a whole.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        fs::read(&self.path).at("read", &self.path)
    }
}

impl Unstored {
    fn head(&self) -> Option<EntryHead> {
        head(&self.identity, self.size)
    }
}

/// What an identity and a size say of a message.
fn head(identity: &str, size: u32) -> Option<EntryHead> {
    let [from, message_id, kind, _digest] =
        <[&str; 4]>::try_from(identity.split('-').collect::<Vec<_>>()).ok()?;
    Some(EntryHead {
        from: from.parse().ok()?,
        message_id: message_id.parse().ok().map(MessageId),
        kind: MessageType(kind.parse().ok()?),
        size,
    })
}

fn identity(head: &EntryHead, digest: &[u8]) -> String {
    let message_id = head.message_id.map_or_else(|| "none".to_owned(), |id| id.to_string());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{message_id}-{}-{digest}", head.from, head.kind.0)
}

fn create_private(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether a file cannot grow: the disk, the user's part of it, or what the file system takes for one file is used up.
fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

fn out_of_order() -> Error {
    Error::new(ErrorKind::Other, "the parts of a pull came out of order")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn head(number: u32, size: u32) -> EntryHead {
        let from = ClientId([7; 16]);
        EntryHead { from, message_id: Some(MessageId(number)), kind: MessageType::TEXT, size }
    }

    fn deliver(inbox: &mut Inbox, messages: &[(u32, &[u8])]) {
        for (number, content) in messages {
            inbox.begin(head(*number, content.len().try_into().unwrap())).unwrap();
            inbox.content(content).unwrap();
            inbox.end().unwrap();
        }
        inbox.sync().unwrap();
    }

    fn contents(inbox: &Inbox, state: State) -> Vec<Vec<u8>> {
        inbox.entries(state).unwrap().iter().map(|entry| entry.read().unwrap()).collect()
    }

    fn opened(dir: &tempfile::TempDir) -> Inbox {
        Inbox::open(&Profile::at(dir.path()).state_of(ClientId([1; 16])).unwrap()).unwrap()
    }

    #[test]
    fn what_a_cut_pull_brought_is_not_stored_again_when_it_comes_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut inbox = opened(&dir);
        inbox.open_pull();
        deliver(&mut inbox, &[(1, b"a"), (2, b"b")]);
        inbox.close_pull(false).unwrap();
        inbox.open_pull();
        deliver(&mut inbox, &[(1, b"a"), (2, b"b"), (3, b"c")]);
        inbox.close_pull(true).unwrap();
        assert_eq!(contents(&inbox, State::New), [b"a", b"b", b"c"]);
    }

    #[test]
    fn the_same_message_after_a_whole_pull_is_another_message() {
        let dir = tempfile::tempdir().unwrap();
        let mut inbox = opened(&dir);
        for _ in 0..2 {
            inbox.open_pull();
            deliver(&mut inbox, &[(1, b"a")]);
            inbox.close_pull(true).unwrap();
        }
        assert_eq!(contents(&inbox, State::New).len(), 2);
    }

    #[test]
    fn a_pull_that_a_crash_cut_counts_as_cut() {
        let dir = tempfile::tempdir().unwrap();
        let mut inbox = opened(&dir);
        inbox.open_pull();
        deliver(&mut inbox, &[(1, b"a")]);
        drop(inbox);
        let mut inbox = opened(&dir);
        inbox.open_pull();
        deliver(&mut inbox, &[(1, b"a"), (2, b"b")]);
        inbox.close_pull(true).unwrap();
        assert_eq!(contents(&inbox, State::New), [b"a", b"b"]);
    }

    #[test]
    fn what_waits_stays_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut inbox = opened(&dir);
        inbox.open_pull();
        deliver(&mut inbox, &[(1, b"a"), (2, b"b"), (3, b"c")]);
        inbox.close_pull(true).unwrap();
        let entries = inbox.entries(State::New).unwrap();
        inbox.keep_waiting(&entries[2]).unwrap();
        inbox.keep_waiting(&entries[0]).unwrap();
        inbox.remove(&entries[1]).unwrap();
        assert_eq!(contents(&opened(&dir), State::Waiting), [b"a", b"c"]);
    }
}
