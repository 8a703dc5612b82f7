//! What is in the store: one struct a kind of record. New fields have a default, so that older records stay readable.

use messageu_wire::envelope::field::{Digest, EnvelopeId, FileId, Fingerprint, RsaPublicKey, SessionId, Tag};
use messageu_wire::fields::ClientId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::store::Record;
use super::stored::{Secret, Stored};

/// Declares which number stands for which kind of record, in the file for good.
macro_rules! kinds {
    ($($number:literal $record:ident;)*) => {
        $(impl Record for $record {
            const KIND: u8 = $number;
        })*

        #[cfg(test)]
        const NUMBERS: &[u8] = &[$($number),*];
    };
}

kinds! {
    1 Own;
    2 BundleKeys;
    3 OneTimeKey;
    4 OwnOffer;
    5 Replay;
    6 Peer;
    7 SessionState;
    8 Unsent;
    9 Seen;
    10 Unopened;
    11 Unshown;
    12 Said;
    13 Upload;
    14 Download;
    15 ChunkTags;
    16 PeerOffer;
    17 Server;
    18 OwedReceipt;
    19 Unacknowledged;
}

/// Who we are, and the next numbers of what we make. There is one.
#[derive(Serialize, Deserialize)]
pub(crate) struct Own {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) phone: String,
    /// The identity key in PKCS#8.
    pub(crate) identity: Secret,
    /// Whether the server has taken the registration.
    pub(crate) is_registered: bool,
    /// The registration that a code is expected for.
    #[serde(default)]
    pub(crate) registration: Option<Stored<Zeroizing<[u8; 16]>>>,
    /// The identity that is to follow ours, in PKCS#8, until the server has taken it.
    #[serde(default)]
    pub(crate) successor: Option<Secret>,
    pub(crate) next: Numbers,
    /// When the server was last told our keys, in seconds since 1970.
    #[serde(default)]
    pub(crate) published: u64,
    /// When it was last looked for what has to be erased, in seconds since 1970.
    #[serde(default)]
    pub(crate) swept: u64,
    /// When it was last looked what the server gives others as our keys, in seconds since 1970.
    #[serde(default)]
    pub(crate) checked: u64,
}

/// Numbers that are used once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Numbers {
    pub(crate) epoch: u64,
    pub(crate) prekey: u32,
    pub(crate) wrap: u32,
    pub(crate) one_time: u32,
    pub(crate) offer: u32,
}

/// A bundle of ours with its private halves; by its prekey's id.
#[derive(Serialize, Deserialize)]
pub(crate) struct BundleKeys {
    pub(crate) bundle: Secret,
    pub(crate) prekey: Stored<Zeroizing<[u8; 32]>>,
    /// The wrapping key in PKCS#8.
    pub(crate) wrapping: Secret,
    /// When another bundle took its place, in seconds since 1970.
    pub(crate) replaced: Option<u64>,
    /// Whether the server has it.
    pub(crate) is_published: bool,
}

/// A one-time prekey of ours; by its id.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OneTimeKey {
    pub(crate) id: u32,
    pub(crate) secret: Stored<Zeroizing<[u8; 32]>>,
    /// Whether the server has it.
    pub(crate) is_published: bool,
}

/// An offer of ours that is not answered; by its id.
#[derive(Serialize, Deserialize)]
pub(crate) struct OwnOffer {
    pub(crate) id: u32,
    pub(crate) to: Stored<ClientId>,
    pub(crate) secret: Stored<Zeroizing<[u8; 32]>>,
    /// Seconds since 1970.
    pub(crate) made: u64,
}

/// An INIT without a one-time key that has been taken; by what it is remembered by.
#[derive(Serialize, Deserialize)]
pub(crate) struct Replay {
    pub(crate) key: Stored<Digest>,
    /// The bundle that it is remembered as long as.
    pub(crate) prekey: u32,
}

/// How sure we are who somebody is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The identity is the one that was seen first.
    Unverified,
    /// The user has compared the safety number or a code.
    Verified,
}

/// Somebody whose identity is pinned; by their id.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) id: Stored<ClientId>,
    /// The name that the server had for the id.
    pub(crate) name: Option<String>,
    /// The name that they say they have, until the server has been asked.
    #[serde(default)]
    pub(crate) claimed_name: Option<String>,
    /// What the history with them is kept under: the id that they had first.
    pub(crate) thread: Stored<ClientId>,
    pub(crate) identity: Stored<RsaPublicKey>,
    pub(crate) fingerprint: Stored<Fingerprint>,
    pub(crate) trust: Trust,
    #[serde(default)]
    pub(crate) is_blocked: bool,
    /// Whether the user has written to them, approved or verified them.
    #[serde(default)]
    pub(crate) is_accepted: bool,
    /// Who the server says has the name now, without a succession that the pinned identity signed.
    #[serde(default)]
    pub(crate) claimed_by: Option<Stored<ClientId>>,
    /// The highest epoch of their bundles that was seen.
    #[serde(default)]
    pub(crate) epoch: Option<u64>,
    /// The session that is sent in.
    #[serde(default)]
    pub(crate) active: Option<Stored<SessionId>>,
    /// Sessions that are received in, the last used last.
    #[serde(default)]
    pub(crate) archived: Vec<Stored<SessionId>>,
}

/// A session; by its id.
#[derive(Serialize, Deserialize)]
pub(crate) struct SessionState {
    pub(crate) peer: Stored<ClientId>,
    pub(crate) state: Secret,
}

/// An envelope that is to be sent: a list, in the order of sending.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Unsent {
    pub(crate) to: Stored<ClientId>,
    pub(crate) message_id: Stored<EnvelopeId>,
    pub(crate) kind: u8,
    pub(crate) envelope: Secret,
    /// What is in it, should it have to be sealed to another identity of the same user.
    pub(crate) body_type: u8,
    pub(crate) body: Secret,
    /// The number of the message in it.
    pub(crate) inner_id: Stored<EnvelopeId>,
    /// Whether that is so: it is sealed to an identity that has gone.
    #[serde(default)]
    pub(crate) is_stale: bool,
    /// Where it is in the history: which thread, and its number in it.
    #[serde(default)]
    pub(crate) history: Option<(Stored<ClientId>, u64)>,
}

/// An envelope that has been dealt with; by its hash.
#[derive(Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) hash: Stored<Digest>,
    /// Seconds since 1970.
    pub(crate) since: u64,
}

/// An envelope that has not been opened yet; by its hash.
#[derive(Serialize, Deserialize)]
pub(crate) struct Unopened {
    pub(crate) hash: Stored<Digest>,
    pub(crate) tries: u32,
    /// Seconds since 1970, of the first try.
    pub(crate) since: u64,
}

/// What has come and has not been shown: a list, in the order of arrival.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Unshown {
    /// From whom, if that is known.
    pub(crate) from: Option<Stored<ClientId>>,
    /// The sender's number for it, if it is a message.
    pub(crate) message_id: Option<Stored<EnvelopeId>>,
    /// When the sender says it was sent, in milliseconds since 1970.
    pub(crate) sent_ms: u64,
    pub(crate) event: StoredEvent,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoredEvent {
    /// A text has come.
    Text(Secret),
    /// A file has come, and is at this path.
    File { path: String, size: u64 },
    /// A file cannot be fetched any more.
    FileLost { name: String },
    /// So many messages before this one have not come.
    Missing(u32),
    /// Something has come that does not open.
    Unreadable,
    /// Somebody asks for a session, and has to be approved.
    Offer,
    /// Our offer was answered.
    Answered,
    /// The server gives others keys for us that are not ours.
    OtherKeys,
    /// Somebody has written whom we did not know.
    NewContact,
    /// The contact's old identity has signed a new one.
    Rotated { from: Stored<ClientId> },
    /// The contact's name belongs to another identity now.
    Changed { to: Stored<ClientId> },
    /// A message of a type that this program does not know.
    Unknown { body_type: u8 },
}

/// What was said: a list for each contact.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) message_id: Stored<EnvelopeId>,
    pub(crate) is_ours: bool,
    pub(crate) sent_ms: u64,
    pub(crate) what: StoredEvent,
    /// How far a message of ours is; what came has arrived.
    pub(crate) delivery: Delivery,
}

/// How far a message of ours is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// In the outbox.
    Queued,
    /// With the server, or with us.
    Done,
    /// With whom it is for: they have said so.
    Arrived,
    /// Given up: the server will not take it.
    Failed,
}

/// A file that is being sent; by its id.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) file_id: Stored<FileId>,
    pub(crate) to: Stored<ClientId>,
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) size: u64,
    /// What the keys of its chunks come of: each try seals to the same bytes.
    pub(crate) file_key: Secret,
    /// Chunks that the server has.
    pub(crate) done: u32,
    /// SHA-256 over their tags, which are a list by the file's id.
    pub(crate) tags: Stored<Digest>,
    /// The state of the file that these are of, as the system tells it.
    #[serde(default)]
    pub(crate) version: [i64; 4],
}

/// A file that is being received; by its id and its sender.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Download {
    pub(crate) from: Stored<ClientId>,
    pub(crate) message_id: Stored<EnvelopeId>,
    pub(crate) sent_ms: u64,
    pub(crate) manifest: Secret,
    /// Chunks that are in the `.part` file for good.
    pub(crate) done: u32,
    /// Where the file is under its own name, once all of it is there.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// Whether it is kept out of the history.
    #[serde(default)]
    pub(crate) is_ephemeral: bool,
    /// How often the server has given something else in place of a chunk.
    #[serde(default)]
    pub(crate) failures: u32,
}

/// The tags of some of a download's chunks: a list for each download.
#[derive(Serialize, Deserialize)]
pub(crate) struct ChunkTags(pub(crate) Vec<Stored<Tag>>);

/// An offer that somebody made us, and that is to be answered; by their id.
#[derive(Serialize, Deserialize)]
pub(crate) struct PeerOffer {
    pub(crate) from: Stored<ClientId>,
    pub(crate) envelope: Secret,
    /// Whether it may be answered without asking the user.
    pub(crate) is_approved: bool,
}

/// A message that its sender is to be told has come: a list for each contact.
#[derive(Serialize, Deserialize)]
pub(crate) struct OwedReceipt {
    pub(crate) message_id: Stored<EnvelopeId>,
}

/// A message of ours that its recipient has not said has come; by the contact and the message's number.
#[derive(Serialize, Deserialize)]
pub(crate) struct Unacknowledged {
    /// Its number in the history with the contact.
    pub(crate) number: u64,
}

/// The server that knows us. There is one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Server {
    /// As the user wrote it, with the pin.
    pub(crate) address: String,
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_kinds_of_records_share_a_number() {
        let mut numbers = super::NUMBERS.to_vec();
        numbers.dedup();
        assert!(numbers.is_sorted() && numbers.len() == super::NUMBERS.len());
    }
}
