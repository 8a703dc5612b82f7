//! What a dialect can say: requests as a client sends them, responses as far as the dialect carries their meaning.

use messageu_wire::dialect::{Dialect, Profile};
use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use messageu_wire::operation::fetch_key::KeyLayout;
use messageu_wire::operation::pull_messages::EntryLayout;
use messageu_wire::operation::send_message::ReceiptLayout;
use messageu_wire::operations::{Request, Response};

/// A request and all that belongs to it, as a client sends it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Speech {
    /// The dialect it is in.
    pub dialect: Dialect,
    /// 1 or 2.
    pub version: u8,
    /// Who asks.
    pub client_id: ClientId,
    /// What is asked; of a send, its size is that of the content.
    pub request: Request,
    /// The content, empty for all but sends.
    pub content: Vec<u8>,
}

impl Speech {
    /// The request with this content, made to what the dialect can say.
    ///
    /// The profiles whose sends have one size know no types but the classic ones, and no content that does not fit.
    #[must_use]
    pub fn new(
        dialect: Dialect,
        version: u8,
        client_id: ClientId,
        mut request: Request,
        mut content: Vec<u8>,
    ) -> Self {
        if let Request::SendMessage(send) = &mut request {
            if let Some(size) = dialect.profile.fixed_send {
                let front = dialect.request_header_size() + dialect.profile.send.size();
                content.truncate(size as usize - front);
                send.kind = MessageType(1 + send.kind.0 % 4);
            }
            send.size = content.len() as u32;
        } else {
            content.clear();
        }
        Self { dialect, version, client_id, request, content }
    }

    /// Header and payload.
    ///
    /// # Panics
    /// When the family has no such operation.
    #[must_use]
    pub fn front(&self) -> Vec<u8> {
        self.dialect.encode_request(self.version, self.client_id, &self.request).unwrap()
    }

    /// Header, payload and content.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut bytes = self.front();
        bytes.extend_from_slice(&self.content);
        bytes
    }

    /// All that a client sends: the frame, and the zeros that the dialect puts behind it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.frame();
        let tail = self.dialect.request_tail(self.request.operation(), bytes.len() as u64);
        bytes.resize(bytes.len() + tail, 0);
        bytes
    }
}

/// What is left of a response when it has gone through a profile: what the profile does not carry is lost.
#[must_use]
pub fn said(response: &Response, profile: &Profile) -> Response {
    let mut response = response.clone();
    match &mut response {
        Response::Register(answer) => answer.client_id = profile.show_id(answer.client_id),
        Response::ListClients(list) => {
            list.clients.iter_mut().for_each(|entry| entry.client_id = profile.show_id(entry.client_id));
        }
        Response::FetchKey(answer) => {
            let id = profile.show_id(answer.client_id.unwrap_or_default());
            answer.client_id = Some(id).filter(|_| profile.key == KeyLayout::OwnersId);
        }
        Response::SendMessage(receipt) => {
            receipt.to = receipt.to.filter(|_| profile.receipt != ReceiptLayout::Empty);
            receipt.message_id = receipt.message_id.filter(|_| receipt.to.is_some());
            receipt.to = receipt.to.map(|id| profile.show_id(id));
        }
        Response::PullMessages(pull) => {
            for message in &mut pull.messages {
                message.from = profile.show_id(message.from);
                let id = message.message_id.unwrap_or_default();
                message.message_id = Some(id).filter(|_| profile.entry != EntryLayout::NoMessageId);
            }
        }
        Response::DeleteClient(_) => {}
    }
    response
}

/// What is left of a response to somebody who reads as much of it as it declares.
///
/// A profile that counts nothing but contents cannot announce empty messages behind the last that is not empty.
#[must_use]
pub fn said_by_size(response: &Response, profile: &Profile) -> Response {
    let mut response = said(response, profile);
    if let Response::PullMessages(pull) = &mut response {
        while profile.entry_counted == 0 && pull.messages.last().is_some_and(|last| last.content.is_empty()) {
            pull.messages.pop();
        }
    }
    response
}
