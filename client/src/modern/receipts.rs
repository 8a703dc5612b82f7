//! Receipts: whom we tell that their messages have come, and what others tell us of ours.
//!
//! What a receipt is owed for is noted in the transaction that stores it, and forgotten in the one that puts the receipt into
//! the outbox: so each message has one, whatever is cut off in between.

use messageu_wire::envelope::field::EnvelopeId;
use messageu_wire::envelope::frame::{BODY_MAX, BodyType};

use super::account::Account;
use super::contacts::put_peer;
use super::outbox::require_sendable;
use super::server::Server;
use super::state::records::{Delivery, OwedReceipt, Peer, Said, Unacknowledged};
use super::state::{Stored, Tx};
use crate::error::Result;

/// Bytes of a message's number in a receipt.
const ID_SIZE: usize = 16;

impl Account {
    /// Notes that a message has come, if its sender may be told.
    ///
    /// Those that the user has never written to, approved or verified are told nothing: not even that somebody is there.
    pub(super) fn owe_receipt(&self, tx: &Tx<'_>, peer: &Peer, message_id: EnvelopeId) -> Result<()> {
        if !self.settings.sends_receipts || !peer.is_accepted || require_sendable(peer).is_err() {
            return Ok(());
        }
        let owed = OwedReceipt { message_id: Stored(message_id) };
        tx.append(&peer.thread.0.0, &owed).map(drop)
    }

    /// Sends what is owed: one receipt for each contact, whatever has come of them.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`]: what was not sent stays in the outbox.
    pub(super) async fn send_receipts(&self, server: &impl Server) -> Result<()> {
        if self.queue_receipts()? { self.flush(server).await.map(drop) } else { Ok(()) }
    }

    /// Puts a receipt for each contact to whom one is owed into the outbox. Says whether there is any.
    pub(super) fn queue_receipts(&self) -> Result<bool> {
        if self.store.read(|tx| tx.count::<OwedReceipt>())? == 0 {
            return Ok(false);
        }
        self.store.write(|tx| {
            let mut is_any = false;
            for mut peer in tx.all::<Peer>()? {
                let owed = tx.list::<OwedReceipt>(&peer.thread.0.0, usize::MAX)?;
                // Where there is no session, none is begun for this. More than a frame has room for waits.
                let may_be_told = require_sendable(&peer).is_ok() && peer.active.is_some();
                let of_one = if may_be_told { BODY_MAX / ID_SIZE } else { 0 };
                let mut body = Vec::new();
                for (number, owed) in owed.into_iter().take(of_one) {
                    body.extend_from_slice(&owed.message_id.0.0);
                    tx.erase_number::<OwedReceipt>(&peer.thread.0.0, number)?;
                }
                if !body.is_empty() && self.settings.sends_receipts {
                    self.queue(tx, &mut peer, BodyType::RECEIPT, &body, None)?;
                    is_any = true;
                }
            }
            Ok(is_any)
        })
    }

    /// Takes a receipt for what we have said to a contact; what it names beside that is passed over.
    pub(super) fn take_receipt(&self, tx: &Tx<'_>, peer: &Peer, body: &[u8]) -> Result<()> {
        let (ids, rest) = body.as_chunks::<ID_SIZE>();
        if !rest.is_empty() {
            return Ok(());
        }
        for id in ids {
            let about = about(peer, EnvelopeId(*id));
            let Some(Unacknowledged { number }) = tx.find(&about)? else { continue };
            tx.erase::<Unacknowledged>(&about)?;
            if let Some(said) = tx.find_number::<Said>(&peer.thread.0.0, number)? {
                tx.put_number(&peer.thread.0.0, number, &Said { delivery: Delivery::Arrived, ..said })?;
            }
        }
        Ok(())
    }
}

/// Notes which message of the history a receipt of `peer` may name.
pub(super) fn expect_receipt(tx: &Tx<'_>, peer: &Peer, message_id: EnvelopeId, number: u64) -> Result<()> {
    tx.put(&about(peer, message_id), &Unacknowledged { number })
}

/// The user has something to say to somebody, or takes them as who they are.
pub(super) fn accept(tx: &Tx<'_>, peer: &mut Peer) -> Result<()> {
    if peer.is_accepted {
        return Ok(());
    }
    peer.is_accepted = true;
    put_peer(tx, peer)
}

/// Nobody can tell of a message that was said to somebody else.
fn about(peer: &Peer, message_id: EnvelopeId) -> Vec<u8> {
    [peer.thread.0.0, message_id.0].concat()
}
