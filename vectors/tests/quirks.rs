//! Each quirk that a recording names can be seen in its exchanges, and no exchange shows one that it does not name.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test should stop")]

use std::collections::BTreeSet;

use messageu_vectors::fields::{
    Clients, Key, KeyRequest, Message, Messages, Receipt, Registration, RequestPayload, ResponsePayload, Send,
};
use messageu_vectors::{Exchange, Hex, Recording, recordings};

/// Bytes before the content of a send, without gaps.
const SEND_HEAD: u32 = 21;
const BLOCK: usize = 1024;

/// An exchange in its recording.
#[derive(Clone, Copy)]
struct View<'a> {
    recording: &'a Recording,
    exchange: &'a Exchange,
}

impl View<'_> {
    fn profile(self) -> &'static str {
        self.recording.dialect().profile.name
    }

    fn send(self) -> Option<Send> {
        match &self.exchange.request_fields.payload {
            RequestPayload::SendMessage(send) => Some(send.clone()),
            _ => None,
        }
    }

    fn registration(self) -> Option<Registration> {
        match &self.exchange.request_fields.payload {
            RequestPayload::Register(registration) => Some(registration.clone()),
            _ => None,
        }
    }

    fn keys(self) -> Option<(KeyRequest, Key)> {
        match (&self.exchange.request_fields.payload, &self.exchange.response_fields.payload) {
            (RequestPayload::FetchKey(request), ResponsePayload::FetchKey(key)) => {
                Some((request.clone(), key.clone()))
            }
            _ => None,
        }
    }

    fn receipt(self) -> Option<Receipt> {
        match &self.exchange.response_fields.payload {
            ResponsePayload::SendMessage(receipt) => Some(receipt.clone()),
            _ => None,
        }
    }

    fn pulled(self) -> Vec<Message> {
        match &self.exchange.response_fields.payload {
            ResponsePayload::PullMessages(Messages { messages, .. }) => messages.clone(),
            _ => Vec::new(),
        }
    }

    /// Type and size of the messages that are sent or pulled.
    fn messages(self) -> Vec<(u8, u32)> {
        let sent = self.send().map(|send| (send.kind, send.size));
        sent.into_iter().chain(self.pulled().iter().map(|message| (message.kind, message.size))).collect()
    }

    /// Message ids that the server tells.
    fn message_ids(self) -> Vec<u32> {
        let told = self.receipt().and_then(|receipt| receipt.message_id);
        told.into_iter().chain(self.pulled().iter().filter_map(|message| message.message_id)).collect()
    }

    fn asker(self) -> Hex {
        self.exchange.request_fields.client_id.clone()
    }

    /// How much more than it has a send declares.
    fn declared_beyond(self) -> Option<u32> {
        let declared = self.exchange.request_fields.declared_size;
        self.send().map(|send| declared.wrapping_sub(SEND_HEAD + send.size))
    }

    fn versions(self) -> (u8, u8) {
        (self.exchange.request_fields.version, self.exchange.response_fields.version)
    }

    /// The message id that the first pull of the same content gives to what this exchange sends.
    fn id_when_pulled(self) -> Option<u32> {
        let content = self.send()?.content;
        let mut pulled = self.recording.exchanges.iter().flat_map(|exchange| {
            View { exchange, ..self }.pulled().into_iter().filter(|message| message.content == content)
        });
        pulled.next()?.message_id
    }
}

/// A quirk's name, and whether it shows in an exchange.
type Quirk = (&'static str, fn(View<'_>) -> bool);

const QUIRKS: &[Quirk] = &[
    ("padded-frames", |view| {
        let (request, response) = (&view.exchange.request, &view.exchange.response);
        request.len() % BLOCK == 0 && response.len() % BLOCK == 0 && view.exchange.response_fields.behind > 0
    }),
    ("types-from-zero", |view| view.profile() == "type-shift" && !view.messages().is_empty()),
    ("id-at-registration", |view| {
        view.registration().is_some_and(|registration| {
            view.asker().iter().any(|byte| *byte != 0)
                && !view.asker().starts_with(registration.name.as_bytes())
        })
    }),
    ("name-at-registration", |view| {
        let starts = |registration: Registration| view.asker().starts_with(registration.name.as_bytes());
        view.registration().is_some_and(starts)
    }),
    ("size-before-type", |view| view.profile() == "size-before-type" && view.send().is_some()),
    ("pull-declares-too-little", |view| {
        let fields = &view.exchange.response_fields;
        let header = view.recording.dialect().profile.header.response_size();
        let echo = fields.echo.as_ref().map_or(0, |echo| echo.len());
        let payload = view.exchange.response.len() - header - echo - usize::try_from(fields.behind).unwrap();
        usize::try_from(fields.declared_size).unwrap() < payload
    }),
    ("key-request-with-content", |view| view.messages().iter().any(|(kind, size)| *kind == 1 && *size > 0)),
    ("aligned-structures", |view| view.profile() == "aligned"),
    ("garbage-in-gaps", |view| {
        view.profile() == "aligned" && !view.exchange.request_fields.meaningless.is_empty()
    }),
    ("send-declares-garbage", |view| {
        view.profile() == "aligned" && view.declared_beyond().is_some_and(|beyond| beyond != 3)
    }),
    ("fixed-size-sends", |view| view.send().is_some() && view.exchange.request.len() == 10_048),
    ("garbage-behind-name", |view| {
        view.registration().is_some() && !view.exchange.request_fields.meaningless.is_empty()
    }),
    ("key-request-declares-nothing", |view| {
        view.keys().is_some() && view.exchange.request_fields.declared_size == 0
    }),
    ("answers-two-to-one", |view| view.versions() == (1, 2)),
    ("answers-version-one", |view| view.versions().1 == 1),
    ("entries-without-message-id", |view| view.pulled().iter().any(|message| message.message_id.is_none())),
    ("empty-receipts", |view| view.receipt() == Some(Receipt { to: None, message_id: None })),
    ("asker-behind-header", |view| view.exchange.response_fields.echo == Some(view.asker())),
    ("askers-id-with-key", |view| {
        view.keys().is_some_and(|(request, key)| {
            key.client_id == Some(view.asker()) && request.client_id != view.asker()
        })
    }),
    ("stray-zero", |view| view.exchange.request_fields.behind == 1),
    ("digit-version-answers", |view| view.versions().1 == b'2'),
    ("printable-ids", |view| {
        let printable = |id: &Hex| id.iter().all(|byte| (0x20..0x7f).contains(byte));
        match &view.exchange.response_fields.payload {
            ResponsePayload::Register(registered) => printable(&registered.client_id),
            _ => printable(&view.asker()),
        }
    }),
    ("digits-in-receipts", |view| {
        let id = view.receipt().and_then(|receipt| receipt.message_id).map(|id| id.to_string());
        id.is_some_and(|id| view.exchange.response.ends_with(id.as_bytes()))
    }),
    ("types-as-digits", |view| view.profile() == "ascii" && !view.pulled().is_empty()),
    ("lists-asker", |view| match &view.exchange.response_fields.payload {
        ResponsePayload::ListClients(Clients { clients, .. }) => {
            clients.iter().any(|client| client.client_id == view.asker())
        }
        _ => false,
    }),
    ("target-in-header", |view| view.keys().is_some_and(|(request, _)| request.client_id == view.asker())),
    ("one-message-id", |view| {
        let told = |exchange| View { exchange, ..view }.message_ids();
        let all: Vec<u32> = view.recording.exchanges.iter().flat_map(told).collect();
        !view.message_ids().is_empty() && all.iter().all(|id| *id == 1)
    }),
    ("empty-send-declares-garbage", |view| {
        let empty = view.send().is_some_and(|send| send.kind == 1 && send.size == 0);
        view.profile() != "aligned" && empty && view.declared_beyond() != Some(0)
    }),
    ("send-declares-three-more", |view| view.profile() != "aligned" && view.declared_beyond() == Some(3)),
    ("key-without-id", |view| view.keys().is_some_and(|(_, key)| key.client_id.is_none())),
    ("receipt-names-another-id", |view| {
        let told = view.receipt().and_then(|receipt| receipt.message_id);
        view.id_when_pulled().is_some_and(|pulled| told.is_some_and(|told| told == pulled + 1))
    }),
    ("big-endian", |view| view.profile() == "big-endian"),
    // The bytes do not show it; the contents are a block longer than those of the same plaintexts elsewhere.
    ("iv-in-front", |view| {
        view.profile() == "big-endian" && view.messages().iter().any(|(kind, _)| [3, 4].contains(kind))
    }),
];

#[test]
fn every_exchange_names_the_quirks_that_show_in_it() {
    for recording in recordings() {
        for exchange in &recording.exchanges {
            let view = View { recording: &recording, exchange };
            let shown: BTreeSet<&str> =
                QUIRKS.iter().filter(|(_, shows)| shows(view)).map(|(name, _)| *name).collect();
            let named: BTreeSet<&str> = exchange.quirks.iter().map(String::as_str).collect();
            assert_eq!(named.len(), exchange.quirks.len(), "a quirk is named once");
            assert_eq!(named, shown, "{}: {}: {}", recording.program, exchange.step, exchange.operation);
        }
    }
}

#[test]
fn every_recording_explains_the_quirks_that_its_exchanges_name() {
    for recording in recordings() {
        let named: BTreeSet<&String> =
            recording.exchanges.iter().flat_map(|exchange| &exchange.quirks).collect();
        assert_eq!(recording.quirks.keys().collect::<BTreeSet<_>>(), named, "{}", recording.program);
    }
}

#[test]
fn every_quirk_is_explained_in_the_readme() {
    let readme = include_str!("../README.md");
    for (name, _) in QUIRKS {
        assert!(readme.contains(&format!("| `{name}` |")), "{name}");
    }
    let explained = readme.lines().filter(|line| line.starts_with("| `") && line.contains("-")).count();
    assert!(explained >= QUIRKS.len());
}

#[test]
fn every_quirk_shows_somewhere() {
    let recordings = recordings();
    for (name, _) in QUIRKS {
        assert!(recordings.iter().any(|recording| recording.quirks.contains_key(*name)), "{name}");
    }
}
