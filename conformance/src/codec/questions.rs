//! What a codec is asked: values that are made up, their bytes, bytes that are none, and recorded conversations.

use messageu_wire::dialect::Dialect;
use messageu_wire::fields::{ClientId, MessageId, Name, NameField, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::operation::fetch_key::KeyLayout;
use messageu_wire::operation::pull_messages::EntryLayout;
use messageu_wire::operation::send_message::ReceiptLayout;
use messageu_wire::operation::{
    delete_client, fetch_key, list_clients, pull_messages, register, send_message,
};
use messageu_wire::operations::{Operation, Request, Response};
use rand::{Rng, RngExt as _};
use serde_json::{Value, json};

use super::fields::{hex, of_request, of_response};

/// What a driver can be asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Fields to the bytes of a request.
    EncodeRequest,
    /// The bytes of a request to its fields.
    DecodeRequest,
    /// Fields to the bytes of a response.
    EncodeResponse,
    /// The bytes of a response to its fields.
    DecodeResponse,
}

impl Verb {
    /// The verb as it stands in a question.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EncodeRequest => "encode_request",
            Self::DecodeRequest => "decode_request",
            Self::EncodeResponse => "encode_response",
            Self::DecodeResponse => "decode_response",
        }
    }
}

/// What has to be answered.
#[derive(Clone, PartialEq, Debug)]
pub enum Expected {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These fields.
    Fields(Value),
    /// That the bytes are not the one frame that they should be.
    Rejected,
    /// That the bytes are a refusal.
    Refused,
}

impl Expected {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Self::Fields(_) => "fields".to_owned(),
            Self::Rejected => "rejected".to_owned(),
            Self::Refused => "refused".to_owned(),
        }
    }
}

/// A question, and its only right answer.
#[derive(Clone, Debug)]
pub struct Question {
    /// What it is about, for people.
    pub what: String,
    /// What is to be done.
    pub verb: Verb,
    /// The question's line, but for its number.
    pub asked: Value,
    /// The answer.
    pub expected: Expected,
}

/// All questions in these dialects, with so many made-up values of each operation.
///
/// # Errors
/// In words, when the recordings in the program cannot be read.
pub fn questions(dialects: &[Dialect], rounds: u16) -> Result<Vec<Question>, String> {
    let mut random = rand::rng();
    let mut all = Vec::new();
    for dialect in dialects.iter().copied() {
        for operation in
            Operation::ALL.iter().copied().filter(|operation| operation.codes(dialect.family).is_some())
        {
            let ask = Ask { dialect, operation, asker: an_id(&mut random, dialect) };
            for _ in 0..rounds {
                ask.about_request(&mut random, &mut all);
                ask.about_response(&mut random, &mut all);
            }
            ask.about_refusal(&mut all);
        }
    }
    recorded(dialects, &mut all)?;
    Ok(all)
}

/// What the questions of one kind have in common.
#[derive(Clone, Copy)]
struct Ask {
    dialect: Dialect,
    operation: Operation,
    asker: ClientId,
}

impl Ask {
    fn question(self, verb: Verb, of: &str, mut asked: Value, expected: Expected) -> Question {
        let Self { dialect, operation, asker } = self;
        if let Some(object) = asked.as_object_mut() {
            object.insert("verb".to_owned(), json!(verb.name()));
            object.insert("dialect".to_owned(), json!(dialect.to_string()));
            object.insert("operation".to_owned(), json!(operation.name()));
            if matches!(verb, Verb::EncodeResponse | Verb::DecodeResponse) {
                object.insert("asker".to_owned(), json!(hex(&asker.0)));
            }
        }
        Question { what: format!("{} of {operation} in {dialect}, {of}", verb.name()), verb, asked, expected }
    }

    fn decode(self, verb: Verb, of: &str, bytes: &[u8], expected: Expected) -> Question {
        self.question(verb, of, json!({"bytes": hex(bytes)}), expected)
    }

    fn about_request(self, random: &mut impl Rng, all: &mut Vec<Question>) {
        let Self { dialect, operation, asker } = self;
        let (request, content) = a_request(random, dialect, operation);
        let version = if ["ascii", "classic"].contains(&dialect.profile.name) { 1 } else { 2 };
        let Some(mut bytes) = dialect.encode_request(version, asker, &request) else { return };
        bytes.extend_from_slice(&content);
        let frame = bytes.len();
        let tail = dialect.request_tail(operation, u64::try_from(frame).unwrap_or(u64::MAX));
        bytes.resize(frame + tail, 0);
        let fields = json!({
            "client_id": hex(&asker.0),
            "version": dialect.request_version(version),
            "payload": of_request(&request, &content),
        });
        let encode = json!({"fields": fields});
        all.push(self.question(Verb::EncodeRequest, "made up", encode, Expected::Bytes(bytes.clone())));
        let decode = |of: &str, bytes: &[u8], expected| self.decode(Verb::DecodeRequest, of, bytes, expected);
        all.push(decode("made up", &bytes, Expected::Fields(fields)));
        let cut = bytes.get(..frame - 1).unwrap_or_default();
        all.push(decode("cut by its last byte", cut, Expected::Rejected));
        all.push(decode("with a byte behind it", &[&bytes[..], &[0xff]].concat(), Expected::Rejected));
        let mut unknown = bytes;
        unknown.iter_mut().skip(17).take(2).for_each(|code| *code = 0xff);
        all.push(decode("with an unknown code", &unknown, Expected::Rejected));
    }

    fn about_response(self, random: &mut impl Rng, all: &mut Vec<Question>) {
        let Self { dialect, operation, asker } = self;
        let response = a_response(random, dialect, operation);
        let Some(bytes) = dialect.encode_response(&response, asker) else { return };
        let fields = json!({"payload": of_response(&response, dialect.profile, asker)});
        let encode = json!({"fields": fields});
        all.push(self.question(Verb::EncodeResponse, "made up", encode, Expected::Bytes(bytes.clone())));
        let decode =
            |of: &str, bytes: &[u8], expected| self.decode(Verb::DecodeResponse, of, bytes, expected);
        all.push(decode("made up", &bytes, Expected::Fields(fields)));
        all.push(decode("with a byte behind it", &[&bytes[..], &[0xff]].concat(), Expected::Rejected));
        let cut = bytes.get(..bytes.len() - 1).unwrap_or_default();
        all.push(decode("cut by its last byte", cut, Expected::Rejected));
    }

    fn about_refusal(self, all: &mut Vec<Question>) {
        let refusal = self.dialect.encode_refusal(self.asker);
        all.push(self.decode(Verb::DecodeResponse, "a refusal", &refusal, Expected::Refused));
    }
}

fn bytes(random: &mut impl Rng, size: usize) -> Vec<u8> {
    (0..size).map(|_| random.random()).collect()
}

/// An id that begins with no zero, as clients of the dialect see it.
fn an_id(random: &mut impl Rng, dialect: Dialect) -> ClientId {
    let id = bytes(random, 16).into_iter().map(|byte| byte | 1).collect::<Vec<u8>>();
    dialect.profile.show_id(ClientId(id.try_into().unwrap_or([1; 16])))
}

fn a_name(random: &mut impl Rng) -> NameField {
    let size = *[1, 5, 20, 254].get(random.random_range(0..4_usize)).unwrap_or(&1);
    let letters = (0..size).map(|_| char::from(random.random_range(0x20..0x7f_u8)));
    // Letters of this range always make a name.
    Name::new(&letters.collect::<String>()).map_or(NameField([0; 255]), |name| NameField::from(&name))
}

fn a_key(random: &mut impl Rng) -> PublicKey {
    PublicKey(bytes(random, 160).try_into().unwrap_or([7; 160]))
}

fn a_content(random: &mut impl Rng) -> Vec<u8> {
    // An empty one cannot be seen in pulls that count contents alone.
    let size = *[1, 16, 128, 977, 3_000].get(random.random_range(0..5_usize)).unwrap_or(&1);
    bytes(random, size)
}

fn a_request(random: &mut impl Rng, dialect: Dialect, operation: Operation) -> (Request, Vec<u8>) {
    let request = match operation {
        Operation::Register => register::Request { name: a_name(random), public_key: a_key(random) }.into(),
        Operation::ListClients => list_clients::Request.into(),
        Operation::FetchKey => fetch_key::Request { client_id: an_id(random, dialect) }.into(),
        Operation::SendMessage => {
            let content = a_content(random);
            let (to, kind) = (an_id(random, dialect), MessageType(random.random_range(1..=4)));
            let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
            return (send_message::Request { to, kind, size }.into(), content);
        }
        Operation::PullMessages => pull_messages::Request.into(),
        Operation::DeleteClient => delete_client::Request.into(),
    };
    (request, Vec::new())
}

fn a_response(random: &mut impl Rng, dialect: Dialect, operation: Operation) -> Response {
    let profile = dialect.profile;
    match operation {
        Operation::Register => register::Response { client_id: an_id(random, dialect) }.into(),
        Operation::ListClients => {
            let count = random.random_range(0..4);
            let entry = |_| list_clients::Entry { client_id: an_id(random, dialect), name: a_name(random) };
            list_clients::Response { clients: (0..count).map(entry).collect() }.into()
        }
        Operation::FetchKey => {
            let owner = Some(an_id(random, dialect)).filter(|_| profile.key == KeyLayout::OwnersId);
            fetch_key::Response { client_id: owner, public_key: a_key(random) }.into()
        }
        Operation::SendMessage if profile.receipt == ReceiptLayout::Empty => {
            send_message::Response { to: None, message_id: None }.into()
        }
        Operation::SendMessage => {
            let (to, message_id) = (Some(an_id(random, dialect)), Some(MessageId(random.random())));
            send_message::Response { to, message_id }.into()
        }
        Operation::PullMessages => {
            let count = random.random_range(0..4);
            let message = |_| pull_messages::Message {
                from: an_id(random, dialect),
                message_id: (profile.entry != EntryLayout::NoMessageId).then(|| MessageId(random.random())),
                kind: MessageType(random.random_range(1..=4)),
                content: a_content(random),
            };
            pull_messages::Response { messages: (0..count).map(message).collect() }.into()
        }
        Operation::DeleteClient => delete_client::Response.into(),
    }
}

/// The recorded conversations of independent programs.
const RECORDINGS: [(&str, &str); 18] = [
    ("aliceruv", include_str!("../../../vectors/recorded/aliceruv.json")),
    ("amitc146", include_str!("../../../vectors/recorded/amitc146.json")),
    ("batelbokobza", include_str!("../../../vectors/recorded/batelbokobza.json")),
    ("fady250", include_str!("../../../vectors/recorded/fady250.json")),
    ("idocalm", include_str!("../../../vectors/recorded/idocalm.json")),
    ("jb22h", include_str!("../../../vectors/recorded/jb22h.json")),
    ("michael6991", include_str!("../../../vectors/recorded/michael6991.json")),
    ("nadav", include_str!("../../../vectors/recorded/nadav.json")),
    ("noa207207", include_str!("../../../vectors/recorded/noa207207.json")),
    ("raphick99", include_str!("../../../vectors/recorded/raphick99.json")),
    ("rdar", include_str!("../../../vectors/recorded/rdar.json")),
    ("romansko", include_str!("../../../vectors/recorded/romansko.json")),
    ("rongit", include_str!("../../../vectors/recorded/rongit.json")),
    ("shlomirex", include_str!("../../../vectors/recorded/shlomirex.json")),
    ("shmuel", include_str!("../../../vectors/recorded/shmuel.json")),
    ("slash827", include_str!("../../../vectors/recorded/slash827.json")),
    ("stasel", include_str!("../../../vectors/recorded/stasel.json")),
    ("yehonatan", include_str!("../../../vectors/recorded/yehonatan.json")),
];

/// The requests of the recordings in these dialects. What their servers answered is partly what a server must not, so
/// that it is no measure.
fn recorded(dialects: &[Dialect], all: &mut Vec<Question>) -> Result<(), String> {
    for (program, text) in RECORDINGS {
        let cannot = || format!("the recording of {program} in this program cannot be read");
        let recording: Value = serde_json::from_str(text).map_err(|_| cannot())?;
        let dialect: Dialect = recording
            .get("dialect")
            .and_then(Value::as_str)
            .and_then(|name| name.parse().ok())
            .ok_or_else(cannot)?;
        if !dialects.contains(&dialect) {
            continue;
        }
        for exchange in recording.get("exchanges").and_then(Value::as_array).ok_or_else(cannot)? {
            let fields = &exchange["request_fields"];
            let operation = Operation::ALL.iter().find(|operation| exchange["operation"] == operation.name());
            let operation = *operation.ok_or_else(cannot)?;
            let ask = Ask { dialect, operation, asker: ClientId::NOBODY };
            let expected = json!({
                "client_id": fields["client_id"],
                "version": fields["version"],
                "payload": fields["payload"],
            });
            let of = format!("recorded of {program}, {}", exchange["step"].as_str().unwrap_or_default());
            let asked = json!({"bytes": exchange["request"]});
            all.push(ask.question(Verb::DecodeRequest, &of, asked, Expected::Fields(expected)));
        }
    }
    Ok(())
}
