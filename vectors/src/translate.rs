//! Between the fields of the vectors and the values of the wire.

use messageu_wire::dialect::{ByteOrder, Dialect, Profile, ResponseHeader, VersionCoding};
use messageu_wire::fields::{ClientId, MessageId, Name, NameField, PublicKey};
use messageu_wire::frame::Received;
use messageu_wire::message::MessageType;
use messageu_wire::operation::fetch_key::KeyLayout;
use messageu_wire::operation::{
    delete_client, fetch_key, list_clients, pull_messages, register, send_message,
};
use messageu_wire::operations::{Operation, Request, Response};

use crate::Hex;
use crate::fields::{
    Client, Clients, Key, KeyRequest, Message, Messages, Nothing, Receipt, Registered, Registration,
    RequestFields, RequestPayload, ResponseFields, ResponsePayload, Send,
};

/// Bytes of the size that every header ends with.
const SIZE_FIELD: usize = 4;

impl From<ClientId> for Hex {
    fn from(id: ClientId) -> Self {
        Self(id.0.to_vec())
    }
}

impl Hex {
    /// These bytes as a client id.
    ///
    /// # Panics
    /// When they are not 16.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        ClientId(self.0.as_slice().try_into().unwrap())
    }

    /// These bytes as a public key.
    ///
    /// # Panics
    /// When they are not 160.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.as_slice().try_into().unwrap())
    }
}

fn name_field(name: &str) -> NameField {
    NameField::from(&Name::new(name).unwrap())
}

fn count(bytes: usize) -> u32 {
    bytes.try_into().unwrap()
}

impl RequestFields {
    /// The fields of a request that was read from `bytes`; which of these mean nothing is not told.
    ///
    /// # Panics
    /// When `bytes` are too few, or a name is none.
    #[must_use]
    pub fn of(received: &Received, content: &[u8], bytes: &[u8]) -> Self {
        let Received { dialect, version, client_id, request, .. } = received;
        let header_size = dialect.request_header_size();
        let declared = *bytes[..header_size].last_chunk::<SIZE_FIELD>().unwrap();
        let declared_size = match dialect.profile.byte_order {
            ByteOrder::Little => u32::from_le_bytes(declared),
            ByteOrder::Big => u32::from_be_bytes(declared),
        };
        let payload = match request {
            Request::Register(request) => RequestPayload::Register(Registration {
                name: request.name.name().unwrap().as_str().to_owned(),
                public_key: Hex::from(request.public_key.0.as_slice()),
            }),
            Request::FetchKey(request) => {
                RequestPayload::FetchKey(KeyRequest { client_id: request.client_id.into() })
            }
            Request::SendMessage(request) => RequestPayload::SendMessage(Send {
                to: request.to.into(),
                kind: request.kind.0,
                size: request.size,
                content: Hex::from(content),
            }),
            Request::ListClients(_) | Request::PullMessages(_) | Request::DeleteClient(_) => {
                RequestPayload::Nothing(Nothing {})
            }
        };
        let head_size = Request::head_size(request.operation(), dialect.profile);
        Self {
            client_id: (*client_id).into(),
            version: *version,
            code: request.operation().codes(dialect.family).unwrap().request,
            declared_size,
            payload,
            behind: count(bytes.len() - header_size - head_size - content.len()),
            meaningless: Vec::new(),
        }
    }

    /// The request of these fields, and the content that follows it.
    ///
    /// # Panics
    /// When the payload is not that of the operation.
    #[must_use]
    pub fn to_request(&self, operation: Operation) -> (Request, &[u8]) {
        let request = match (operation, &self.payload) {
            (Operation::Register, RequestPayload::Register(Registration { name, public_key })) => {
                register::Request { name: name_field(name), public_key: public_key.public_key() }.into()
            }
            (Operation::FetchKey, RequestPayload::FetchKey(KeyRequest { client_id })) => {
                fetch_key::Request { client_id: client_id.client_id() }.into()
            }
            (Operation::SendMessage, RequestPayload::SendMessage(Send { to, kind, size, content })) => {
                let (to, kind, size) = (to.client_id(), MessageType(*kind), *size);
                return (send_message::Request { to, kind, size }.into(), content);
            }
            (Operation::ListClients, RequestPayload::Nothing(_)) => list_clients::Request.into(),
            (Operation::PullMessages, RequestPayload::Nothing(_)) => pull_messages::Request.into(),
            (Operation::DeleteClient, RequestPayload::Nothing(_)) => delete_client::Request.into(),
            (operation, payload) => panic!("{operation} has no such payload: {payload:?}"),
        };
        (request, &[])
    }

    /// The bytes of these fields, with zeros where bytes mean nothing.
    ///
    /// # Panics
    /// When the dialect cannot say it.
    #[must_use]
    pub fn encode(&self, dialect: Dialect, operation: Operation) -> Vec<u8> {
        let (request, content) = self.to_request(operation);
        let version = match dialect.profile.request_versions {
            VersionCoding::Number => self.version,
            VersionCoding::Digit => self.version - b'0',
        };
        let mut bytes = dialect.encode_request(version, self.client_id.client_id(), &request).unwrap();
        let declared = match dialect.profile.byte_order {
            ByteOrder::Little => self.declared_size.to_le_bytes(),
            ByteOrder::Big => self.declared_size.to_be_bytes(),
        };
        let header = &mut bytes[..dialect.request_header_size()];
        *header.last_chunk_mut::<SIZE_FIELD>().unwrap() = declared;
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len() + usize::try_from(self.behind).unwrap(), 0);
        bytes
    }
}

impl ResponseFields {
    /// The fields of a response to `asker` that was read from `bytes`.
    ///
    /// # Panics
    /// When `bytes` are too few, or a name is none.
    #[must_use]
    pub fn of(dialect: Dialect, response: &Response, asker: ClientId, bytes: &[u8]) -> Self {
        let profile = dialect.profile;
        let (header, rest) = bytes.split_at(profile.header.response_size());
        let ResponseHeader { version, code, size } = ResponseHeader::decode(header, profile).unwrap();
        let echo = profile.echoes_asker(code).then(|| Hex::from(&rest[..asker.0.len()]));
        let mut payload = Vec::new();
        response.encode(profile, asker, &mut payload);
        let behind = rest.len() - echo.as_ref().map_or(0, |echo| echo.len()) - payload.len();
        Self {
            version,
            code,
            declared_size: size,
            echo,
            payload: payload_of(response, profile, asker),
            behind: count(behind),
        }
    }

    /// The response of these fields.
    ///
    /// # Panics
    /// When the payload is not that of the operation.
    #[must_use]
    pub fn to_response(&self, operation: Operation, profile: &Profile) -> Response {
        match (operation, &self.payload) {
            (Operation::Register, ResponsePayload::Register(Registered { client_id })) => {
                register::Response { client_id: client_id.client_id() }.into()
            }
            (Operation::ListClients, ResponsePayload::ListClients(Clients { count, clients })) => {
                assert_eq!(*count, clients.len());
                let entry = |Client { client_id, name }: &Client| list_clients::Entry {
                    client_id: client_id.client_id(),
                    name: name_field(name),
                };
                list_clients::Response { clients: clients.iter().map(entry).collect() }.into()
            }
            (Operation::FetchKey, ResponsePayload::FetchKey(Key { client_id, public_key })) => {
                let owner = client_id.as_ref().filter(|_| profile.key == KeyLayout::OwnersId);
                let (client_id, public_key) = (owner.map(Hex::client_id), public_key.public_key());
                fetch_key::Response { client_id, public_key }.into()
            }
            (Operation::SendMessage, ResponsePayload::SendMessage(Receipt { to, message_id })) => {
                let (to, message_id) = (to.as_ref().map(Hex::client_id), message_id.map(MessageId));
                send_message::Response { to, message_id }.into()
            }
            (Operation::PullMessages, ResponsePayload::PullMessages(Messages { count, messages })) => {
                assert_eq!(*count, messages.len());
                let message = |Message { from, message_id, kind, size, content }: &Message| {
                    assert_eq!(content.len(), usize::try_from(*size).unwrap());
                    let (from, message_id) = (from.client_id(), message_id.map(MessageId));
                    pull_messages::Message {
                        from,
                        message_id,
                        kind: MessageType(*kind),
                        content: content.to_vec(),
                    }
                };
                pull_messages::Response { messages: messages.iter().map(message).collect() }.into()
            }
            // Read from a file, an object without fields is a receipt that has none.
            (Operation::DeleteClient, _) => delete_client::Response.into(),
            (operation, payload) => panic!("{operation} has no such payload: {payload:?}"),
        }
    }

    /// The bytes of these fields, in a response to `asker`.
    ///
    /// # Panics
    /// When the dialect cannot say it.
    #[must_use]
    pub fn encode(&self, dialect: Dialect, operation: Operation, asker: ClientId) -> Vec<u8> {
        let response = self.to_response(operation, dialect.profile);
        let mut bytes = dialect.encode_response(&response, asker).unwrap();
        bytes[0] = self.version;
        bytes
    }
}

fn payload_of(response: &Response, profile: &Profile, asker: ClientId) -> ResponsePayload {
    match response {
        Response::Register(response) => {
            ResponsePayload::Register(Registered { client_id: response.client_id.into() })
        }
        Response::ListClients(response) => {
            let client = |entry: &list_clients::Entry| Client {
                client_id: entry.client_id.into(),
                name: entry.name.name().unwrap().as_str().to_owned(),
            };
            let clients: Vec<Client> = response.clients.iter().map(client).collect();
            ResponsePayload::ListClients(Clients { count: clients.len(), clients })
        }
        Response::FetchKey(response) => {
            let id = match profile.key {
                KeyLayout::AskersId => Some(asker),
                KeyLayout::OwnersId | KeyLayout::Bare => response.client_id,
            };
            let public_key = Hex::from(response.public_key.0.as_slice());
            ResponsePayload::FetchKey(Key { client_id: id.map(Hex::from), public_key })
        }
        Response::SendMessage(response) => {
            let message_id = response.message_id.map(|id| id.0);
            ResponsePayload::SendMessage(Receipt { to: response.to.map(Hex::from), message_id })
        }
        Response::PullMessages(response) => {
            let message = |message: &pull_messages::Message| Message {
                from: message.from.into(),
                message_id: message.message_id.map(|id| id.0),
                kind: message.kind.0,
                size: count(message.content.len()),
                content: Hex::from(message.content.as_slice()),
            };
            let messages: Vec<Message> = response.messages.iter().map(message).collect();
            ResponsePayload::PullMessages(Messages { count: messages.len(), messages })
        }
        Response::DeleteClient(_) => ResponsePayload::Nothing(Nothing {}),
    }
}
