//! Pulls that arrive, and pulls that do not.

use std::time::Duration;

use messageu_wire::message::MessageType;
use messageu_wire::operations::Operation;

use crate::outcome::{Outcome, need, same};
use crate::server::case::{Case, Category::Delivery, sizes_sends, stays_open};
use crate::server::link::Link;
use crate::server::stage::{
    LIST, Message, PULL, Stage, User, contents, listed, messages, pattern, receipt, send_of,
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "deliver-clean-close",
        Delivery,
        &["REQ-DLV-2"],
        "after a pull and a clean close the messages are gone",
        clean_close,
    ),
    Case::new(
        "deliver-next-request",
        Delivery,
        &["REQ-DLV-2"],
        "a following request on the connection proves that a pull has arrived, whatever comes then",
        next_request,
    )
    .when(stays_open),
    Case::new(
        "deliver-reset",
        Delivery,
        &["REQ-DLV-2", "REQ-DLV-5"],
        "after a reset behind the answer the same messages come again, in their order, with their numbers",
        reset,
    )
    .when(stays_open),
    Case::new(
        "deliver-reset-unread",
        Delivery,
        &["REQ-DLV-2", "REQ-DLV-5", "REQ-PULL-5"],
        "after a reset in place of reading the messages come again",
        reset_unread,
    ),
    Case::new(
        "deliver-reset-in-the-middle",
        Delivery,
        &["REQ-DLV-2", "REQ-DLV-5", "REQ-FRAME-15"],
        "after a reset in the middle of a large pull all of it comes again",
        reset_in_the_middle,
    )
    .when(stays_open),
    Case::new(
        "deliver-reset-thrice",
        Delivery,
        &["REQ-DLV-5"],
        "messages come again as often as their pull does not arrive",
        reset_thrice,
    )
    .when(stays_open),
    Case::new(
        "deliver-reset-behind-zeros",
        Delivery,
        &["REQ-FRAME-12", "REQ-DLV-5"],
        "zeros behind a pull prove nothing: after a reset the messages come again",
        reset_behind_zeros,
    )
    .when(stays_open),
    Case::new(
        "deliver-mail-after-reset",
        Delivery,
        &["REQ-DLV-5", "REQ-SEND-5"],
        "what came in between stands behind what comes again",
        mail_after_reset,
    )
    .when(stays_open),
    Case::new(
        "deliver-once",
        Delivery,
        &["REQ-DLV-6", "REQ-PULL-2"],
        "a healthy client that pulls again at once on another connection sees nothing twice",
        once,
    ),
    Case::new(
        "deliver-silence",
        Delivery,
        &["REQ-DLV-2", "REQ-PULL-2", "REQ-DLV-6"],
        "silence is arrival too: a pull elsewhere waits for it, and finds nothing",
        silence,
    )
    .when(stays_open),
    Case::new(
        "deliver-wait-is-bounded",
        Delivery,
        &["REQ-PULL-2"],
        "a pull waits for another's verdict, but not for ever",
        wait_is_bounded,
    )
    .when(stays_open),
    Case::new(
        "deliver-wait-for-others-only",
        Delivery,
        &["REQ-PULL-2"],
        "while a pull awaits its verdict, other requests and other clients' pulls do not wait",
        wait_for_others_only,
    )
    .when(stays_open),
    Case::new(
        "deliver-pipelined-pulls",
        Delivery,
        &["REQ-DLV-6", "REQ-FRAME-8"],
        "two pulls in one segment get two answers, and nothing is lost",
        pipelined_pulls,
    )
    .when(stays_open),
    Case::new(
        "deliver-half-closed",
        Delivery,
        &["REQ-FRAME-9", "REQ-DLV-3"],
        "who closes the sending side behind a pull and reads it has it, once",
        half_closed,
    ),
    Case::new(
        "deliver-mail-while-open",
        Delivery,
        &["REQ-DLV-2"],
        "what is sent while a pull awaits its verdict is not deleted with it",
        mail_while_open,
    )
    .when(stays_open),
    Case::new(
        "deliver-large",
        Delivery,
        &["REQ-PULL-3", "REQ-SEND-7"],
        "large and small contents in one queue arrive whole and in order",
        large,
    ),
    Case::new(
        "deliver-answered-send",
        Delivery,
        &["REQ-SEND-4", "REQ-DLV-1"],
        "a send that was answered is there for the next pull, even if its connection breaks then",
        answered_send,
    ),
];

/// Alice has sent Bob these.
fn with_mail(stage: &Stage, mail: &[&[u8]]) -> Outcome<(User, User)> {
    let (alice, bob) = stage.pair()?;
    for content in mail {
        stage.text(&alice, &bob, content)?;
    }
    Ok((alice, bob))
}

/// A pull that is read, on a connection that stays.
fn pulled(stage: &Stage, user: &User) -> Outcome<(Link, Vec<Message>)> {
    let mut link = stage.link()?;
    let messages = user.pull(&mut link)?;
    Ok((link, messages))
}

fn clean_close(stage: &Stage) -> Outcome {
    let (_, bob) = with_mail(stage, &[b"one", b"two"])?;
    contents("the first pull", &stage.pull(&bob)?, &[b"one", b"two"])?;
    contents("the next pull", &stage.pull(&bob)?, &[])
}

fn next_request(stage: &Stage) -> Outcome {
    let (_, bob) = with_mail(stage, &[b"one"])?;
    let (mut link, messages) = pulled(stage, &bob)?;
    contents("the first pull", &messages, &[b"one"])?;
    bob.list(&mut link)?;
    link.reset();
    contents("the next pull", &stage.pull(&bob)?, &[])
}

fn reset(stage: &Stage) -> Outcome {
    let (_, bob) = with_mail(stage, &[b"one", b"two", b"three"])?;
    let (link, first) = pulled(stage, &bob)?;
    link.reset();
    let again = stage.pull_all(&bob)?;
    same("a pull after a reset", &again, &first)?;
    contents("a pull after a reset", &again, &[b"one", b"two", b"three"])
}

fn reset_unread(stage: &Stage) -> Outcome {
    let (_, bob) = with_mail(stage, &[b"one"])?;
    let mut link = stage.link()?;
    link.send(&bob.request(&PULL, &[])?)?;
    // Where the answer has come, and lies unread, the reset says so.
    link.first_receive()?;
    link.reset();
    stage.waits("a pull after a reset", &bob, &[b"one"])
}

fn reset_in_the_middle(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let content = pattern(10_000);
    for _ in 0..20 {
        stage.send(&alice, &bob, MessageType::FILE, &content)?;
    }
    let mut link = stage.link()?;
    link.send(&bob.request(&PULL, &[])?)?;
    link.first_receive()?;
    link.reset();
    stage.waits("a pull after a reset", &bob, &[&content[..]; 20])
}

fn reset_thrice(stage: &Stage) -> Outcome {
    let (_, bob) = with_mail(stage, &[b"one", b"two"])?;
    let mut all = Vec::new();
    for _ in 0..3 {
        let (link, messages) = pulled(stage, &bob)?;
        link.reset();
        all.push(messages);
    }
    all.push(stage.pull_all(&bob)?);
    all.iter().try_for_each(|messages| contents("each of four pulls", messages, &[b"one", b"two"]))
}

fn reset_behind_zeros(stage: &Stage) -> Outcome {
    let (_, bob) = with_mail(stage, &[b"one"])?;
    let (mut link, _) = pulled(stage, &bob)?;
    link.send(&[0; 900])?;
    link.silence(Duration::from_millis(100))?;
    link.reset();
    stage.waits("a pull after zeros and a reset", &bob, &[b"one"])
}

fn mail_after_reset(stage: &Stage) -> Outcome {
    let (alice, bob) = with_mail(stage, &[b"one"])?;
    let (link, _) = pulled(stage, &bob)?;
    stage.text(&alice, &bob, b"two")?;
    link.reset();
    stage.waits("a pull after a reset", &bob, &[b"one", b"two"])
}

fn once(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    for round in 0..10_u8 {
        stage.text(&alice, &bob, &[round])?;
        contents("a pull", &stage.pull(&bob)?, &[&[round]])?;
        contents("another pull at once", &stage.pull(&bob)?, &[])?;
    }
    Ok(())
}

fn silence(stage: &Stage) -> Outcome {
    let (_, bob) = with_mail(stage, &[b"one"])?;
    let (link, messages) = pulled(stage, &bob)?;
    contents("the first pull", &messages, &[b"one"])?;
    contents("a pull beside a silent connection", &stage.pull(&bob)?, &[])?;
    link.finish()
}

fn wait_is_bounded(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    // More than fits into the buffers between, where the dialect allows so much, so that the pull cannot be finished.
    let (count, size) = if sizes_sends(stage.dialect) { (6, 1 << 20) } else { (40, 10_000) };
    let content = pattern(size);
    for _ in 0..count {
        stage.send(&alice, &bob, MessageType::FILE, &content)?;
    }
    let mut stuck = stage.link()?;
    stuck.narrow();
    stuck.send(&bob.request(&PULL, &[])?)?;
    stuck.first_receive()?;
    let found = stage.pull(&bob)?;
    drop(stuck);
    need(found.iter().all(|message| message.content == content), || "contents were mixed up".to_owned())
}

fn wait_for_others_only(stage: &Stage) -> Outcome {
    let (alice, bob) = with_mail(stage, &[b"one"])?;
    let carol = stage.user()?;
    stage.text(&alice, &carol, b"hers")?;
    let (held, _) = pulled(stage, &bob)?;
    let began = std::time::Instant::now();
    stage.list(&bob)?;
    stage.text(&alice, &bob, b"two")?;
    contents("another's pull", &stage.pull(&carol)?, &[b"hers"])?;
    let took = began.elapsed();
    need(took < Duration::from_secs(8), || format!("three requests of others took {} s", took.as_secs()))?;
    held.finish()?;
    stage.waits("what came meanwhile", &bob, &[b"two"])
}

fn pipelined_pulls(stage: &Stage) -> Outcome {
    let (_, bob) = with_mail(stage, &[b"one"])?;
    let pull = bob.request(&PULL, &[])?;
    let mut link = stage.link()?;
    link.send(&[&pull[..], &pull].concat())?;
    let first = messages(bob.answer(&mut link, Operation::PullMessages)?)?;
    contents("the first pull", &first, &[b"one"])?;
    let second = messages(bob.answer(&mut link, Operation::PullMessages)?)?;
    // Without a verdict on the first it may come again, but as what it is.
    need(second.is_empty() || second == first, || "the second pull has something else".to_owned())?;
    link.finish()?;
    contents("a pull after both", &stage.pull(&bob)?, &[])
}

fn half_closed(stage: &Stage) -> Outcome {
    let (_, bob) = with_mail(stage, &[b"one"])?;
    let mut link = stage.link()?;
    link.send(&bob.request(&PULL, &[])?)?;
    link.end_sending();
    let first = messages(bob.answer(&mut link, Operation::PullMessages)?)?;
    contents("a pull on a connection that is half closed", &first, &[b"one"])?;
    link.closed()?;
    contents("the next pull", &stage.pull(&bob)?, &[])
}

fn mail_while_open(stage: &Stage) -> Outcome {
    let (alice, bob) = with_mail(stage, &[b"one"])?;
    let (mut link, _) = pulled(stage, &bob)?;
    stage.text(&alice, &bob, b"two")?;
    listed(bob.ask(&mut link, &LIST, &[])?)?;
    link.finish()?;
    stage.waits("what was sent meanwhile", &bob, &[b"two"])
}

fn large(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let most = if stage.dialect.profile.fixed_send.is_some() { 10_000 } else { 300_000 };
    let sent = [pattern(most), b"small".to_vec(), pattern(most / 2), Vec::new(), pattern(7)];
    for content in &sent {
        stage.send(&alice, &bob, MessageType::FILE, content)?;
    }
    let sent: Vec<&[u8]> = sent.iter().map(|content| &content[..]).collect();
    stage.waits("large and small contents", &bob, &sent)
}

fn answered_send(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    for content in [&b"one"[..], b"two"] {
        let mut link = stage.link()?;
        let answer = alice.ask(&mut link, &send_of(bob.id, MessageType::TEXT, content), content)?;
        receipt(&answer, bob.id)?;
        link.reset();
    }
    stage.waits("what was answered", &bob, &[b"one", b"two"])
}
