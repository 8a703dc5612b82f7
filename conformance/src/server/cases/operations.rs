//! What each operation does.

use std::collections::HashSet;

use messageu_wire::fields::{ClientId, PublicKey};
use messageu_wire::message::MessageType;
use messageu_wire::operations::Operation;

use crate::outcome::{Outcome, need, same};
use crate::server::case::{Case, Category::Operations, shows_ids};
use crate::server::stage::{
    DELETE, LIST, PULL, Stage, User, contents, fresh_name, key_of, name_field, pattern, register_of,
    registered, unknown_id,
};

fn deletes(dialect: messageu_wire::dialect::Dialect) -> bool {
    dialect.profile.deletable
}

fn numbers(dialect: messageu_wire::dialect::Dialect) -> bool {
    dialect.profile.name != "no-message-id"
}

pub(super) const CASES: &[Case] = &[
    Case::new(
        "op-register",
        Operations,
        &["REQ-REG-4", "REQ-PROF-1"],
        "a registration is answered with an id, under which one is served at once",
        register,
    ),
    Case::new(
        "op-register-ids",
        Operations,
        &["REQ-ID-1", "REQ-ID-2"],
        "ids are UUIDs of version 4, without the bytes 00 and 0a",
        register_ids,
    )
    .when(shows_ids),
    Case::new(
        "op-register-printable",
        Operations,
        &["REQ-ID-4", "REQ-PROF-1"],
        "ids are shown as 16 printable characters",
        register_printable,
    )
    .when(|dialect| dialect.profile.printable_ids),
    Case::new(
        "op-register-distinct",
        Operations,
        &["REQ-ID-3"],
        "no two ids have the same first half",
        register_distinct,
    ),
    Case::new(
        "op-register-any-key",
        Operations,
        &["REQ-REG-3"],
        "any 160 bytes are taken for a key, and given back unchanged",
        register_any_key,
    ),
    Case::new(
        "op-register-any-asker",
        Operations,
        &["REQ-REG-1"],
        "the id in the header of a registration means nothing",
        register_any_asker,
    ),
    Case::new(
        "op-list-others",
        Operations,
        &["REQ-LIST-2"],
        "the list has everybody but the asker, once each",
        list_others,
    ),
    Case::new(
        "op-list-names",
        Operations,
        &["REQ-ID-6", "REQ-LIST-2"],
        "names are listed as registered, filled up with zeros, whatever stood behind their end",
        list_names,
    ),
    Case::new(
        "op-list-at-once",
        Operations,
        &["REQ-LIST-2", "REQ-REG-4"],
        "who has just registered is in the next list",
        list_at_once,
    ),
    Case::new(
        "op-key",
        Operations,
        &["REQ-KEY-1", "REQ-PROF-1"],
        "a key is given as it was registered, one's own too",
        fetch_key,
    ),
    Case::new(
        "op-key-any-asker",
        Operations,
        &["REQ-KEY-2"],
        "everybody gets every key, whatever id the header names",
        key_any_asker,
    ),
    Case::new(
        "op-send-each-type",
        Operations,
        &["REQ-SEND-1", "REQ-SEND-3", "REQ-PROF-1"],
        "messages of types 1 to 4 are taken, and arrive with their type and sender",
        send_each_type,
    ),
    Case::new("op-send-to-oneself", Operations, &["REQ-SEND-1"], "one may send to oneself", send_to_oneself),
    Case::new(
        "op-send-key-request-with-content",
        Operations,
        &["REQ-SEND-3"],
        "a key request may carry bytes, and keeps them",
        send_key_request_with_content,
    ),
    Case::new(
        "op-send-receipts",
        Operations,
        &["REQ-MID-1", "REQ-SEND-4"],
        "receipts number messages in a rising sequence, and pulls have the same numbers",
        send_receipts,
    )
    .when(numbers),
    Case::new(
        "op-send-from-many",
        Operations,
        &["REQ-SEND-5"],
        "messages of several senders come in the order in which they were taken, each with its sender",
        send_from_many,
    ),
    Case::new(
        "op-pull-nothing",
        Operations,
        &["REQ-PULL-4"],
        "a pull when nothing waits is answered, and empty",
        pull_nothing,
    ),
    Case::new(
        "op-pull-own-only",
        Operations,
        &["REQ-PULL-3"],
        "a pull gives what waits for the asker, and nobody else's",
        pull_own_only,
    ),
    Case::new(
        "op-pull-order",
        Operations,
        &["REQ-SEND-5", "REQ-PULL-3"],
        "messages come oldest first",
        pull_order,
    ),
    Case::new(
        "op-pull-filler",
        Operations,
        &["REQ-PROF-5"],
        "an empty key request is shown with 128 zeros where a pull counts contents alone",
        pull_filler,
    )
    .when(|dialect| dialect.profile.key_request_filler > 0),
    Case::new(
        "op-delete",
        Operations,
        &["REQ-DEL-3"],
        "who is deleted is gone from the list, and the name is free again",
        delete,
    )
    .when(deletes),
    Case::new(
        "op-delete-mail",
        Operations,
        &["REQ-DEL-3"],
        "what a deleted client sent stays with its recipients",
        delete_mail,
    )
    .when(deletes),
    Case::new(
        "op-delete-nobody",
        Operations,
        &["REQ-DEL-1"],
        "who has no account cannot delete one",
        delete_nobody,
    )
    .when(deletes),
];

fn register(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    need(user.id != ClientId::NOBODY, || "the id is the one of nobody".to_owned())?;
    stage.list(&user).map(drop)
}

fn register_ids(stage: &Stage) -> Outcome {
    for _ in 0..20 {
        let id = stage.user()?.id;
        let [first, second, _, _, _, _, sixth, _, eighth, ..] = id.0;
        need(sixth >> 4 == 4 && eighth >> 6 == 2, || format!("{id} is no UUID of version 4"))?;
        need(!id.0.contains(&0) && !id.0.contains(&10), || format!("{id} has a byte 00 or 0a"))?;
        need([first, second] != [0x16, 3], || format!("{id} begins as a TLS record does"))?;
    }
    Ok(())
}

fn register_printable(stage: &Stage) -> Outcome {
    let id = stage.user()?.id;
    need(id.is_printable(), || format!("{id} has bytes that are not printable"))
}

fn register_distinct(stage: &Stage) -> Outcome {
    let mut seen = HashSet::new();
    for _ in 0..20 {
        let id = stage.user()?.id;
        // A printable id shows the first half of the real one.
        let half = if shows_ids(stage.dialect) { id.0.get(..8) } else { id.0.get(..) };
        need(seen.insert(half.unwrap_or_default().to_vec()), || format!("another id began as {id} does"))?;
    }
    Ok(())
}

fn register_any_key(stage: &Stage) -> Outcome {
    for public_key in [[0; 160], [0xff; 160], pattern(160).try_into().unwrap_or([1; 160])] {
        let mut nobody = User::nobody(stage.dialect, &fresh_name());
        nobody.key = PublicKey(public_key);
        let user = stage.register(&nobody)?;
        same("the key", &stage.key(&user, user.id)?, &nobody.key)?;
    }
    Ok(())
}

fn register_any_asker(stage: &Stage) -> Outcome {
    let somebody = stage.user()?;
    for id in [ClientId([0xff; 16]), unknown_id(), somebody.id] {
        let nobody = User::nobody(stage.dialect, &fresh_name()).as_if(id);
        let mut link = stage.link()?;
        link.send(&nobody.register_request()?)?;
        let given = registered(nobody.answer(&mut link, Operation::Register)?)?;
        need(given != id, || "the id in the header was made the new one".to_owned())?;
        link.finish()?;
    }
    same("the key of who was named in the header", &stage.key(&somebody, somebody.id)?, &somebody.key)
}

fn list_others(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let list = stage.list(&alice)?;
    let count = |user: &User| list.iter().filter(|(id, name)| *id == user.id || *name == user.name).count();
    same("how often another is listed", &count(&bob), &1)?;
    same("how often the asker is listed", &count(&alice), &0)?;
    let distinct: HashSet<_> = list.iter().map(|(id, _)| id).collect();
    same("how many ids are listed", &distinct.len(), &list.len())
}

fn list_names(stage: &Stage) -> Outcome {
    let mut nobody = User::nobody(stage.dialect, &fresh_name());
    nobody.name.push_str(" ~!");
    let mut field = name_field(nobody.name.as_bytes());
    field.0.iter_mut().skip(nobody.name.len() + 1).for_each(|byte| *byte = 0xcc);
    let mut link = stage.link()?;
    link.send(&nobody.request(&register_of(field, nobody.key), &[])?)?;
    let id = registered(nobody.answer(&mut link, Operation::Register)?)?;
    link.finish()?;
    let watcher = stage.user()?;
    let list = stage.list(&watcher)?;
    need(list.contains(&(id, nobody.name.clone())), || {
        "the name is not listed as it was registered".to_owned()
    })
}

fn list_at_once(stage: &Stage) -> Outcome {
    let watcher = stage.user()?;
    for _ in 0..3 {
        let fresh = stage.user()?;
        let is_listed = stage.list(&watcher)?.contains(&(fresh.id, fresh.name.clone()));
        need(is_listed, || "who has just registered is not listed".to_owned())?;
    }
    Ok(())
}

fn fetch_key(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    same("another's key", &stage.key(&alice, bob.id)?, &bob.key)?;
    same("one's own key", &stage.key(&alice, alice.id)?, &alice.key)
}

fn key_any_asker(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    for id in [user.id, unknown_id(), ClientId([0xff; 16])] {
        same("the key", &stage.key(&user.as_if(id), user.id)?, &user.key)?;
    }
    Ok(())
}

fn send_each_type(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    for kind in 1..=4 {
        stage.send(&alice, &bob, MessageType(kind), &[kind; 20])?;
    }
    let pulled = stage.pull_all(&bob)?;
    contents("one message of each type", &pulled, &[&[1; 20], &[2; 20], &[3; 20], &[4; 20]])?;
    for (message, kind) in pulled.iter().zip(1..) {
        same("the type", &message.kind, &MessageType(kind))?;
        same("the sender", &message.from, &alice.id)?;
    }
    Ok(())
}

fn send_to_oneself(stage: &Stage) -> Outcome {
    let alice = stage.user()?;
    stage.text(&alice, &alice, b"a note")?;
    stage.waits("a note to oneself", &alice, &[b"a note"])
}

fn send_key_request_with_content(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let content = pattern(128);
    stage.send(&alice, &bob, MessageType::KEY_REQUEST, &content)?;
    stage.waits("a key request with bytes", &bob, &[&content])
}

fn send_receipts(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let mut numbers = Vec::new();
    for count in 0..5_u8 {
        numbers.push(stage.text(&alice, &bob, &[count])?);
    }
    let rises = numbers.windows(2).all(|pair| match pair {
        // Numbers are the low half of a longer one, and wrap.
        [Some(one), Some(next)] => (1..1 << 31).contains(&next.0.wrapping_sub(one.0)),
        _ => false,
    });
    need(rises, || format!("the numbers of five messages do not rise: {numbers:?}"))?;
    let pulled: Vec<_> = stage.pull_all(&bob)?.iter().map(|message| message.message_id).collect();
    same("the numbers in a pull", &pulled, &numbers)
}

fn send_from_many(stage: &Stage) -> Outcome {
    let bob = stage.user()?;
    let senders = [stage.user()?, stage.user()?, stage.user()?];
    let mut expected = Vec::new();
    for round in 0..3_u8 {
        for sender in &senders {
            stage.text(sender, &bob, &[round])?;
            expected.push((sender.id, vec![round]));
        }
    }
    let pulled = stage.pull_all(&bob)?;
    let found: Vec<_> = pulled.into_iter().map(|message| (message.from, message.content)).collect();
    same("what three senders sent in turn", &found, &expected)
}

fn pull_nothing(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    contents("a pull when nothing was sent", &stage.pull(&user)?, &[])
}

fn pull_own_only(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let carol = stage.user()?;
    stage.text(&alice, &bob, b"for bob")?;
    stage.text(&alice, &carol, b"for carol")?;
    stage.waits("what waits for who sent", &alice, &[])?;
    stage.waits("what waits for bob", &bob, &[b"for bob"])?;
    stage.waits("what waits for carol", &carol, &[b"for carol"])
}

fn pull_order(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let sent: Vec<[u8; 1]> = (0..20).map(|number| [number]).collect();
    for content in &sent {
        stage.text(&alice, &bob, content)?;
    }
    let sent: Vec<&[u8]> = sent.iter().map(|content| &content[..]).collect();
    stage.waits("twenty messages", &bob, &sent)
}

fn pull_filler(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    stage.send(&alice, &bob, MessageType::KEY_REQUEST, &[])?;
    stage.waits("an empty key request", &bob, &[&[0; 128]])
}

fn delete(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    stage.text(&bob, &alice, b"too late")?;
    let answer = stage.ask(&alice, &DELETE, &[])?;
    need(answer != crate::server::link::Answer::Refused, || "the deletion is refused".to_owned())?;
    stage.refused("a list for who is deleted", &alice, &LIST, &[])?;
    stage.refused("a pull of who is deleted", &alice, &PULL, &[])?;
    stage.refused("the key of who is deleted", &bob, &key_of(alice.id), &[])?;
    need(!stage.list(&bob)?.iter().any(|(id, _)| *id == alice.id), || "who is deleted is listed".to_owned())?;
    let again = stage.register(&User::nobody(stage.dialect, &alice.name))?;
    stage.waits("what waits for who has the name now", &again, &[])
}

fn delete_mail(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    stage.text(&alice, &bob, b"before I go")?;
    stage.ask(&alice, &DELETE, &[])?;
    let pulled = stage.pull_all(&bob)?;
    contents("a message of who is deleted", &pulled, &[b"before I go"])?;
    same("its sender", &pulled.iter().map(|message| message.from).collect::<Vec<_>>(), &vec![alice.id])
}

fn delete_nobody(stage: &Stage) -> Outcome {
    let user = stage.user()?.as_if(unknown_id());
    stage.refused("a deletion by nobody", &user, &DELETE, &[])
}
