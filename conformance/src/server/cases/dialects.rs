//! Several dialects on one port: only with more than one dialect under test is there something to try.

use messageu_wire::dialect::Dialect;
use messageu_wire::message::MessageType;

use crate::outcome::{Outcome, need, same};
use crate::server::case::{Case, Category::Dialects, stays_open};
use crate::server::stage::{Stage, User, contents, pattern};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "mix-mail",
        Dialects,
        &["REQ-SRV-5", "REQ-PROF-1"],
        "users of any two dialects reach each other, and each reads in their own",
        mail,
    ),
    Case::new(
        "mix-keys",
        Dialects,
        &["REQ-SRV-5", "REQ-KEY-1"],
        "users of any two dialects are listed for each other, and have each other's keys",
        keys,
    ),
    Case::new(
        "mix-on-one-connection",
        Dialects,
        &["REQ-PROF-1", "REQ-REC-10"],
        "requests of two dialects may come on one connection, and each is answered in kind",
        on_one_connection,
    )
    .when(stays_open),
];

/// The other dialects that the server speaks.
fn others(stage: &Stage) -> impl Iterator<Item = Dialect> {
    stage.spoken.iter().copied().filter(|other| *other != stage.dialect)
}

/// Somebody as this user sees them: some profiles show ids otherwise.
fn seen_by(viewer: &User, user: &User) -> User {
    user.as_if(viewer.dialect.profile.show_id(user.id))
}

fn mail(stage: &Stage) -> Outcome {
    let ours = stage.user()?;
    for dialect in others(stage) {
        let theirs = stage.user_of(dialect)?;
        // Where one sees an id that is not the real one, it is looked up in the list.
        let to = find(stage, &ours, &theirs)?;
        stage.send(&ours, &to, MessageType::FILE, &pattern(1_000))?;
        let found = stage.pull_all(&theirs)?;
        contents(&format!("a message from {} to {dialect}", stage.dialect), &found, &[&pattern(1_000)])?;
        let kinds: Vec<_> = found.iter().map(|message| message.kind).collect();
        same("its type", &kinds, &vec![MessageType::FILE])?;
        let from: Vec<_> = found.iter().map(|message| message.from).collect();
        same("its sender", &from, &vec![find(stage, &theirs, &ours)?.id])?;
    }
    Ok(())
}

/// Somebody, with the id that `viewer` knows them by.
fn find(stage: &Stage, viewer: &User, user: &User) -> Outcome<User> {
    let list = stage.list(viewer)?;
    let id = list.iter().find(|(_, name)| *name == user.name).map(|(id, _)| *id);
    need(id.is_some(), || format!("a user of {} is not listed for one of {}", user.dialect, viewer.dialect))?;
    let id = id.unwrap_or_default();
    // A profile that does not see the whole id cannot tell what it is for others.
    let is_as_registered = user.dialect.profile.printable_ids || id == seen_by(viewer, user).id;
    need(is_as_registered, || {
        format!("a user of {} is listed with another id than was given", user.dialect)
    })?;
    Ok(user.as_if(id))
}

fn keys(stage: &Stage) -> Outcome {
    let ours = stage.user()?;
    for dialect in others(stage) {
        let theirs = stage.user_of(dialect)?;
        same("their key", &stage.key(&ours, find(stage, &ours, &theirs)?.id)?, &theirs.key)?;
        same("our key", &stage.key(&theirs, find(stage, &theirs, &ours)?.id)?, &ours.key)?;
    }
    Ok(())
}

fn on_one_connection(stage: &Stage) -> Outcome {
    let ours = stage.user()?;
    for dialect in others(stage).filter(|dialect| !dialect.profile.closes) {
        let theirs = stage.user_of(dialect)?;
        let mut link = stage.link()?;
        ours.list(&mut link)?;
        theirs.list(&mut link)?;
        ours.list(&mut link)?;
        link.finish()?;
    }
    Ok(())
}
