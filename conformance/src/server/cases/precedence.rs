//! Input with several faults, of which the first decides; and what must not happen before.

use messageu_wire::message::{CONTENT_MAX, MessageType};
use messageu_wire::operation::send_message;
use messageu_wire::operations::Operation;

use crate::outcome::{Outcome, need};
use crate::server::case::{Case, Category::Precedence, sizes_sends, sizes_sends_and_stays_open, stays_open};
use crate::server::cases::fields::with_size;
use crate::server::stage::{
    LIST, MOMENT, Stage, User, fresh_name, name_field, pattern, refused, register_of, registered, send_of,
    unknown_id,
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "prec-size-before-asker",
        Precedence,
        &["REQ-SRV-1", "REQ-FRAME-13"],
        "a wrong size from somebody unknown closes the connection: that it is no request comes first",
        size_before_asker,
    ),
    Case::new(
        "prec-limit-before-asker",
        Precedence,
        &["REQ-SRV-1", "REQ-LIM-2"],
        "too large a content from somebody unknown is refused before it comes",
        limit_before_asker,
    )
    .when(sizes_sends),
    Case::new(
        "prec-limit-before-type",
        Precedence,
        &["REQ-SRV-1", "REQ-LIM-2"],
        "too large a content of a type that there is not is refused before it comes",
        limit_before_type,
    )
    .when(sizes_sends),
    Case::new(
        "prec-content-before-refusal",
        Precedence,
        &["REQ-SEND-2"],
        "a send is refused when its content has been read, not before",
        content_before_refusal,
    )
    .when(sizes_sends),
    Case::new(
        "prec-content-of-unknown-asker",
        Precedence,
        &["REQ-SEND-2", "REQ-SRV-2"],
        "the content of a send from nobody is read to its end, and the connection goes on",
        |stage| content_is_consumed(stage, unknown_asker),
    )
    .when(sizes_sends_and_stays_open),
    Case::new(
        "prec-content-of-unknown-recipient",
        Precedence,
        &["REQ-SEND-2", "REQ-SRV-2"],
        "the content of a send to nobody is read to its end, and the connection goes on",
        |stage| content_is_consumed(stage, unknown_recipient),
    )
    .when(sizes_sends_and_stays_open),
    Case::new(
        "prec-content-of-wrong-type",
        Precedence,
        &["REQ-SEND-2", "REQ-SRV-2"],
        "the content of a send with a wrong type is read to its end, and the connection goes on",
        |stage| content_is_consumed(stage, wrong_type),
    )
    .when(sizes_sends_and_stays_open),
    Case::new(
        "prec-all-wrong",
        Precedence,
        &["REQ-SRV-1", "REQ-SRV-2"],
        "a send that is wrong in asker, type and recipient gets one refusal, and the connection goes on",
        all_wrong,
    )
    .when(sizes_sends_and_stays_open),
    Case::new(
        "prec-name-wrong-and-taken",
        Precedence,
        &["REQ-REG-2", "REQ-SRV-2"],
        "registrations that are refused for one reason or another leave the connection and the name free",
        name_wrong_and_taken,
    )
    .when(stays_open),
    Case::new(
        "prec-wrong-size-without-effect",
        Precedence,
        &["REQ-REC-5", "REQ-SRV-1"],
        "a registration of a wrong size makes no account",
        wrong_size_without_effect,
    ),
];

fn size_before_asker(stage: &Stage) -> Outcome {
    let user = stage.user()?.as_if(unknown_id());
    with_size(stage, &user.request(&LIST, &[])?, 1)
}

fn too_large(stage: &Stage, asker: &User, kind: MessageType) -> Outcome {
    let head = send_message::Request { to: asker.id, kind, size: CONTENT_MAX + 1 };
    let request = stage.dialect.encode_request(asker.version(), asker.id, &head.into()).unwrap_or_default();
    let mut link = stage.link()?;
    link.send(&request)?;
    link.refused_and_closed(stage.dialect, asker.id)
}

fn limit_before_asker(stage: &Stage) -> Outcome {
    too_large(stage, &stage.user()?.as_if(unknown_id()), MessageType::TEXT)
}

fn limit_before_type(stage: &Stage) -> Outcome {
    too_large(stage, &stage.user()?, MessageType(9))
}

fn content_before_refusal(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let content = pattern(2_000);
    let request = user.request(&send_of(unknown_id(), MessageType::TEXT, &content), &content)?;
    let (front, rest) = request.split_at(500);
    let mut link = stage.link()?;
    link.send(front)?;
    link.silence(MOMENT)?;
    link.send(rest)?;
    refused("a message to nobody", &user.answer(&mut link, Operation::SendMessage)?)
}

/// What is wrong with a send: who asks, to whom, and of what type.
type Wrong = fn(&User, &User) -> (User, User, MessageType);

fn unknown_asker(alice: &User, bob: &User) -> (User, User, MessageType) {
    (alice.as_if(unknown_id()), bob.clone(), MessageType::TEXT)
}

fn unknown_recipient(alice: &User, bob: &User) -> (User, User, MessageType) {
    (alice.clone(), bob.as_if(unknown_id()), MessageType::TEXT)
}

fn wrong_type(alice: &User, bob: &User) -> (User, User, MessageType) {
    (alice.clone(), bob.clone(), MessageType(9))
}

fn content_is_consumed(stage: &Stage, wrong: Wrong) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let (from, to, kind) = wrong(&alice, &bob);
    let content = pattern(50_000);
    let mut link = stage.link()?;
    refused("a wrong send", &from.ask(&mut link, &send_of(to.id, kind, &content), &content)?)?;
    alice.list(&mut link)?;
    link.finish()?;
    stage.waits("a refused message", &bob, &[])
}

fn all_wrong(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut link = stage.link()?;
    let nobody = user.as_if(unknown_id());
    let answer = nobody.ask(&mut link, &send_of(unknown_id(), MessageType(9), b"hello"), b"hello")?;
    refused("a send that is wrong in everything", &answer)?;
    link.silence(MOMENT)?;
    user.list(&mut link)?;
    link.finish()
}

fn name_wrong_and_taken(stage: &Stage) -> Outcome {
    let taken = stage.user()?;
    let nobody = User::nobody(stage.dialect, &fresh_name());
    let mut link = stage.link()?;
    for name in [&b""[..], b"\xff\xff", taken.name.as_bytes()] {
        let answer = nobody.ask(&mut link, &register_of(name_field(name), nobody.key), &[])?;
        refused("a wrong name", &answer)?;
    }
    link.send(&nobody.register_request()?)?;
    registered(nobody.answer(&mut link, Operation::Register)?)?;
    link.finish()
}

fn wrong_size_without_effect(stage: &Stage) -> Outcome {
    let nobody = User::nobody(stage.dialect, &fresh_name());
    with_size(stage, &nobody.register_request()?, 416)?;
    let watcher = stage.user()?;
    let is_listed = stage.list(&watcher)?.iter().any(|(_, name)| *name == nobody.name);
    need(!is_listed, || "a registration of a wrong size has made an account".to_owned())?;
    stage.register(&nobody).map(drop)
}
