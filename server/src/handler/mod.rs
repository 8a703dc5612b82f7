//! What the server does with a request, one file an operation. Handlers take values and give values: no bytes, no
//! sockets. Which handlers there must be is up to the wire's table of operations.

use std::sync::Arc;

use messageu_wire::dialect::Profile;
use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use messageu_wire::operations::{Request, Response};
use thiserror::Error;

use crate::metrics::Reason;
use crate::relay::{PullTurn, Relay};
use crate::store::{Client, Content, RosterExtent, Sequence, StoreError};

/// Who asks, and how.
#[derive(Clone)]
pub(crate) struct Asker {
    /// The client whose id the header has, if there is one.
    pub(crate) client: Option<Arc<Client>>,
    /// The profile of the request.
    pub(crate) profile: &'static Profile,
}

impl Asker {
    /// The id of the asker.
    fn known(&self) -> Result<ClientId, Refusal> {
        self.client.as_ref().map(|client| client.id).ok_or(Refusal::UnknownAsker)
    }
}

/// What a handler gives back, to be written in the asker's dialect.
pub(crate) enum Outcome {
    /// A response that is small.
    Answer(Response),
    /// All clients but the asker, to be read page by page.
    Roster(RosterExtent),
    /// Messages for the asker, to be deleted when they have arrived.
    Mail(Mail),
}

impl From<Response> for Outcome {
    fn from(response: Response) -> Self {
        Self::Answer(response)
    }
}

/// Messages that are on their way to their recipient.
pub(crate) struct Mail {
    /// The recipient.
    pub(crate) to: ClientId,
    /// The messages, oldest first.
    pub(crate) messages: Vec<Announced>,
    /// Keeps a second pull waiting.
    pub(crate) turn: PullTurn,
}

/// A message that a pull announces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announced {
    pub(crate) sequence: Sequence,
    pub(crate) kind: MessageType,
    pub(crate) size: u32,
}

impl Announced {
    /// The size of the content as the profile shows it.
    pub(crate) fn shown_size(&self, profile: &Profile) -> u32 {
        profile.shown_size(self.kind, self.size)
    }
}

/// Why a request is refused. The peer sees 9000 and nothing else; this is for the log.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    /// The header's id is nobody's.
    #[error("the asker is unknown")]
    UnknownAsker,
    /// The id asked for is nobody's.
    #[error("there is no such client")]
    UnknownTarget,
    /// The name cannot be one.
    #[error("{0}")]
    Name(#[from] messageu_wire::error::FieldError),
    /// The message's type is none of those that are known.
    #[error("the message has an unknown type")]
    UnknownType,
    /// Somebody else's account would be deleted for all that is known.
    #[error("only a client registered in the dialect that has this operation may be deleted")]
    NotDeletable,
    /// The content is larger than is accepted here.
    #[error("the content is larger than --max-content")]
    ContentTooLarge,
    /// The disk is almost full.
    #[error("the disk is almost full")]
    DiskFull,
    /// The answer would not fit the u32 that declares its size.
    #[error("the answer is larger than a response can be")]
    TooLarge,
    /// What the store refuses.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Refusal {
    /// What it is counted as.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::UnknownAsker => Reason::UnknownAsker,
            Self::UnknownTarget | Self::Store(StoreError::UnknownClient(_)) => Reason::UnknownTarget,
            Self::Store(StoreError::NameTaken) => Reason::NameTaken,
            Self::Name(_) | Self::UnknownType | Self::NotDeletable => Reason::Invalid,
            Self::ContentTooLarge => Reason::ContentTooLarge,
            Self::Store(StoreError::QueueFull(_)) => Reason::QueueFull,
            Self::DiskFull => Reason::DiskFull,
            Self::TooLarge | Self::Store(StoreError::NoSuchContent) => Reason::NotAvailable,
            Self::Store(StoreError::Storage(_) | StoreError::IdTaken | StoreError::Misuse(_)) => {
                Reason::StorageFailed
            }
        }
    }
}

macro_rules! declare {
    (
        classic { $($operation:ident $module:ident $a:tt $b:tt $c:tt $d:tt $e:tt $meaning:literal;)* }
        modern $modern:tt
    ) => {
        $(mod $module;)*

        /// Does what is asked. `content` is that of a send, gathered or uploaded before.
        pub(crate) async fn handle(
            relay: Arc<Relay>,
            asker: Asker,
            request: Request,
            content: Content,
        ) -> Result<Outcome, Refusal> {
            match request {
                $(Request::$operation(request) => $module::handle(&relay, &asker, request, content).await,)*
            }
        }
    };
}

messageu_wire::operations!(declare);

pub(crate) use send_message::check as check_send;
