//! What may follow what on a connection, and between connections.

use std::thread::sleep;
use std::time::Duration;

use messageu_wire::message::MessageType;
use messageu_wire::operations::Operation;

use crate::outcome::{Outcome, need, same};
use crate::server::case::{Case, Category::States, closes, stays_open};
use crate::server::link::Link;
use crate::server::stage::{
    LIST, MOMENT, PULL, Stage, User, contents, fresh_name, key, key_of, listed, receipt, refused, registered,
    send_of, unknown_id,
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "state-before-registration",
        States,
        &["REQ-LIST-1", "REQ-PULL-1", "REQ-SEND-1"],
        "who has not registered is refused, and can register then on the same connection",
        before_registration,
    )
    .when(stays_open),
    Case::new(
        "state-one-connection",
        States,
        &["REQ-FRAME-3"],
        "two users can live on one connection from registration to the last pull",
        one_connection,
    )
    .when(stays_open),
    Case::new(
        "state-connection-a-request",
        States,
        &["REQ-FRAME-3", "REQ-SEND-4"],
        "every request may come on a connection of its own",
        connection_a_request,
    ),
    Case::new("state-pause", States, &["REQ-FRAME-3"], "the connection stays open between requests", pause)
        .when(stays_open),
    Case::new(
        "state-closes",
        States,
        &["REQ-PROF-3", "REQ-DLV-4"],
        "the server closes after each answer, refusals too, and says nothing behind it",
        closing,
    )
    .when(closes),
    Case::new(
        "state-closed-is-over",
        States,
        &["REQ-PROF-3"],
        "of two requests in one segment the first is answered, before the server closes",
        closed_is_over,
    )
    .when(closes),
    Case::new(
        "state-register-twice",
        States,
        &["REQ-REG-4"],
        "two registrations on one connection make two clients",
        register_twice,
    )
    .when(stays_open),
    Case::new(
        "state-pull-twice",
        States,
        &["REQ-DLV-2", "REQ-PULL-4"],
        "a second pull on the same connection finds nothing, and is no refusal",
        pull_twice,
    )
    .when(stays_open),
    Case::new(
        "state-mail-between-pulls",
        States,
        &["REQ-DLV-2", "REQ-PULL-3"],
        "what is sent between two pulls of a connection is in the second, alone",
        mail_between_pulls,
    )
    .when(stays_open),
    Case::new(
        "state-nothing-unasked",
        States,
        &["REQ-FRAME-2"],
        "mail that comes while its recipient is connected is not sent unasked",
        nothing_unasked,
    )
    .when(stays_open),
    Case::new(
        "state-end-of-stream",
        States,
        &["REQ-FRAME-9", "REQ-FRAME-16"],
        "a connection that ends without a request gets no answer",
        end_of_stream,
    ),
];

fn before_registration(stage: &Stage) -> Outcome {
    let to = stage.user()?;
    let nobody = User::nobody(stage.dialect, &fresh_name());
    let unknown = nobody.as_if(unknown_id());
    let mut link = stage.link()?;
    refused("a list for who is unknown", &unknown.ask(&mut link, &LIST, &[])?)?;
    refused("a pull of who is unknown", &unknown.ask(&mut link, &PULL, &[])?)?;
    let send = send_of(to.id, MessageType::TEXT, b"hello");
    refused("a message from who is unknown", &unknown.ask(&mut link, &send, b"hello")?)?;
    link.send(&nobody.register_request()?)?;
    let user = nobody.as_if(registered(nobody.answer(&mut link, Operation::Register)?)?);
    user.list(&mut link)?;
    link.finish()
}

fn join(stage: &Stage, link: &mut Link) -> Outcome<User> {
    let nobody = User::nobody(stage.dialect, &fresh_name());
    link.send(&nobody.register_request()?)?;
    Ok(nobody.as_if(registered(nobody.answer(link, Operation::Register)?)?))
}

fn one_connection(stage: &Stage) -> Outcome {
    let mut link = stage.link()?;
    let alice = join(stage, &mut link)?;
    let bob = join(stage, &mut link)?;
    let found = alice.list(&mut link)?.contains(&(bob.id, bob.name.clone()));
    need(found, || "who registered on the same connection is not listed".to_owned())?;
    same("a key", &key(alice.ask(&mut link, &key_of(bob.id), &[])?)?, &bob.key)?;
    for content in [&b"one"[..], b"two"] {
        let answer = alice.ask(&mut link, &send_of(bob.id, MessageType::TEXT, content), content)?;
        receipt(&answer, bob.id)?;
    }
    contents("a pull", &bob.pull(&mut link)?, &[b"one", b"two"])?;
    contents("a pull of who got nothing", &alice.pull(&mut link)?, &[])?;
    link.finish()
}

fn connection_a_request(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    need(stage.list(&alice)?.contains(&(bob.id, bob.name.clone())), || "another is not listed".to_owned())?;
    same("a key", &stage.key(&alice, bob.id)?, &bob.key)?;
    stage.send(&alice, &bob, MessageType::KEY, &[5; 128])?;
    stage.text(&alice, &bob, b"text")?;
    stage.waits("a session", &bob, &[&[5; 128], b"text"])?;
    contents("a last pull", &stage.pull(&bob)?, &[])
}

fn pause(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut link = stage.link()?;
    for _ in 0..2 {
        user.list(&mut link)?;
        link.silence(Duration::from_millis(1_500))?;
    }
    user.list(&mut link)?;
    link.finish()
}

fn closing(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    for request in [LIST, key_of(user.id), PULL, key_of(unknown_id())] {
        let mut link = stage.link()?;
        user.ask(&mut link, &request, &[])?;
        link.closed()?;
    }
    Ok(())
}

fn closed_is_over(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut link = stage.link()?;
    link.send(&[user.request(&LIST, &[])?, user.request(&LIST, &[])?].concat())?;
    listed(user.answer(&mut link, Operation::ListClients)?)?;
    link.closed().map(drop)
}

fn register_twice(stage: &Stage) -> Outcome {
    let mut link = stage.link()?;
    let (one, other) = (join(stage, &mut link)?, join(stage, &mut link)?);
    need(one.id != other.id, || "two registrations got one id".to_owned())?;
    link.finish()
}

fn pull_twice(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    stage.text(&alice, &bob, b"once")?;
    let mut link = stage.link()?;
    contents("the first pull", &bob.pull(&mut link)?, &[b"once"])?;
    contents("the second pull", &bob.pull(&mut link)?, &[])?;
    link.finish()
}

fn mail_between_pulls(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    stage.text(&alice, &bob, b"one")?;
    let mut link = stage.link()?;
    contents("the first pull", &bob.pull(&mut link)?, &[b"one"])?;
    stage.text(&alice, &bob, b"two")?;
    contents("the second pull", &bob.pull(&mut link)?, &[b"two"])?;
    link.finish()?;
    stage.waits("what waits then", &bob, &[])
}

fn nothing_unasked(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let mut link = stage.link()?;
    contents("a pull when nothing waits", &bob.pull(&mut link)?, &[])?;
    stage.text(&alice, &bob, b"later")?;
    link.silence(MOMENT)?;
    contents("a pull when asked for", &bob.pull(&mut link)?, &[b"later"])?;
    link.finish()
}

fn end_of_stream(stage: &Stage) -> Outcome {
    for begun in [0, 1, 10] {
        let mut link = stage.link()?;
        if begun > 0 {
            link.send(&vec![0xa5; begun])?;
        }
        sleep(Duration::from_millis(20));
        link.finish()?;
    }
    Ok(())
}
