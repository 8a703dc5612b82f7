//! Files that stay with the server, for want of room or because something went wrong: which there are, and how they are
//! given up.

use std::fs;

use messageu_wire::envelope::field::{EnvelopeId, UnixMillis};
use messageu_wire::envelope::file::Manifest;
use messageu_wire::fields::ClientId;
use messageu_wire::modern::operation::drop_file;

use super::account::{Account, crypto};
use super::contacts::{Contact, Designation, known_peer};
use super::files::{about, bytes_of, forget_tags, open_part};
use super::server::{CallError, Server};
use super::state::Tx;
use super::state::records::{Delivery, Download, Peer, Said, StoredEvent};
use crate::disk::require_room;
use crate::error::{Error, ErrorKind, FileResult, Result};

/// A file that was sent to us and is not all here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitingFile {
    /// Whom it is from, if we know them still.
    pub from: Option<Contact>,
    /// Their id when they sent it.
    pub from_id: ClientId,
    /// Their number for the message with it.
    pub message_id: EnvelopeId,
    /// When it was sent, by their clock.
    pub sent: UnixMillis,
    /// Its name, as they gave it.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// How many of them are here.
    pub fetched: u64,
    /// Whether the rest fits onto the disk.
    pub has_room: bool,
}

impl Account {
    /// The files that stay with the server, oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] if the state cannot be read.
    pub fn waiting(&self) -> Result<Vec<WaitingFile>> {
        let mut waiting = self.store.read(|tx| {
            tx.all::<Download>()?
                .iter()
                .map(|download| self.waiting_file(tx, download))
                .collect::<Result<Vec<_>>>()
        })?;
        waiting.sort_by_key(|file| (file.sent.0, file.message_id));
        Ok(waiting)
    }

    /// Those of one contact.
    ///
    /// # Errors
    /// [`ErrorKind::Peer`] if there is none of them.
    pub fn waiting_from(&self, who: &Designation) -> Result<Vec<WaitingFile>> {
        self.store.read(|tx| {
            let (peer, downloads) = downloads_from(tx, who)?;
            if downloads.is_empty() {
                let what = format!("no file from {} stays with the server", Contact::of(&peer));
                return Err(Error::new(ErrorKind::Peer, what).hint("`messageu inbox` shows those that do"));
            }
            downloads.iter().map(|download| self.waiting_file(tx, download)).collect()
        })
    }

    /// Gives up the files of a contact that stay with the server, and has it delete them. Says how many there were. What is
    /// cut off on the way is given up by the next call, or when it is fetched and is not there.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] while another process fetches one of them, and see [`ErrorKind`].
    pub async fn discard(&self, server: &impl Server, who: &Designation) -> Result<usize> {
        let (_, downloads) = self.store.read(|tx| downloads_from(tx, who))?;
        let count = downloads.len();
        for download in downloads {
            let manifest = Manifest::decode(&download.manifest.0).map_err(crypto)?;
            let path = self.part_path(&manifest);
            let part = if path.exists() { Some(open_part(&path)?) } else { None };
            match server.call(drop_file::Request { file_id: manifest.file_id }).await {
                Ok(_) | Err(CallError::Refused(_)) => {}
                Err(CallError::Failed(error)) => return Err(error),
            }
            self.store.write(|tx| self.give_up(tx, &download, &manifest))?;
            if part.is_some() {
                fs::remove_file(&path).at("remove", &path)?;
            }
        }
        Ok(count)
    }

    /// Forgets a file. The history says that it was sent.
    fn give_up(&self, tx: &Tx<'_>, download: &Download, manifest: &Manifest) -> Result<()> {
        let about = about(download.from.0, manifest.file_id);
        if !tx.erase::<Download>(&about)? {
            return Ok(());
        }
        forget_tags(tx, &about)?;
        let Some(peer) = tx.find::<Peer>(&download.from.0.0)?.filter(|_| !download.is_ephemeral) else {
            return Ok(());
        };
        let what = StoredEvent::FileLost { name: manifest.name.to_string() };
        let (message_id, sent_ms) = (download.message_id, download.sent_ms);
        let said = Said { message_id, is_ours: false, sent_ms, what, delivery: Delivery::Done };
        tx.append(&peer.thread.0.0, &said).map(drop)
    }

    fn waiting_file(&self, tx: &Tx<'_>, download: &Download) -> Result<WaitingFile> {
        let manifest = Manifest::decode(&download.manifest.0).map_err(crypto)?;
        let (size, fetched) = (manifest.size.bytes(), bytes_of(manifest.size, download.done));
        Ok(WaitingFile {
            from: tx.find::<Peer>(&download.from.0.0)?.as_ref().map(Contact::of),
            from_id: download.from.0,
            message_id: download.message_id.0,
            sent: UnixMillis(download.sent_ms),
            name: manifest.name.to_string(),
            size,
            fetched,
            has_room: require_room(&self.settings.downloads, size.saturating_sub(fetched)).is_ok(),
        })
    }
}

/// The files of somebody, whatever identity they had when they sent them.
fn downloads_from(tx: &Tx<'_>, who: &Designation) -> Result<(Peer, Vec<Download>)> {
    let peer = known_peer(tx, who)?;
    let mut downloads = tx.all::<Download>()?;
    downloads.retain(|download| [peer.id, peer.thread].contains(&download.from));
    downloads.sort_by_key(|download| download.sent_ms);
    Ok((peer, downloads))
}
