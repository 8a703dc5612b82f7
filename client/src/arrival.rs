//! What has come, as a session hands it to its user.

use messageu_wire::fields::MessageId;
use messageu_wire::message::MessageType;
use zeroize::Zeroizing;

use crate::download::Download;
use crate::error::Result;
use crate::keyring::Contact;

/// A message that has come.
#[derive(Debug)]
pub struct Arrival {
    /// From whom, as the server says it.
    pub from: Contact,
    /// The server's number for it, if the dialect has one.
    pub message_id: Option<MessageId>,
    /// Its type.
    pub kind: MessageType,
    /// What is in it.
    pub content: Content,
}

/// What is in a message that has come.
#[derive(Debug)]
pub enum Content {
    /// They ask for a symmetric key. With [`crate::Options::auto_keys`]: what came of sending it.
    KeyRequest(Option<Result<()>>),
    /// A symmetric key.
    Key(KeyOutcome),
    /// A text.
    Text(Text),
    /// A text beyond [`crate::TEXT_LIMIT`], which became a file.
    LongText(Download),
    /// A file.
    File(Download),
    /// It does not open, and is kept until it does.
    Locked(Locked),
    /// A message of a type that the classic dialects do not have, saved as it came.
    Unknown(Download),
}

/// A text, opened. Its `Debug` does not show it.
pub struct Text(pub(crate) Zeroizing<Vec<u8>>);

impl Text {
    /// The bytes, as they were sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// What became of a symmetric key that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyOutcome {
    /// We asked for it, and use it from now on.
    Accepted,
    /// We have this very key already.
    Known,
    /// We did not ask for it, and do not use it.
    NotAsked,
    /// We asked, but have another one by now, and keep that.
    Kept,
    /// It was not wrapped for us.
    Damaged,
}

/// Why a message does not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Locked {
    /// There is no key shared with the sender.
    NoKey,
    /// The key shared with the sender does not open it.
    WrongKey,
}

/// What is called with each message that comes. What it does not take with `Ok` will come again.
pub type Show<'a> = &'a mut dyn FnMut(Arrival) -> Result<()>;
