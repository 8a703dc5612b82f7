//! What the bytes of an exchange mean, in a form that belongs to no language.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Hex;

/// What the bytes of a request mean.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestFields {
    /// The client id in the header: who asks. In a registration it means nothing.
    pub client_id: Hex,
    /// The version byte.
    pub version: u8,
    /// The request code.
    pub code: u16,
    /// The size of the payload that the header declares, which is wrong where a quirk says so.
    pub declared_size: u32,
    /// The payload, with the content of a send.
    pub payload: RequestPayload,
    /// How many bytes the dialect puts behind the payload, beyond the declared size.
    pub behind: u32,
    /// Where bytes that mean nothing are not zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meaningless: Vec<Span>,
}

/// What the bytes of a response mean.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseFields {
    /// The version byte.
    pub version: u8,
    /// The response code.
    pub code: u16,
    /// The size of the payload that the header declares, which is too little where a quirk says so.
    pub declared_size: u32,
    /// The asker's id behind the header, outside the declared size, where the dialect has that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<Hex>,
    /// The payload.
    pub payload: ResponsePayload,
    /// How many bytes the dialect puts behind the payload, beyond the declared size.
    pub behind: u32,
}

/// Bytes that mean nothing: an encoder writes zeros there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// The first one's place in the request.
    pub at: usize,
    /// How many.
    pub size: usize,
}

/// The payload of a request, by its operation; `Nothing` for `list_clients` and `pull_messages`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the structures say it")]
pub enum RequestPayload {
    Register(Registration),
    FetchKey(KeyRequest),
    SendMessage(Send),
    Nothing(Nothing),
}

/// `register`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// The name, up to its NUL.
    pub name: String,
    /// The public key: 160 bytes of X.509 DER.
    pub public_key: Hex,
}

/// `fetch_key`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// Whose key.
    pub client_id: Hex,
}

/// `send_message`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// The recipient's id.
    pub to: Hex,
    /// The message type, 1 to 4, however the dialect writes it.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Bytes of content.
    pub size: u32,
    /// The content, mostly encrypted.
    pub content: Hex,
}

/// No payload.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The payload of a response, by its operation; `Nothing` for `delete_client`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the structures say it")]
pub enum ResponsePayload {
    Register(Registered),
    ListClients(Clients),
    FetchKey(Key),
    PullMessages(Messages),
    SendMessage(Receipt),
    Nothing(Nothing),
}

/// `register`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registered {
    /// The new client's id.
    pub client_id: Hex,
}

/// `list_clients`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// How many clients are listed.
    pub count: usize,
    /// The clients.
    pub clients: Vec<Client>,
}

/// A client in a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The client's id.
    pub client_id: Hex,
    /// The client's name, up to its NUL.
    pub name: String,
}

/// `fetch_key`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The id before the key, where the dialect has one: the owner's, or the asker's where a quirk says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Hex>,
    /// The public key: 160 bytes of X.509 DER.
    pub public_key: Hex,
}

/// `send_message`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The recipient's id, where the dialect has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Hex>,
    /// The server's number for the message, where the dialect has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<u32>,
}

/// `pull_messages`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// How many messages there are.
    pub count: usize,
    /// The messages, oldest first.
    pub messages: Vec<Message>,
}

/// A message in the answer to a pull.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The sender's id.
    pub from: Hex,
    /// The server's number for the message, where the dialect has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<u32>,
    /// The message type, 1 to 4, however the dialect writes it.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Bytes of content.
    pub size: u32,
    /// The content, mostly encrypted.
    pub content: Hex,
}
