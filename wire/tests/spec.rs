//! spec.md against the declarations: its tables are compared with the wire's data, and its examples are read and
//! written again byte for byte. What needs cryptography is in the envelope's test of the same name.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use messageu_wire::dialect::{
    ALIGNED_SEND_SIZE, ByteOrder, Deviation, Dialect, Family, HeaderLayout, PADDING_BLOCK, Pin, Profile,
    RecognisedBy, TypeCoding, VersionCoding,
};
use messageu_wire::fields::{
    CLIENT_ID_SIZE, ClientId, MessageId, NAME_FIELD_SIZE, NAME_MAX, Name, NameField, PUBLIC_KEY_SIZE,
    PublicKey,
};
use messageu_wire::frame::{self, Received, RequestReader, TAIL_WINDOW};
use messageu_wire::message::{CONTENT_MAX, MessageType};
use messageu_wire::operation::fetch_key::KeyLayout;
use messageu_wire::operation::pull_messages::{EntryLayout, Message};
use messageu_wire::operation::send_message::{ReceiptLayout, SendLayout};
use messageu_wire::operation::{
    delete_client, fetch_key, list_clients, pull_messages, register, send_message,
};
use messageu_wire::operations::{Operation, REFUSAL_CODE, Request, Response};
use messageu_wire::response::{self, PAYLOAD_LIMIT, REFUSAL_TEXT_LIMIT, ResponseReader};

const SPEC: &str = include_str!("../../spec.md");

// Reading the specification

/// The rows of the table behind a marker, without the head; each a list of cells.
fn table(kind: &str, name: &str) -> Vec<Vec<&'static str>> {
    let marker = format!("<!-- {kind}: {name} -->");
    let mut found = SPEC.split(&marker);
    let behind = found.nth(1).unwrap_or_else(|| panic!("spec.md has no {marker}"));
    assert!(found.next().is_none(), "spec.md has {marker} twice");
    let lines = behind.lines().skip(1).take_while(|line| line.starts_with('|'));
    lines.skip(2).map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// Fails with the row that should be there.
fn assert_table(name: &str, expected: &[Vec<String>]) {
    let rows = table("table", name);
    for (at, wanted) in expected.iter().enumerate() {
        let found = rows.get(at).map(|row| row.join(" | ")).unwrap_or_default();
        assert_eq!(found, wanted.join(" | "), "row {} of table {name} in spec.md", at + 1);
    }
    assert_eq!(rows.len(), expected.len(), "rows of table {name} in spec.md");
}

/// Fails if the columns of a table are others.
fn assert_head(name: &str, columns: &str) {
    let behind = SPEC.split(&format!("<!-- table: {name} -->\n")).nth(1).unwrap();
    assert_eq!(
        behind.lines().next().unwrap(),
        format!("| {columns} |"),
        "columns of table {name} in spec.md"
    );
}

/// The fenced blocks whose first word is `kind`: the other words, and the lines.
fn blocks(kind: &str) -> Vec<(Vec<&'static str>, Vec<&'static str>)> {
    let mut found = Vec::new();
    let mut lines = SPEC.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let words: Vec<&str> = info.split_whitespace().collect();
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if words.first() == Some(&kind) {
            found.push((words[1..].to_vec(), body));
        }
    }
    found
}

fn unhex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "{digits:?}");
    (0..digits.len())
        .step_by(2)
        .map(|at| {
            u8::from_str_radix(&digits[at..at + 2], 16)
                .unwrap_or_else(|_| panic!("{digits:?} is not hexadecimal"))
        })
        .collect()
}

/// What section 3.1 gives, by name, as far as it is in hexadecimal.
struct Given(HashMap<&'static str, Vec<u8>>);

impl Given {
    fn read() -> Self {
        let blocks = blocks("given");
        assert_eq!(blocks.len(), 1);
        let mut values: HashMap<&str, String> = HashMap::new();
        let mut name = "";
        for line in &blocks[0].1 {
            let text = match line.split_once(" =") {
                Some((before, text)) if !line.starts_with(' ') => {
                    name = before;
                    text
                }
                _ => line,
            };
            *values.entry(name).or_default() += text.trim();
        }
        let hexadecimal =
            values.into_iter().filter(|(_, text)| !text.starts_with(['"']) && !text.starts_with("base64"));
        Self(hexadecimal.map(|(name, text)| (name, unhex(&text))).collect())
    }

    fn bytes(&self, name: &str) -> &[u8] {
        self.0.get(name).unwrap_or_else(|| panic!("section 3.1 gives no {name}"))
    }

    /// A name of section 3.1, nobody, or 32 digits.
    fn id(&self, name: &str) -> ClientId {
        match name {
            "nobody" => ClientId::NOBODY,
            _ => name
                .parse()
                .unwrap_or_else(|_| ClientId(self.bytes(&format!("{name}.id")).try_into().unwrap())),
        }
    }

    /// The client id in the header of a request: its own as the profile showed it to the client, or none of anybody's.
    fn asker(&self, request: &Frame, profile: &Profile) -> ClientId {
        let name = request.field("from");
        let is_client = self.0.contains_key(format!("{name}.id").as_str());
        if is_client { profile.show_id(self.id(name)) } else { self.id(name) }
    }

    fn key(&self, name: &str) -> PublicKey {
        PublicKey(self.bytes(&format!("{name}.public")).try_into().unwrap())
    }

    fn content(&self, name: &str) -> Vec<u8> {
        if name == "none" { Vec::new() } else { self.bytes(name).to_vec() }
    }

    /// The bytes of a line: digits, `00*250`, `[name]`; a comment may follow.
    fn line(&self, line: &str) -> Vec<u8> {
        let words = line.split(';').next().unwrap_or_default().split_whitespace();
        words
            .flat_map(|word| match (word.strip_prefix('['), word.split_once('*')) {
                (Some(name), _) => self.bytes(name.strip_suffix(']').unwrap()).to_vec(),
                (None, Some((byte, count))) => unhex(byte).repeat(count.parse().unwrap()),
                (None, None) => unhex(word),
            })
            .collect()
    }
}

/// A request or response of an example, with its annotations.
struct Frame {
    title: &'static str,
    bytes: Vec<u8>,
    /// What the comment behind the header says.
    comment: &'static str,
}

impl Frame {
    fn is_request(&self) -> bool {
        self.title.starts_with('>')
    }

    fn operation(&self) -> &'static str {
        self.title[1..].split_whitespace().next().unwrap()
    }

    /// All values of a field.
    fn all(&self, field: &str) -> Vec<&'static str> {
        let fields = self.title.split_whitespace().filter_map(|word| word.split_once('='));
        fields.filter(|(name, _)| *name == field).map(|(_, value)| value).collect()
    }

    fn get(&self, field: &str) -> Option<&'static str> {
        self.all(field).first().copied()
    }

    fn field(&self, field: &str) -> &'static str {
        self.get(field).unwrap_or_else(|| panic!("no {field} in {:?}", self.title))
    }

    /// Whether the comment behind the header names its code and the size it declares.
    fn says(&self, code: u16, size: &[u8], order: ByteOrder) -> bool {
        let size = size.try_into().unwrap();
        let size = if order == ByteOrder::Big { u32::from_be_bytes(size) } else { u32::from_le_bytes(size) };
        (self.comment.to_owned() + ",").contains(&format!(" code {code}, size {size},"))
    }

    fn number<T: std::str::FromStr>(&self, field: &str) -> T {
        let text = self.field(field);
        text.parse().unwrap_or_else(|_| panic!("{text:?} in {:?} is no number", self.title))
    }
}

/// An example: exchanges in one dialect.
struct Session {
    dialect: Dialect,
    exchanges: Vec<(Frame, Frame)>,
}

fn sessions(given: &Given) -> Vec<Session> {
    let mut sessions = Vec::new();
    for (words, lines) in blocks("session") {
        let dialect = words[0].parse().unwrap();
        let mut frames: Vec<Frame> = Vec::new();
        for line in lines {
            if line.starts_with(['>', '<']) {
                frames.push(Frame { title: line, bytes: Vec::new(), comment: "" });
            } else if !line.starts_with(';') {
                let frame = frames.last_mut().unwrap();
                if frame.bytes.is_empty() {
                    frame.comment = line.split_once(';').unwrap().1;
                }
                frame.bytes.extend(given.line(line));
            }
        }
        let mut exchanges = Vec::new();
        let mut frames = frames.into_iter();
        while let (Some(request), Some(response)) = (frames.next(), frames.next()) {
            assert!(request.is_request() && !response.is_request(), "{}", request.title);
            exchanges.push((request, response));
        }
        sessions.push(Session { dialect, exchanges });
    }
    sessions
}

/// The request that the annotations describe, and its content.
fn annotated_request(frame: &Frame, given: &Given) -> (Request, Vec<u8>) {
    let name = || Name::new(frame.field("name")).unwrap();
    let mut content = Vec::new();
    let request = match frame.operation() {
        "register" => {
            let public_key = given.key(frame.field("key"));
            register::Request { name: NameField::from(&name()), public_key }.into()
        }
        "list_clients" => list_clients::Request.into(),
        "fetch_key" => fetch_key::Request { client_id: given.id(frame.field("of")) }.into(),
        "send_message" => {
            content = given.content(frame.field("content"));
            let (to, kind) = (given.id(frame.field("to")), MessageType(frame.number("type")));
            send_message::Request { to, kind, size: content.len() as u32 }.into()
        }
        "pull_messages" => pull_messages::Request.into(),
        "delete_client" => delete_client::Request.into(),
        other => panic!("no operation {other}"),
    };
    (request, content)
}

/// The response that the annotations describe; `None` for a refusal.
fn annotated_response(frame: &Frame, given: &Given) -> Option<Response> {
    Some(match frame.operation() {
        "register" => register::Response { client_id: given.id(frame.field("id")) }.into(),
        "list_clients" => {
            let entry = |name: &str| list_clients::Entry {
                client_id: given.id(name),
                name: NameField::from(&Name::new(name).unwrap()),
            };
            list_clients::Response { clients: frame.all("client").into_iter().map(entry).collect() }.into()
        }
        "fetch_key" => {
            let client_id = Some(given.id(frame.field("of")));
            fetch_key::Response { client_id, public_key: given.key(frame.field("key")) }.into()
        }
        "send_message" => {
            let message_id = frame.get("message").map(|id| MessageId(id.parse().unwrap()));
            send_message::Response { to: frame.get("to").map(|to| given.id(to)), message_id }.into()
        }
        "pull_messages" => {
            let entry = |text: &str| {
                let [from, id, kind, content] = text.split('/').collect::<Vec<_>>().try_into().unwrap();
                Message {
                    from: given.id(from),
                    message_id: Some(MessageId(id.parse().unwrap())),
                    kind: MessageType(kind.parse().unwrap()),
                    content: given.content(content),
                }
            };
            pull_messages::Response { messages: frame.all("entry").into_iter().map(entry).collect() }.into()
        }
        "delete_client" => delete_client::Response.into(),
        "refusal" => return None,
        other => panic!("no operation {other}"),
    })
}

/// A request as its receiver sees it: ids as the profile shows them.
fn as_seen(request: Request, profile: &Profile) -> Request {
    match request {
        Request::FetchKey(fetch_key::Request { client_id }) => {
            fetch_key::Request { client_id: profile.show_id(client_id) }.into()
        }
        Request::SendMessage(send) => send_message::Request { to: profile.show_id(send.to), ..send }.into(),
        other => other,
    }
}

/// A response as its receiver sees it: ids as the profile shows them, and without what the profile leaves out.
fn as_received(response: Response, profile: &Profile) -> Response {
    match response {
        Response::Register(answer) => {
            register::Response { client_id: profile.show_id(answer.client_id) }.into()
        }
        Response::ListClients(mut list) => {
            list.clients.iter_mut().for_each(|entry| entry.client_id = profile.show_id(entry.client_id));
            list.into()
        }
        Response::FetchKey(answer) => {
            let id = answer.client_id.filter(|_| profile.key == KeyLayout::OwnersId);
            fetch_key::Response { client_id: id.map(|id| profile.show_id(id)), ..answer }.into()
        }
        Response::SendMessage(receipt) => {
            let kept = profile.receipt != ReceiptLayout::Empty;
            let to = receipt.to.filter(|_| kept).map(|id| profile.show_id(id));
            send_message::Response { to, message_id: receipt.message_id.filter(|_| kept) }.into()
        }
        Response::PullMessages(mut pull) => {
            for message in &mut pull.messages {
                message.from = profile.show_id(message.from);
                message.message_id = message.message_id.filter(|_| profile.entry != EntryLayout::NoMessageId);
            }
            pull.into()
        }
        other => other,
    }
}

/// Reads one request in pieces of `step` bytes, and asserts that nothing is left over.
fn read_request(
    bytes: &[u8],
    step: usize,
    pin: Pin,
    remembered: &HashMap<ClientId, &'static Profile>,
) -> (Received, Vec<u8>) {
    let mut reader = RequestReader::new(pin, CONTENT_MAX);
    let (mut received, mut content) = (None, Vec::new());
    let mut pieces = bytes.chunks(step);
    let mut quiet = false;
    loop {
        let hint = reader.next_client_id().and_then(|id| remembered.get(&id).copied());
        match reader.poll(hint, quiet).unwrap_or_else(|rejection| panic!("{rejection}")) {
            frame::Event::More | frame::Event::Undecided => match pieces.next() {
                Some(piece) => reader.push(piece),
                None if quiet => break,
                None => quiet = true,
            },
            frame::Event::Request(request) => assert!(received.replace(*request).is_none(), "two requests"),
            frame::Event::Content(piece) => content.extend_from_slice(&piece),
            frame::Event::EndOfContent => {}
        }
    }
    assert!(!reader.is_inside_request(), "bytes are left over");
    (received.unwrap_or_else(|| panic!("no request")), content)
}

/// Reads one response byte by byte; `None` for a refusal.
fn read_response(bytes: &[u8], dialect: Dialect, operation: Operation) -> Option<Response> {
    let mut reader = ResponseReader::new(dialect, operation);
    let mut messages: Vec<Message> = Vec::new();
    let mut whole = None;
    for (at, byte) in bytes.iter().enumerate() {
        reader.push(&[*byte]);
        loop {
            match reader.poll().unwrap() {
                response::Event::More => break,
                response::Event::Refused(text) => {
                    assert_eq!(text, "");
                    whole = Some((at, None));
                }
                response::Event::Response(response) => whole = Some((at, Some(response))),
                response::Event::Entry(head) => messages.push(Message {
                    from: head.from,
                    message_id: head.message_id,
                    kind: head.kind,
                    content: Vec::new(),
                }),
                response::Event::Content(piece) => {
                    messages.last_mut().unwrap().content.extend_from_slice(&piece);
                }
                response::Event::EndOfContent => {}
                response::Event::End => {
                    let messages = std::mem::take(&mut messages);
                    whole = Some((at, Some(pull_messages::Response { messages }.into())));
                }
            }
        }
    }
    let (last, response) = whole.unwrap_or_else(|| panic!("the response is not over"));
    let tail = &bytes[last + 1..];
    assert!(dialect.profile.padded || tail.is_empty(), "bytes behind the response");
    assert!(tail.iter().all(|byte| *byte == 0), "padding is zeros");
    response
}

// The examples

#[test]
fn every_request_of_the_examples_is_what_it_says_and_is_written_again_byte_for_byte() {
    let given = Given::read();
    for Session { dialect, exchanges } in sessions(&given) {
        let profile = dialect.profile;
        let pinned = Some(profile).filter(|profile| profile.recognised_by == RecognisedBy::Pin);
        let pin = Pin { family: None, profile: pinned };
        for step in [usize::MAX, 1, 7] {
            let mut remembered: HashMap<ClientId, &'static Profile> = HashMap::new();
            for (request, response) in &exchanges {
                let what = format!("{dialect} {}", request.title);
                let (received, content) = read_request(&request.bytes, step, pin, &remembered);
                assert_eq!(received.dialect, dialect, "{what}, in pieces of {step}");
                let (annotated, sealed) = annotated_request(request, &given);
                assert_eq!(received.request, as_seen(annotated.clone(), profile), "{what}");
                assert_eq!(content, sealed, "{what}");
                let from = given.asker(request, profile);
                assert_eq!(received.client_id, from, "{what}");
                let version: u8 = request.number("version");
                assert_eq!(received.version, dialect.request_version(version), "{what}");
                assert_eq!(received.deviation.map(Deviation::name), request.get("wrong"), "{what}");
                if let Some(Response::Register(answer)) = annotated_response(response, &given) {
                    remembered.insert(profile.show_id(answer.client_id), received.dialect.profile);
                }
                let mut bytes = dialect.encode_request(version, from, &received.request).unwrap();
                bytes.extend_from_slice(&content);
                let operation = annotated.operation();
                let tail = dialect.request_tail(operation, bytes.len() as u64);
                bytes.resize(bytes.len() + tail, 0);
                if received.deviation.is_some() {
                    let size = dialect.request_header_size() - 4;
                    assert_ne!(bytes[size..size + 4], request.bytes[size..size + 4], "{what}");
                    bytes[size..size + 4].copy_from_slice(&request.bytes[size..size + 4]);
                }
                assert!(bytes == request.bytes, "{what}: written as {bytes:02x?}");
                let code = operation.codes(dialect.family).unwrap().request;
                let size = &bytes[dialect.request_header_size() - 4..dialect.request_header_size()];
                assert!(request.says(code, size, profile.byte_order), "{what}: {}", request.comment);
            }
        }
    }
}

#[test]
fn every_response_of_the_examples_is_what_it_says_and_is_written_again_byte_for_byte() {
    let given = Given::read();
    for Session { dialect, exchanges } in sessions(&given) {
        for (request, response) in &exchanges {
            let what = format!("{dialect} {} {}", request.title, response.title);
            let (asked, _) = annotated_request(request, &given);
            let annotated = annotated_response(response, &given);
            let asker = given.asker(request, dialect.profile);
            let bytes = match &annotated {
                Some(answer) => dialect.encode_response(answer, asker).unwrap(),
                None => dialect.encode_refusal(asker),
            };
            assert!(bytes == response.bytes, "{what}: written as {bytes:02x?}");
            let header = dialect.profile.header.response_size();
            let code = annotated
                .as_ref()
                .map_or(REFUSAL_CODE, |answer| answer.operation().codes(dialect.family).unwrap().response);
            let size = &bytes[header - 4..header];
            assert!(response.says(code, size, dialect.profile.byte_order), "{what}: {}", response.comment);
            let received = read_response(&response.bytes, dialect, asked.operation());
            assert_eq!(received, annotated.map(|answer| as_received(answer, dialect.profile)), "{what}");
        }
    }
}

#[test]
fn the_tour_shows_every_operation_of_its_family_and_a_refusal() {
    let given = Given::read();
    let sessions = sessions(&given);
    let tour = &sessions[0];
    assert_eq!(tour.dialect.to_string(), "e");
    let asked: BTreeSet<&str> = tour.exchanges.iter().map(|(request, _)| request.operation()).collect();
    let has = |operation: &&Operation| operation.codes(Family::E).is_some();
    let all: BTreeSet<&str> = Operation::ALL.iter().filter(has).map(|operation| operation.name()).collect();
    assert_eq!(asked, all);
    assert!(tour.exchanges.iter().any(|(_, response)| response.operation() == "refusal"));
    for name in ["alice", "bob"] {
        let ClientId(id) = given.id(name);
        assert!(!id.iter().any(|byte| matches!(byte, 0 | b'\n')) && !id.starts_with(&[0x16, 0x03]), "{name}");
        assert_eq!((id[6] >> 4, id[8] >> 6), (4, 0b10), "{name}");
    }
}

#[test]
fn every_family_profile_and_deviation_has_an_example() {
    let sessions = sessions(&Given::read());
    let shown = |wanted: &dyn Fn(Dialect) -> bool| sessions.iter().any(|session| wanted(session.dialect));
    for family in Family::ALL {
        assert!(shown(&|dialect| dialect == Dialect::classic(family)), "family {family}");
    }
    for profile in Profile::ALL {
        assert!(shown(&|dialect| dialect.profile == profile), "profile {profile}");
    }
    let requests = sessions.iter().flat_map(|session| &session.exchanges).map(|(request, _)| request);
    let wrong: BTreeSet<&str> = requests.filter_map(|request| request.get("wrong")).collect();
    assert_eq!(wrong, Deviation::ALL.map(Deviation::name).into());
}

// The tables

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn or_none(value: usize) -> String {
    if value == 0 { "–".to_owned() } else { value.to_string() }
}

#[test]
fn the_table_of_codes_is_the_operations_table() {
    let rows: Vec<Vec<String>> = Operation::ALL
        .iter()
        .map(|operation| {
            let cell = |family| match operation.codes(family) {
                Some(codes) => format!("{} → {}", codes.request, codes.response),
                None => "–".to_owned(),
            };
            std::iter::once(operation.name().to_owned()).chain(Family::ALL.map(cell)).collect()
        })
        .collect();
    assert_table("codes", &rows);
    assert_head(
        "codes",
        &format!("operation | {}", Family::ALL.map(|family| family.to_string()).join(" | ")),
    );
}

#[test]
fn the_lists_of_families_dialects_deviations_and_types_are_complete() {
    let families = Family::ALL.map(|family| vec![family.to_string(), family.code_width().to_string()]);
    assert_table("families", &families);
    let text = SPEC.split("<!-- list: dialects -->\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let listed: Vec<&str> = text.split(',').map(|name| name.trim().trim_matches('`')).collect();
    assert_eq!(listed, Dialect::all().map(|dialect| dialect.to_string()).collect::<Vec<_>>());
    let deviations = table("table", "deviations");
    let named: Vec<&str> = deviations.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(named, Deviation::ALL.map(Deviation::name));
    let types: Vec<Vec<String>> = (0..=u8::MAX)
        .map(MessageType)
        .filter(|kind| kind.is_known())
        .map(|kind| vec![kind.0.to_string(), kind.to_string()])
        .collect();
    assert_table("message-types", &types);
}

#[test]
fn the_matrix_of_profiles_is_the_data_of_the_profiles() {
    let coding = |coding| match coding {
        TypeCoding::Number => "number",
        TypeCoding::FromZero => "from 0",
        TypeCoding::Digit => "digit",
    };
    let requests: Vec<Vec<String>> = Profile::ALL
        .iter()
        .map(|profile| {
            row(&[
                profile.name,
                &profile.families.iter().map(Family::to_string).collect::<Vec<_>>().join(" "),
                match profile.recognised_by {
                    RecognisedBy::Default => "default",
                    RecognisedBy::Bytes => "bytes",
                    RecognisedBy::Pin => "pin",
                },
                match profile.byte_order {
                    ByteOrder::Little => "little",
                    ByteOrder::Big => "big",
                },
                match profile.header {
                    HeaderLayout::Packed => "packed",
                    HeaderLayout::Aligned => "aligned",
                },
                match profile.request_versions {
                    VersionCoding::Number => "number",
                    VersionCoding::Digit => "digit",
                },
                &or_none(if profile.padded { PADDING_BLOCK as usize } else { 0 }),
                &or_none(profile.stray),
                &or_none(profile.fixed_send.unwrap_or(0) as usize),
                coding(profile.sent_types),
                match profile.send {
                    SendLayout::Packed => "packed",
                    SendLayout::SizeBeforeType => "size first",
                    SendLayout::Aligned => "aligned",
                },
            ])
        })
        .collect();
    assert_head(
        "profiles-requests",
        "profile | families | recognised | byte order | header | version | padded to | stray zeros | \
         send always has | types sent | send layout",
    );
    assert_table("profiles-requests", &requests);
    let responses: Vec<Vec<String>> = Profile::ALL
        .iter()
        .map(|profile| {
            let echoes: Vec<String> = profile.echoes.iter().map(u16::to_string).collect();
            row(&[
                profile.name,
                &format!("`{:02x}`", profile.answer_version),
                coding(profile.pulled_types),
                match profile.receipt {
                    ReceiptLayout::Number => "number",
                    ReceiptLayout::Digits => "digits",
                    ReceiptLayout::Empty => "empty",
                },
                match profile.key {
                    KeyLayout::OwnersId => "owner's id",
                    KeyLayout::AskersId => "asker's id",
                    KeyLayout::Bare => "bare",
                },
                match profile.entry {
                    EntryLayout::Packed => "packed",
                    EntryLayout::Aligned => "aligned",
                    EntryLayout::NoMessageId => "no message id",
                },
                &profile.entry_counted.to_string(),
                if profile.printable_ids { "printable" } else { "bytes" },
                if echoes.is_empty() { "–" } else { "" },
                if profile.closes { "yes" } else { "no" },
            ])
            .into_iter()
            .map(|cell| if cell.is_empty() { echoes.join(" ") } else { cell })
            .collect()
        })
        .collect();
    assert_head(
        "profiles-responses",
        "profile | version | types pulled | receipt | key | entry | counted | ids | echo | closes",
    );
    assert_table("profiles-responses", &responses);
}

#[test]
fn the_table_of_first_bytes_follows_from_the_codes() {
    let mut expected: BTreeSet<(String, String, Family, &str)> = BTreeSet::new();
    let recognised = Dialect::all().filter(|dialect| dialect.profile.recognised_by != RecognisedBy::Pin);
    for dialect in recognised {
        let codes = Operation::ALL.iter().filter_map(|operation| operation.codes(dialect.family));
        let codes: Vec<u16> = codes.map(|codes| codes.request).collect();
        let (low, high) = (*codes.iter().min().unwrap(), *codes.iter().max().unwrap());
        assert_eq!(usize::from(high - low) + 1, codes.len(), "the codes are consecutive");
        assert_eq!(low >> 8, high >> 8, "the codes share a byte");
        let changing = format!("`{:02x}`–`{:02x}`", low & 0xff, high & 0xff);
        let same = format!("`{:02x}`", low >> 8);
        expected.insert(match (dialect.family.code_width(), dialect.profile.byte_order) {
            (1, _) => (changing, "any".to_owned(), dialect.family, "by the profile"),
            (_, ByteOrder::Little) => (changing, same, dialect.family, "little"),
            (_, ByteOrder::Big) => (same, changing, dialect.family, "big"),
        });
    }
    let found: BTreeSet<Vec<String>> = table("table", "fronts").iter().map(|cells| row(cells)).collect();
    let expected: BTreeSet<Vec<String>> = expected
        .into_iter()
        .map(|(a, b, family, order)| row(&[&a, &b, &family.to_string(), order]))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_limits_of_the_wire_are_its_constants() {
    let limits: [(&str, u64); 10] = [
        ("bytes of a client id", CLIENT_ID_SIZE as u64),
        ("characters of a name", NAME_MAX as u64),
        ("bytes of a name field", NAME_FIELD_SIZE as u64),
        ("bytes of a public key", PUBLIC_KEY_SIZE as u64),
        ("bytes of a content", CONTENT_MAX.into()),
        ("block of padding", PADDING_BLOCK.into()),
        ("bytes of a send of `aligned`", ALIGNED_SEND_SIZE.into()),
        ("bytes of a request that is held back for its tail", TAIL_WINDOW),
        ("bytes of a response other than a pull that a client takes", PAYLOAD_LIMIT.into()),
        ("bytes of a refusal's text that a client keeps", REFUSAL_TEXT_LIMIT.into()),
    ];
    assert_table("wire-limits", &limits.map(|(name, value)| row(&[name, &value.to_string()])));
}

// The structures

/// Bytes of a structure as the wire writes it, and what each of its fields is in them.
struct Structure {
    bytes: Vec<u8>,
    fields: Vec<(&'static str, Vec<u8>)>,
}

const TO: ClientId = ClientId([0x77; 16]);
const FROM: ClientId = ClientId([0x66; 16]);
const CONTENT: &[u8] = b"content";

fn dialect(name: &str) -> Dialect {
    name.parse().unwrap()
}

fn request(name: &str, request: impl Into<Request>) -> Vec<u8> {
    dialect(name).encode_request(2, FROM, &request.into()).unwrap()
}

fn response(name: &str, response: impl Into<Response>) -> Vec<u8> {
    dialect(name).encode_response(&response.into(), FROM).unwrap()
}

fn structures() -> BTreeMap<&'static str, Structure> {
    let id = |byte: u8| vec![byte; 16];
    let size = |size: u32| size.to_le_bytes().to_vec();
    let public_key = PublicKey([0x55; 160]);
    let name = NameField::from(&Name::new("somebody").unwrap());
    let fetch = fetch_key::Request { client_id: TO };
    let key = fetch_key::Response { client_id: Some(TO), public_key };
    let send = send_message::Request { to: TO, kind: MessageType::FILE, size: CONTENT.len() as u32 };
    let receipt = send_message::Response { to: Some(TO), message_id: Some(MessageId(0x0403_0201)) };
    let pull = pull_messages::Response {
        messages: vec![Message {
            from: FROM,
            message_id: Some(MessageId(0x0403_0201)),
            kind: MessageType::FILE,
            content: CONTENT.to_vec(),
        }],
    };
    let request_header = |dialect: &str, size_of: usize, code: Vec<u8>| Structure {
        bytes: request(dialect, fetch.clone())[..size_of].to_vec(),
        fields: vec![
            ("client id", id(0x66)),
            ("version", vec![2]),
            ("code", code),
            ("gap", vec![0, 0]),
            ("size", size(16)),
        ],
    };
    let response_header = |dialect: &str, size_of: usize, code: u16| Structure {
        bytes: response(dialect, key.clone())[..size_of].to_vec(),
        fields: vec![
            ("version", vec![2]),
            ("gap", vec![0]),
            ("code", code.to_le_bytes().to_vec()),
            ("size", size(176)),
        ],
    };
    let send_fields = || {
        let size = size(CONTENT.len() as u32);
        vec![
            ("to", id(0x77)),
            ("type", vec![4]),
            ("gap", vec![0; 3]),
            ("content size", size),
            ("content", CONTENT.to_vec()),
        ]
    };
    let send_in = |dialect: &str, header: usize| Structure {
        bytes: [&request(dialect, send.clone())[header..], CONTENT].concat(),
        fields: send_fields(),
    };
    let entry_in = |dialect: &str, header: usize| {
        let mut fields = send_fields();
        fields[0] = ("from", id(0x66));
        fields.push(("message id", vec![1, 2, 3, 4]));
        Structure { bytes: response(dialect, pull.clone())[header..].to_vec(), fields }
    };
    let given = Given::read();
    let alice = given.key("alice").0;
    BTreeMap::from([
        ("request-header-narrow", request_header("a", 22, vec![102])),
        ("request-header-wide", request_header("e", 23, 702_u16.to_le_bytes().to_vec())),
        ("request-header-aligned", request_header("a/aligned", 24, vec![102])),
        ("response-header-packed", response_header("e", 7, 2102)),
        ("response-header-aligned", response_header("a/aligned", 8, 1002)),
        (
            "register-request",
            Structure {
                bytes: request("e", register::Request { name, public_key })[23..].to_vec(),
                fields: vec![("name", name.0.to_vec()), ("public key", public_key.0.to_vec())],
            },
        ),
        (
            "register-response",
            Structure {
                bytes: response("e", register::Response { client_id: TO })[7..].to_vec(),
                fields: vec![("client id", id(0x77))],
            },
        ),
        (
            "list-entry",
            Structure {
                bytes: response(
                    "e",
                    list_clients::Response { clients: vec![list_clients::Entry { client_id: TO, name }] },
                )[7..]
                    .to_vec(),
                fields: vec![("client id", id(0x77)), ("name", name.0.to_vec())],
            },
        ),
        (
            "fetch-key-request",
            Structure {
                bytes: request("e", fetch.clone())[23..].to_vec(),
                fields: vec![("client id", id(0x77))],
            },
        ),
        (
            "fetch-key-response",
            Structure {
                bytes: response("e", key.clone())[7..].to_vec(),
                fields: vec![("client id", id(0x77)), ("public key", public_key.0.to_vec())],
            },
        ),
        (
            "fetch-key-response-bare",
            Structure {
                bytes: response("d/no-key-id", key.clone())[7..].to_vec(),
                fields: vec![("public key", public_key.0.to_vec())],
            },
        ),
        ("send-packed", send_in("e", 23)),
        ("send-size-first", send_in("a/size-before-type", 22)),
        ("send-aligned", send_in("a/aligned", 24)),
        (
            "receipt",
            Structure {
                bytes: response("e", receipt.clone())[7..].to_vec(),
                fields: vec![("to", id(0x77)), ("message id", vec![1, 2, 3, 4])],
            },
        ),
        (
            "receipt-digits",
            Structure {
                bytes: response("c/ascii", receipt)[7..].to_vec(),
                fields: vec![("to", id(0x77)), ("message id", b"67305985".to_vec())],
            },
        ),
        ("entry-packed", entry_in("e", 7)),
        ("entry-aligned", entry_in("a/aligned", 8)),
        ("entry-no-message-id", entry_in("d/no-message-id", 7)),
        (
            "public-key",
            Structure {
                bytes: alice.to_vec(),
                fields: vec![
                    ("prefix", unhex("30819d300d06092a864886f70d010101050003818b0030818702818100")),
                    ("modulus", alice[29..157].to_vec()),
                    ("exponent header", vec![2, 1]),
                    ("exponent", vec![17]),
                ],
            },
        ),
    ])
}

#[test]
fn every_field_of_every_structure_stands_where_its_table_says() {
    let structures = structures();
    let tables: Vec<&str> =
        SPEC.split("<!-- structure: ").skip(1).map(|behind| behind.split(" -->").next().unwrap()).collect();
    assert_eq!(BTreeSet::from_iter(tables.iter().copied()), structures.keys().copied().collect());
    for (name, Structure { bytes, fields }) in structures {
        let mut end = 0;
        for cells in table("structure", name) {
            let [offset, size, kind, field, _] = cells[..] else { panic!("{name}: {cells:?}") };
            let what = format!("{name}, {field}");
            let expected = fields.iter().find(|(known, _)| *known == field);
            let expected = &expected.unwrap_or_else(|| panic!("{what}: there is no such field")).1;
            assert_eq!(offset.parse::<usize>().unwrap(), end, "{what}: offset");
            let size = size.parse().unwrap_or(expected.len());
            assert_eq!(size, expected.len(), "{what}: size");
            let width = match kind {
                "u8" => 1,
                "u16" => 2,
                "u32" => 4,
                "bytes" | "text" => size,
                other => panic!("{what}: no type {other}"),
            };
            assert_eq!(size, width, "{what}: type");
            assert_eq!(bytes.get(end..end + size), Some(expected.as_slice()), "{what}: bytes");
            end += size;
        }
        assert_eq!(end, bytes.len(), "{name}: the table ends before the structure");
    }
}

// Recognition

/// What is made of the first request that these bytes begin with, once nothing more comes.
fn recognise(bytes: &[u8], hint: Option<&'static Profile>, pin: Pin) -> Result<Dialect, frame::Rejection> {
    let mut reader = RequestReader::new(pin, 1 << 20);
    reader.push(bytes);
    loop {
        match reader.poll(hint, true)? {
            frame::Event::Request(request) => return Ok(request.dialect),
            event => assert_eq!(event, frame::Event::Undecided, "the request is cut"),
        }
    }
}

fn recognised(bytes: &[u8], hint: Option<&'static Profile>) -> String {
    recognise(bytes, hint, Pin::default()).unwrap_or_else(|rejection| panic!("{rejection}")).to_string()
}

/// A send with as much content as makes the frame `size` bytes.
fn send_of(name: &str, size: usize) -> Vec<u8> {
    let head = dialect(name).request_header_size() + 21;
    let send = send_message::Request { to: TO, kind: MessageType::TEXT, size: (size - head) as u32 };
    let mut bytes = request(name, send);
    bytes.resize(size, 0x99);
    bytes
}

fn zeros(count: usize) -> Vec<u8> {
    vec![0; count]
}

#[test]
fn section_8_4_what_is_no_request_is_refused_as_e_or_as_pinned() {
    let list = || request("e", list_clients::Request);
    let unknown_code = [&list()[..17], &[0xc1, 0x02], &list()[19..]].concat();
    let wrong_size = [&list()[..19], &[1, 0, 0, 0]].concat();
    let other_send = [&send_of("a", 100)[..18], &[0; 4], &send_of("a", 100)[22..]].concat();
    for bytes in [unknown_code, wrong_size, other_send] {
        let rejection = recognise(&bytes, None, Pin::default()).unwrap_err();
        assert_eq!((rejection.dialect.to_string().as_str(), rejection.client_id), ("e", FROM));
    }
    let pin = Pin { family: None, profile: Profile::named("uid-echo") };
    let rejection = recognise(&list(), None, pin).unwrap_err();
    assert_eq!((rejection.dialect.to_string().as_str(), rejection.client_id), ("b/uid-echo", FROM));
    let large = send_message::Request { to: TO, kind: MessageType::TEXT, size: (1 << 20) + 1 };
    let rejection = recognise(&request("d/big-endian", large), None, Pin::default()).unwrap_err();
    assert_eq!(rejection.dialect.to_string(), "d/big-endian", "too large, but understood");
}

#[test]
fn section_8_5_the_tail_settles_the_dialect() {
    let list = |name: &str, version: u8| {
        dialect(name).encode_request(version, FROM, &list_clients::Request.into()).unwrap()
    };
    for (name, version, tail, settled) in [
        ("b", 1, zeros(0), "b"),
        ("b", 2, zeros(0), "b/read-to-end"),
        ("b", 2, zeros(1), "b/read-to-end"),
        ("b", 1, zeros(1001), "b/padded-1024"),
        ("b", 2, zeros(1001), "b/padded-1024"),
        ("b", 2, zeros(1000), "b/read-to-end"),
        ("b", 2, [zeros(1001), list("b", 2)].concat(), "b/padded-1024"),
        ("c", 1, zeros(0), "c"),
        ("c", 1, zeros(1), "c/ascii"),
        ("c", 2, zeros(1), "c"),
        ("c", 1, zeros(2), "c"),
        ("c", 1, zeros(1001), "c/type-shift"),
        ("d", 1, zeros(1), "d"),
        ("d", 2, zeros(1001), "d/padded-1024"),
        ("e", 2, zeros(1001), "e"),
    ] {
        let what = format!("{name}, version {version}, tail of {}", tail.len());
        assert_eq!(recognised(&[list(name, version), tail].concat(), None), settled, "{what}");
    }
    // Remembered: nothing is waited for, and a single zero is no proof of another profile.
    let classic = Some(&Profile::CLASSIC);
    assert_eq!(recognised(&[list("c", 1), zeros(1)].concat(), classic), "c");
    assert_eq!(recognised(&[list("c", 1), zeros(1001)].concat(), classic), "c/type-shift");
    assert_eq!(recognised(&list("c", 1), Some(&Profile::ASCII)), "c/ascii");
}

#[test]
fn section_8_7_names_what_bytes_cannot_tell() {
    let list = request("a/aligned", list_clients::Request);
    assert_eq!(
        (recognised(&list, None), recognised(&list, Some(&Profile::ALIGNED))),
        ("a".into(), "a/aligned".into())
    );
    let fetch = request("a/aligned", fetch_key::Request { client_id: TO });
    assert_eq!(recognised(&fetch, None), "a/aligned", "a size other than 0 tells");

    let pull = request("a/size-before-type", pull_messages::Request);
    assert_eq!(recognised(&pull, None), "a");
    assert_eq!(recognised(&pull, Some(&Profile::SIZE_BEFORE_TYPE)), "a/size-before-type");

    let whole_block = send_of("d", 2048);
    assert_eq!(recognised(&whole_block, None), "d");
    assert_eq!(recognised(&whole_block, Some(&Profile::PADDED)), "d/padded-1024");

    let almost = send_of("d", 1024 - 16);
    let next = register::Request { name: NameField([1; 255]), public_key: PublicKey([1; 160]) };
    let next = dialect("d").encode_request(2, ClientId::NOBODY, &next.into()).unwrap();
    assert_eq!(recognised(&[almost.clone(), zeros(16)].concat(), None), "d/padded-1024");
    assert_eq!(recognised(&[almost, zeros(16), next.clone()].concat(), None), "d");
    let less = send_of("d", 1024 - 17);
    assert_eq!(recognised(&[less, zeros(17), next].concat(), None), "d/padded-1024");

    let mut stray = send_of("c", 1023);
    stray[16] = 1;
    stray.push(0);
    assert_eq!(recognised(&stray, None), "c/type-shift");
    assert_eq!(recognised(&stray, Some(&Profile::ASCII)), "c/ascii");

    let mut moved = RequestReader::new(Pin::default(), CONTENT_MAX);
    moved.push(&request("a", list_clients::Request));
    assert_eq!(
        moved.poll(Some(&Profile::ALIGNED), true),
        Ok(frame::Event::More),
        "two more bytes are awaited"
    );
}

// The text

#[test]
fn links_within_the_text_find_their_headings() {
    let anchor = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let headings = SPEC.lines().filter(|line| line.starts_with('#'));
    let anchors: BTreeSet<String> =
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect();
    for behind in SPEC.split("](#").skip(1) {
        let link = behind.split(')').next().unwrap();
        assert!(anchors.contains(link), "no heading for #{link}");
    }
}
