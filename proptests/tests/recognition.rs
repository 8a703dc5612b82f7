//! Every dialect against every other: which are taken for which, by whom.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed property should stop"
)]

use std::collections::BTreeSet;

use messageu_proptests::hearing::Listener;
use messageu_proptests::speech::Speech;
use messageu_wire::dialect::{Dialect, Profile, RecognisedBy};
use messageu_wire::fields::{ClientId, NameField, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::operation::{
    delete_client, fetch_key, list_clients, pull_messages, register, send_message,
};
use messageu_wire::operations::Request;

const SPEC: &str = include_str!("../../spec.md");

/// A request that is valid in a dialect, and what its client sends right behind it.
struct Said {
    speech: Speech,
    behind: Vec<u8>,
}

impl Said {
    fn hear(&self, listener: Listener) -> Option<Dialect> {
        let bytes = [self.speech.bytes(), self.behind.clone()].concat();
        let hearing = listener.hear([&bytes[..]]);
        hearing.requests.first().map(|heard| heard.received.dialect)
    }

    /// Whether this is too short to be told from a request of `aligned`, whose layout is longer.
    fn lacks_of_aligned(&self) -> bool {
        let Speech { dialect, request, content, .. } = &self.speech;
        let short = match request {
            Request::ListClients(_) | Request::PullMessages(_) => true,
            Request::SendMessage(_) => content.len() < 5,
            _ => false,
        };
        short && ["a", "a/size-before-type"].contains(&&*dialect.to_string())
    }
}

/// Requests of every kind that could make a difference: each operation, each version that the profile's programs send,
/// ids that are the beginning of the name and others, contents of every size to beyond two blocks of padding, and around
/// the most that is held back for its tail; alone, and with another request right behind.
fn everything_said(dialect: Dialect) -> impl Iterator<Item = Said> {
    let name = NameField([b'n'; 255]);
    let versions: &[u8] = match dialect.profile.name {
        "ascii" => &[1],
        "read-to-end" => &[2],
        _ => &[1, 2],
    };
    let register = Request::from(register::Request { name, public_key: PublicKey([0x30; 160]) });
    let plain = [
        register.clone(),
        list_clients::Request.into(),
        fetch_key::Request { client_id: ClientId([7; 16]) }.into(),
        pull_messages::Request.into(),
        delete_client::Request.into(),
    ];
    let sends = (0..2200).chain(65_470..65_550).map(|size| {
        let kind = MessageType(1 + (size % 4) as u8);
        let request = send_message::Request { to: ClientId([7; 16]), kind, size };
        (request.into(), vec![0x5a; size as usize])
    });
    let requests = plain.into_iter().map(|request| (request, Vec::new())).chain(sends);
    let has = move |(request, _): &(Request, _)| request.operation().codes(dialect.family).is_some();
    requests.filter(has).flat_map(move |(request, content)| {
        let next = Speech::new(dialect, versions[0], ClientId::NOBODY, register.clone(), Vec::new()).bytes();
        let ids = [ClientId([9; 16]), ClientId([b'n'; 16])];
        // The id matters in registrations alone.
        let ids = if matches!(request, Request::Register(_)) { &ids[..] } else { &ids[..1] };
        let mut said = Vec::new();
        for (version, id) in versions.iter().flat_map(|version| ids.iter().map(|id| (*version, *id))) {
            for behind in [Vec::new(), next.clone()] {
                let speech = Speech::new(dialect, version, id, request.clone(), content.clone());
                said.push(Said { speech, behind });
            }
        }
        said
    })
}

/// The pairs that the specification lists: spoken, and taken for; those also where the spoken profile is remembered.
fn listed(remembered: bool) -> BTreeSet<(String, String)> {
    let table = SPEC.split("<!-- table: confusions -->\n").nth(1).expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut pairs = BTreeSet::new();
    for row in rows {
        let cells: Vec<String> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [_, spoken, taken, _, also, _] = &cells[..] else { panic!("{row}") };
        if !remembered || also == "yes" {
            pairs.extend(taken.split(", ").map(|taken| (spoken.clone(), taken.to_owned())));
        }
    }
    pairs
}

/// The pairs that there are, among listeners of one kind for each dialect.
fn seen(dialects: impl Iterator<Item = (Dialect, Listener)>) -> BTreeSet<(String, String)> {
    let mut seen = BTreeSet::new();
    for (dialect, listener) in dialects {
        for said in everything_said(dialect) {
            let Some(heard) = said.hear(listener) else { panic!("{:?} is not heard", said.speech) };
            if heard != dialect {
                seen.insert((dialect.to_string(), heard.to_string()));
            }
        }
    }
    seen
}

#[test]
fn a_dialect_is_taken_for_another_where_the_specification_says_so_and_nowhere_else() {
    assert_eq!(seen(Dialect::all().map(|dialect| (dialect, Listener::default()))), listed(false));
}

#[test]
fn so_it_is_where_its_profile_is_remembered() {
    let remembered = Dialect::all().filter(|dialect| dialect.profile.recognised_by != RecognisedBy::Pin);
    assert_eq!(
        seen(remembered.map(|dialect| (dialect, Listener::remembering(dialect.profile)))),
        listed(true)
    );
}

#[test]
fn who_is_pinned_to_a_dialect_takes_it_for_no_other() {
    assert_eq!(seen(Dialect::all().map(|dialect| (dialect, Listener::pinned(dialect)))), BTreeSet::new());
}

#[test]
fn a_client_that_moved_is_heard_as_it_was_as_it_is_or_as_anybody() {
    let remembered = || Profile::ALL.iter().filter(|profile| profile.recognised_by != RecognisedBy::Pin);
    for dialect in Dialect::all() {
        for said in everything_said(dialect).filter(|said| said.behind.is_empty()) {
            let anybody = said.hear(Listener::default());
            for profile in remembered() {
                let heard = said.hear(Listener::remembering(profile));
                let what = || format!("{:?} by who remembers {profile}: {heard:?}", said.speech);
                if !profile.families.contains(&dialect.family) {
                    assert_eq!(heard, anybody, "{}", what());
                    continue;
                }
                assert_eq!(
                    heard.is_none(),
                    *profile == Profile::ALIGNED && said.lacks_of_aligned(),
                    "{}",
                    what()
                );
                let Some(heard) = heard else { continue };
                let was = Dialect { profile, ..dialect };
                assert!([was, dialect].contains(&heard) || Some(heard) == anybody, "{}", what());
            }
        }
    }
}
