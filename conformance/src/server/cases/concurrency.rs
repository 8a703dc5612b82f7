//! Many at once.

use std::collections::BTreeMap;
use std::thread;

use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use messageu_wire::operations::Operation;

use crate::outcome::{Failure, Outcome, need, same};
use crate::server::case::{Case, Category::Concurrency};
use crate::server::link::Answer;
use crate::server::stage::{Message, Stage, User, contents, fresh_name, pattern};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "conc-one-name",
        Concurrency,
        &["REQ-REG-2"],
        "of eight registrations of one name at once, one is granted",
        one_name,
    ),
    Case::new(
        "conc-registrations",
        Concurrency,
        &["REQ-REG-4", "REQ-ID-3"],
        "eight registrations at once make eight clients with keys of their own",
        registrations,
    ),
    Case::new(
        "conc-senders",
        Concurrency,
        &["REQ-SEND-4", "REQ-SEND-5"],
        "what six send to one at once comes once each, and in the order of each sender",
        senders,
    ),
    Case::new(
        "conc-pulls",
        Concurrency,
        &["REQ-PULL-2", "REQ-DLV-6"],
        "four healthy pulls at once share out what waits: nothing twice, nothing lost",
        pulls,
    ),
    Case::new(
        "conc-send-and-pull",
        Concurrency,
        &["REQ-DLV-6", "REQ-SEND-5"],
        "who pulls while others send gets all of it, once and in order",
        send_and_pull,
    ),
    Case::new("conc-sessions", Concurrency, &["REQ-SRV-2"], "six sessions at once do not mix", sessions),
];

/// Does something several times at once.
fn at_once<T: Send>(count: u8, work: impl Fn(u8) -> Outcome<T> + Sync) -> Outcome<Vec<T>> {
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..count).map(|number| scope.spawn(move || work(number))).collect();
        let joined = running.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(Failure::new("the kit is wrong: one of its threads has stopped")))
        });
        joined.collect()
    })
}

fn one_name(stage: &Stage) -> Outcome {
    let name = fresh_name();
    let granted = at_once(8, |_| {
        let nobody = User::nobody(stage.dialect, &name);
        let mut link = stage.link()?;
        link.send(&nobody.register_request()?)?;
        let answer = nobody.answer(&mut link, Operation::Register)?;
        link.finish()?;
        Ok(answer != Answer::Refused)
    })?;
    same("how many of eight got the name", &granted.iter().filter(|granted| **granted).count(), &1)?;
    let watcher = stage.user()?;
    let listed = stage.list(&watcher)?.iter().filter(|(_, listed)| *listed == name).count();
    same("how often the name is listed", &listed, &1)
}

fn registrations(stage: &Stage) -> Outcome {
    let users = at_once(8, |_| stage.user())?;
    let watcher = stage.user()?;
    let list = stage.list(&watcher)?;
    for user in &users {
        need(list.contains(&(user.id, user.name.clone())), || "somebody is not listed".to_owned())?;
        same("a key", &stage.key(&watcher, user.id)?, &user.key)?;
    }
    Ok(())
}

/// What came of each sender, in its order.
fn by_sender(messages: Vec<Message>) -> BTreeMap<ClientId, Vec<Vec<u8>>> {
    let mut found: BTreeMap<ClientId, Vec<Vec<u8>>> = BTreeMap::new();
    for message in messages {
        found.entry(message.from).or_default().push(message.content);
    }
    found
}

fn senders(stage: &Stage) -> Outcome {
    let bob = stage.user()?;
    let senders = at_once(6, |number| {
        let sender = stage.user()?;
        for count in 0..8_u8 {
            stage.text(&sender, &bob, &[number, count])?;
        }
        Ok((sender.id, (0..8_u8).map(|count| vec![number, count]).collect::<Vec<_>>()))
    })?;
    let found = by_sender(stage.pull_all(&bob)?);
    same("what six senders sent", &found, &senders.into_iter().collect())
}

fn pulls(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    for count in 0..10_u8 {
        stage.text(&alice, &bob, &[count])?;
    }
    let found = at_once(4, |_| stage.pull(&bob))?;
    let mut found: Vec<Vec<u8>> = found.into_iter().flatten().map(|message| message.content).collect();
    found.extend(stage.pull_all(&bob)?.into_iter().map(|message| message.content));
    found.sort();
    same("what four pulls and those after them got", &found, &(0..10_u8).map(|count| vec![count]).collect())
}

fn send_and_pull(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let found = at_once(2, |number| {
        let mut found = Vec::new();
        for count in 0..20_u8 {
            if number == 0 {
                stage.text(&alice, &bob, &[count])?;
            } else {
                found.extend(stage.pull(&bob)?);
            }
        }
        Ok(found)
    })?;
    let mut found: Vec<Message> = found.into_iter().flatten().collect();
    found.extend(stage.pull_all(&bob)?);
    let expected: Vec<[u8; 1]> = (0..20).map(|count| [count]).collect();
    let expected: Vec<&[u8]> = expected.iter().map(|content| &content[..]).collect();
    contents("what was pulled while it was sent", &found, &expected)
}

fn sessions(stage: &Stage) -> Outcome {
    at_once(6, |number| {
        let (alice, bob) = stage.pair()?;
        let content = [vec![number], pattern(2_000)].concat();
        same("a key", &stage.key(&alice, bob.id)?, &bob.key)?;
        stage.send(&alice, &bob, MessageType::FILE, &content)?;
        stage.send(&bob, &alice, MessageType::TEXT, &[number])?;
        stage.waits("a file", &bob, &[&content])?;
        stage.waits("a text", &alice, &[&[number]])
    })
    .map(drop)
}
