//! `generated/wire.json` is enough to read the classic dialects, if it is known which one is spoken: an interpreter that
//! knows nothing else finds in the recordings what they say is there, and agrees with the wire on generated frames.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

mod interpreter;
mod random;

use arbitrary::{Arbitrary, Unstructured};
use interpreter::Interpreter;
use messageu_vectors::recordings;
use messageu_wire::dialect;
use messageu_wire::fields::ClientId;
use messageu_wire::operations::{Operation, Request, Response};
use messageu_wire::spec::{ByteOrder, ClassicOperation, Dialect, Layout, Profile, Value, WireSpec};
use random::{Random, mutated};

/// A frame by the form.
#[derive(PartialEq, Eq, Debug)]
struct Read {
    operation: String,
    header: Value,
    payload: Value,
    /// The asker's id behind a response's header.
    echo: Vec<u8>,
    /// The content of a send.
    content: Vec<u8>,
    /// How many bytes are behind.
    behind: usize,
}

struct Reader {
    interpreter: Interpreter,
}

fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    let Value::Structure(fields) = value else { panic!("{value:?} has no fields") };
    &fields.iter().find(|(found, _)| found == name).unwrap().1
}

fn number(value: &Value, name: &str) -> u64 {
    let Value::Integer(number) = field(value, name) else { panic!("{name} is no number") };
    *number
}

/// Takes the first bytes off.
fn split<'a>(bytes: &mut &'a [u8], size: u64) -> Result<&'a [u8], String> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(size).unwrap()).ok_or("too short")?;
    *bytes = rest;
    Ok(taken)
}

/// The same value with what the profile adds to message types taken off, and fields in the order of their names, so that
/// layouts compare.
fn plain(value: Value, type_offset: u8) -> Value {
    match value {
        Value::Structure(fields) => {
            let mut fields: Vec<(String, Value)> = fields
                .into_iter()
                .map(|(name, value)| match value {
                    Value::Integer(kind) if name == "kind" => {
                        let kind = (kind as u8).wrapping_sub(type_offset);
                        (name, Value::Integer(kind.into()))
                    }
                    Value::Bytes(name_field) if name == "name" => {
                        (name, Value::Bytes(name_field.split(|byte| *byte == 0).next().unwrap().to_vec()))
                    }
                    other => (name, plain(other, type_offset)),
                })
                .collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Structure(fields)
        }
        Value::List(items) => Value::List(items.into_iter().map(|item| plain(item, type_offset)).collect()),
        other => other,
    }
}

impl Reader {
    fn new() -> Self {
        Self { interpreter: Interpreter::committed() }
    }

    fn dialect(&self, name: &str) -> (&Dialect, &Profile) {
        let classic = &self.interpreter.spec.classic;
        let dialect = classic.dialects.iter().find(|dialect| dialect.name == name).unwrap();
        (dialect, classic.profiles.iter().find(|profile| profile.name == dialect.profile).unwrap())
    }

    fn layout<'a>(layouts: &'a [Layout], profile: &Profile) -> &'a str {
        &layouts.iter().find(|layout| layout.profiles.contains(&profile.name)).unwrap().r#type
    }

    fn operation(
        &self,
        dialect: &Dialect,
        code: impl Fn(&messageu_wire::spec::FamilyCodes) -> bool,
    ) -> Result<&ClassicOperation, String> {
        let mut operations = self.interpreter.spec.classic.operations.iter();
        let has = |operation: &&ClassicOperation| {
            operation.codes.iter().any(|codes| codes.family == dialect.family && code(codes))
        };
        operations.find(has).ok_or_else(|| "an unknown code".into())
    }

    fn request(&self, dialect: &str, mut bytes: &[u8]) -> Result<Read, String> {
        let (dialect, profile) = self.dialect(dialect);
        let interpreter = &self.interpreter;
        let order = profile.byte_order;
        let size = interpreter.declaration(&dialect.request_header).size.min;
        let header = interpreter.whole(&dialect.request_header, split(&mut bytes, size)?, order)?;
        let code = number(&header, "code");
        let operation = self.operation(dialect, |codes| u64::from(codes.request) == code)?;
        let layout = Self::layout(&operation.request, profile);
        let size = interpreter.declaration(layout).size.min;
        let payload = interpreter.whole(layout, split(&mut bytes, size)?, order)?;
        let content = operation.content_size.as_ref().map_or(0, |size| number(&payload, size));
        let content = split(&mut bytes, content)?.to_vec();
        let payload = plain(payload, profile.sent_type_offset);
        let behind = bytes.len();
        Ok(Read { operation: operation.name.clone(), header, payload, echo: Vec::new(), content, behind })
    }

    /// A response whose declared size is right.
    fn response(&self, dialect: &str, mut bytes: &[u8], payload_size: Option<u64>) -> Result<Read, String> {
        let (dialect, profile) = self.dialect(dialect);
        let interpreter = &self.interpreter;
        let order: ByteOrder = profile.byte_order;
        let size = interpreter.declaration(&dialect.response_header).size.min;
        let header = interpreter.whole(&dialect.response_header, split(&mut bytes, size)?, order)?;
        let code = number(&header, "code");
        let echoes = profile.echoes.iter().any(|echo| u64::from(*echo) == code);
        let echo = split(&mut bytes, if echoes { 16 } else { 0 })?.to_vec();
        let operation = self.operation(dialect, |codes| u64::from(codes.response) == code)?;
        let size = payload_size.unwrap_or_else(|| number(&header, "size"));
        let payload = split(&mut bytes, size)?;
        let instead = operation.response_instead.iter().map(String::as_str).find(|layout| {
            let sizes = interpreter.declaration(layout).size;
            sizes.min == size && sizes.max == Some(size)
        });
        let layout = instead.unwrap_or_else(|| Self::layout(&operation.response, profile));
        let payload = plain(interpreter.whole(layout, payload, order)?, profile.pulled_type_offset);
        let behind = bytes.len();
        Ok(Read { operation: operation.name.clone(), header, payload, echo, content: Vec::new(), behind })
    }
}

fn structure(fields: &[(&str, Value)]) -> Value {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    plain(Value::Structure(fields.collect()), 0)
}

/// A request of the wire in the form's words.
fn request_value(request: &Request) -> Value {
    match request {
        Request::Register(request) => {
            structure(&[("name", request.name.value()), ("public_key", request.public_key.value())])
        }
        Request::FetchKey(request) => structure(&[("client_id", request.client_id.value())]),
        Request::SendMessage(request) => structure(&[
            ("to", request.to.value()),
            ("kind", request.kind.value()),
            ("size", request.size.value()),
        ]),
        Request::ListClients(_) | Request::PullMessages(_) | Request::DeleteClient(_) => structure(&[]),
    }
}

/// A response of the wire in the form's words, to a client that sees ids as the profile shows them.
fn response_value(response: &Response, id: Option<ClientId>) -> Value {
    match response {
        Response::Register(response) => structure(&[("client_id", response.client_id.value())]),
        Response::ListClients(response) => {
            let client = |client: &messageu_wire::operation::list_clients::Entry| {
                structure(&[("client_id", client.client_id.value()), ("name", client.name.value())])
            };
            structure(&[("clients", Value::List(response.clients.iter().map(client).collect()))])
        }
        Response::FetchKey(response) => {
            let mut fields = vec![("public_key", response.public_key.value())];
            fields.extend(id.map(|id| ("client_id", id.value())));
            structure(&fields)
        }
        Response::SendMessage(response) => {
            let to = response.to.map(|id| ("to", id.value()));
            let number = response.message_id.map(|id| ("message_id", id.value()));
            structure(&to.into_iter().chain(number).collect::<Vec<_>>())
        }
        Response::PullMessages(response) => {
            let message = |message: &messageu_wire::operation::pull_messages::Message| {
                let mut fields = vec![
                    ("from", message.from.value()),
                    ("kind", message.kind.value()),
                    ("content", message.content.value()),
                ];
                fields.extend(message.message_id.map(|id| ("message_id", id.value())));
                structure(&fields)
            };
            structure(&[("messages", Value::List(response.messages.iter().map(message).collect()))])
        }
        Response::DeleteClient(_) => structure(&[]),
    }
}

#[test]
fn recorded_requests_are_read_as_they_are_described() {
    let reader = Reader::new();
    let mut count = 0;
    for recording in recordings() {
        for exchange in &recording.exchanges {
            let name = format!("{}: {}", recording.program, exchange.step);
            let read = reader.request(&recording.dialect, &exchange.request).unwrap();
            let fields = &exchange.request_fields;
            let (request, content) = fields.to_request(exchange.operation());
            assert_eq!(read.operation, exchange.operation, "{name}");
            assert_eq!(read.payload, request_value(&request), "{name}");
            assert_eq!(read.content, content, "{name}");
            assert_eq!(read.behind, fields.behind as usize, "{name}");
            let header = [("version", u64::from(fields.version)), ("size", fields.declared_size.into())];
            for (field, value) in header {
                assert_eq!(number(&read.header, field), value, "{name}");
            }
            assert_eq!(*field(&read.header, "client_id"), Value::Bytes(fields.client_id.to_vec()), "{name}");
            count += 1;
        }
    }
    assert!(count > 200, "{count}");
}

#[test]
fn recorded_responses_are_read_as_they_are_described() {
    let reader = Reader::new();
    let mut count = 0;
    for recording in recordings() {
        for exchange in &recording.exchanges {
            let name = format!("{}: {}", recording.program, exchange.step);
            let fields = &exchange.response_fields;
            let (_, profile) = reader.dialect(&recording.dialect);
            // What a profile counts of a pull's entries is less than they are; what follows them is known here.
            let echo = fields.echo.as_ref().map_or(0, |echo| echo.len());
            let header = reader
                .interpreter
                .declaration(&reader.dialect(&recording.dialect).0.response_header)
                .size
                .min;
            let size = exchange.response.len() - fields.behind as usize - echo - header as usize;
            let read = reader.response(&recording.dialect, &exchange.response, Some(size as u64)).unwrap();
            let wire = dialect::Profile::named(&profile.name).unwrap();
            let response = fields.to_response(exchange.operation(), wire);
            assert_eq!(read.operation, exchange.operation, "{name}");
            let id = match &fields.payload {
                messageu_vectors::fields::ResponsePayload::FetchKey(key) => {
                    key.client_id.as_ref().map(messageu_vectors::Hex::client_id)
                }
                _ => None,
            };
            assert_eq!(read.payload, response_value(&response, id), "{name}");
            assert_eq!(read.behind, fields.behind as usize, "{name}");
            assert_eq!(
                read.echo,
                fields.echo.as_ref().map(|echo| echo.to_vec()).unwrap_or_default(),
                "{name}"
            );
            count += 1;
        }
    }
    assert!(count > 200, "{count}");
}

#[test]
fn generated_requests_are_read_alike_in_every_dialect() {
    let reader = Reader::new();
    let mut random = Random::new("classic requests");
    let mut refused = 0;
    for dialect in dialect::Dialect::all() {
        for _ in 0..60 {
            let seed = random.bytes(2_000);
            let mut seed = Unstructured::new(&seed);
            let id = ClientId::arbitrary(&mut seed).unwrap();
            let mut request = Request::arbitrary(&mut seed).unwrap();
            if let Request::SendMessage(send) = &mut request {
                send.size %= 300;
            }
            let Some(head) = dialect.encode_request(2, id, &request) else { continue };
            let content = request.content_size() as usize;
            let bytes = [head.as_slice(), &vec![7; content]].concat();
            let read = reader.request(&dialect.to_string(), &bytes).unwrap();
            assert_eq!(read.payload, request_value(&request), "{dialect}");
            assert_eq!(*field(&read.header, "client_id"), id.value(), "{dialect}");
            assert_eq!(read.content, vec![7; content], "{dialect}");
            let version = reader.dialect(&dialect.to_string()).1.request_versions[1];
            assert_eq!(number(&read.header, "version"), u64::from(version), "{dialect}");
            assert_eq!(read.operation, request.operation().name(), "{dialect}");
            refused += usize::from(reader.request(&dialect.to_string(), &bytes[..bytes.len() - 1]).is_err());
        }
    }
    assert!(refused > 300, "{refused}");
}

#[test]
fn generated_responses_are_read_alike_in_every_dialect() {
    let reader = Reader::new();
    let mut random = Random::new("classic responses");
    let (mut accepted, mut refused) = (0, 0);
    for dialect in dialect::Dialect::all() {
        for operation in Operation::ALL.iter().filter(|operation| operation.codes(dialect.family).is_some()) {
            let name = dialect.to_string();
            let (_, profile) = reader.dialect(&name);
            let row = reader.interpreter.spec.classic.operations.iter();
            let row = row.clone().find(|row| row.name == operation.name()).unwrap();
            for _ in 0..20 {
                let seed = random.bytes(3_000);
                let mut seed = Unstructured::new(&seed);
                let asker = ClientId::arbitrary(&mut seed).unwrap();
                let response = loop {
                    let response = Response::arbitrary(&mut seed).unwrap();
                    if response.operation() == *operation || seed.is_empty() {
                        break response;
                    }
                };
                let mut payload = Vec::new();
                if response.operation() != *operation {
                    continue;
                }
                response.encode(dialect.profile, asker, &mut payload);
                for payload in std::iter::once(payload.clone()).chain(mutated(&payload, 5, &mut random)) {
                    let known = Response::decode(*operation, &payload, dialect.profile);
                    let size = payload.len() as u64;
                    let instead = row.response_instead.iter().map(String::as_str).find(|layout| {
                        let sizes = reader.interpreter.declaration(layout).size;
                        sizes.min == size && sizes.max == Some(size)
                    });
                    let layout = instead.unwrap_or_else(|| Reader::layout(&row.response, profile));
                    let read = reader.interpreter.whole(layout, &payload, profile.byte_order);
                    match (read, known) {
                        (Ok(read), Ok(known)) => {
                            let read = plain(read, profile.pulled_type_offset);
                            let id = match &read {
                                // Where the id is the asker's, the wire says nothing of it.
                                Value::Structure(fields) => {
                                    fields.iter().find(|(name, _)| name == "client_id")
                                }
                                _ => None,
                            };
                            let id = id.and_then(|(_, id)| match id {
                                Value::Bytes(id) => Some(ClientId(id.as_slice().try_into().unwrap())),
                                _ => None,
                            });
                            assert_eq!(read, response_value(&known, id), "{name}");
                            accepted += 1;
                        }
                        (Err(_), Err(_)) => refused += 1,
                        (read, known) => panic!("{name}: {operation}: {read:?}, {known:?} of {payload:02x?}"),
                    }
                }
            }
        }
    }
    assert!(accepted > 500 && refused > 100, "{accepted} {refused}");
}
