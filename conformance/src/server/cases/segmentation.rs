//! Requests in pieces, several at once, and peers that take their time.

use std::thread::sleep;
use std::time::Duration;

use messageu_wire::message::MessageType;
use messageu_wire::operations::Operation;

use crate::outcome::{Outcome, need, same};
use crate::server::case::{Case, Category::Segmentation, stays_open};
use crate::server::stage::{
    LIST, MOMENT, PULL, Stage, User, contents, fresh_name, key, key_of, listed, messages, pattern, receipt,
    registered, send_of,
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "seg-no-greeting",
        Segmentation,
        &["REQ-FRAME-1"],
        "the server says nothing before it is asked",
        no_greeting,
    ),
    Case::new(
        "seg-single-bytes",
        Segmentation,
        &["REQ-FRAME-4"],
        "a registration that comes byte by byte is granted",
        single_bytes,
    ),
    Case::new(
        "seg-header-then-payload",
        Segmentation,
        &["REQ-FRAME-4"],
        "header and payload in two segments, some time apart, are one request",
        header_then_payload,
    ),
    Case::new("seg-cut-header", Segmentation, &["REQ-FRAME-4"], "a header may be cut anywhere", cut_header),
    Case::new(
        "seg-content-in-pieces",
        Segmentation,
        &["REQ-FRAME-4", "REQ-SEND-3"],
        "a content that comes in pieces arrives whole",
        content_in_pieces,
    ),
    Case::new("seg-slow-request", Segmentation, &["REQ-FRAME-4"], "a request may take seconds", slow_request),
    Case::new(
        "seg-two-in-one",
        Segmentation,
        &["REQ-FRAME-8", "REQ-FRAME-2"],
        "two requests in one segment get two answers, in their order",
        two_in_one,
    )
    .when(stays_open),
    Case::new(
        "seg-one-and-a-half",
        Segmentation,
        &["REQ-FRAME-8", "REQ-FRAME-4"],
        "a request is answered though the next one has only begun",
        one_and_a_half,
    )
    .when(stays_open),
    Case::new(
        "seg-pipelined-many",
        Segmentation,
        &["REQ-FRAME-8"],
        "a hundred pipelined requests get a hundred answers, in their order",
        pipelined_many,
    )
    .when(stays_open),
    Case::new(
        "seg-pipelined-effects",
        Segmentation,
        &["REQ-FRAME-8"],
        "a pipelined request sees what those before it did",
        pipelined_effects,
    )
    .when(stays_open),
    Case::new(
        "seg-half-close",
        Segmentation,
        &["REQ-FRAME-9"],
        "who closes the sending side behind a request still gets the answer",
        half_close,
    ),
    Case::new(
        "seg-half-a-request",
        Segmentation,
        &["REQ-FRAME-16"],
        "a registration whose connection ends within it has no effect",
        half_a_request,
    ),
    Case::new(
        "seg-half-a-content",
        Segmentation,
        &["REQ-FRAME-16"],
        "a message whose connection ends within its content is not delivered",
        half_a_content,
    ),
    Case::new(
        "seg-zeros-between",
        Segmentation,
        &["REQ-FRAME-10", "REQ-FRAME-11"],
        "zeros between two requests are passed over",
        zeros_between,
    )
    .when(stays_open),
    Case::new(
        "seg-late-zeros",
        Segmentation,
        &["REQ-FRAME-10", "REQ-FRAME-12"],
        "zeros that come after the answer are no request",
        late_zeros,
    )
    .when(stays_open),
    Case::new(
        "seg-slow-reader",
        Segmentation,
        &["REQ-FRAME-15", "REQ-PULL-3"],
        "who reads an answer late gets all of it",
        slow_reader,
    ),
    Case::new(
        "seg-one-write",
        Segmentation,
        &["REQ-FRAME-5"],
        "a small answer can be read with a single receive",
        one_write,
    )
    .strict(),
];

fn no_greeting(stage: &Stage) -> Outcome {
    let mut link = stage.link()?;
    link.silence(Duration::from_millis(500))?;
    let nobody = User::nobody(stage.dialect, &fresh_name());
    link.send(&nobody.register_request()?)?;
    registered(nobody.answer(&mut link, Operation::Register)?).map(drop)
}

/// Bytes of a registration, without what the dialect puts behind it: that comes with the last of them, since a server
/// may wait no longer than a moment for it.
fn registration_size(stage: &Stage) -> usize {
    stage.dialect.request_header_size() + 415
}

fn single_bytes(stage: &Stage) -> Outcome {
    let nobody = User::nobody(stage.dialect, &fresh_name());
    let request = nobody.register_request()?;
    let (front, rest) = request.split_at(registration_size(stage) - 1);
    let mut link = stage.link()?;
    for byte in front {
        link.send(&[*byte])?;
    }
    link.send(rest)?;
    registered(nobody.answer(&mut link, Operation::Register)?)?;
    link.finish()
}

fn in_two(stage: &Stage, at: usize) -> Outcome {
    let user = stage.user()?;
    let request = user.request(&key_of(user.id), &[])?;
    let (front, rest) = request.split_at(at.min(request.len()));
    let mut link = stage.link()?;
    link.send(front)?;
    link.silence(Duration::from_millis(100))?;
    link.send(rest)?;
    let answer = user.answer(&mut link, Operation::FetchKey)?;
    same("the key", &key(answer)?, &user.key)?;
    link.finish()
}

fn header_then_payload(stage: &Stage) -> Outcome {
    in_two(stage, stage.dialect.request_header_size())
}

fn cut_header(stage: &Stage) -> Outcome {
    [1, 15, 16, 17, 18, 19, 20, 21].into_iter().try_for_each(|at| in_two(stage, at))
}

fn content_in_pieces(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let content = pattern(5_000);
    let request = alice.request(&send_of(bob.id, MessageType::FILE, &content), &content)?;
    let mut link = stage.link()?;
    for piece in request.chunks(700) {
        link.send(piece)?;
        sleep(Duration::from_millis(10));
    }
    let answer = alice.answer(&mut link, Operation::SendMessage)?;
    receipt(&answer, bob.id)?;
    link.finish()?;
    stage.waits("the content", &bob, &[&content])
}

fn slow_request(stage: &Stage) -> Outcome {
    let nobody = User::nobody(stage.dialect, &fresh_name());
    let request = nobody.register_request()?;
    let mut link = stage.link()?;
    let (front, rest) = request.split_at(registration_size(stage) - 1);
    for piece in front.chunks(front.len().div_ceil(4)) {
        link.send(piece)?;
        sleep(Duration::from_millis(600));
    }
    link.send(rest)?;
    registered(nobody.answer(&mut link, Operation::Register)?)?;
    link.finish()
}

fn two_in_one(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let both = [user.request(&key_of(user.id), &[])?, user.request(&LIST, &[])?].concat();
    let mut link = stage.link()?;
    link.send(&both)?;
    key(user.answer(&mut link, Operation::FetchKey)?)?;
    listed(user.answer(&mut link, Operation::ListClients)?)?;
    link.finish()
}

fn one_and_a_half(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let (first, second) = (user.request(&key_of(user.id), &[])?, user.request(&PULL, &[])?);
    let (front, rest) = second.split_at(10);
    let mut link = stage.link()?;
    link.send(&[&first, front].concat())?;
    key(user.answer(&mut link, Operation::FetchKey)?)?;
    link.silence(Duration::from_millis(100))?;
    link.send(rest)?;
    messages(user.answer(&mut link, Operation::PullMessages)?)?;
    link.finish()
}

fn pipelined_many(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let mut all = Vec::new();
    for count in 0..100 {
        let whose = if count % 2 == 0 { alice.id } else { bob.id };
        all.extend(alice.request(&key_of(whose), &[])?);
    }
    let mut link = stage.link()?;
    link.send(&all)?;
    for count in 0..100 {
        let expected = if count % 2 == 0 { alice.key } else { bob.key };
        let found = key(alice.answer(&mut link, Operation::FetchKey)?)?;
        need(found == expected, || format!("answer {count} of 100 does not belong to request {count}"))?;
    }
    link.finish()
}

fn pipelined_effects(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let send = alice.request(&send_of(bob.id, MessageType::TEXT, b"first"), b"first")?;
    let mut link = stage.link()?;
    link.send(&[send, bob.request(&PULL, &[])?].concat())?;
    receipt(&alice.answer(&mut link, Operation::SendMessage)?, bob.id)?;
    let pulled = messages(bob.answer(&mut link, Operation::PullMessages)?)?;
    contents("a pull that was pipelined behind a send", &pulled, &[b"first"])
}

fn half_close(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut link = stage.link()?;
    link.send(&user.request(&LIST, &[])?)?;
    link.end_sending();
    listed(user.answer(&mut link, Operation::ListClients)?)?;
    link.closed().map(drop)
}

fn half_a_request(stage: &Stage) -> Outcome {
    let nobody = User::nobody(stage.dialect, &fresh_name());
    let request = nobody.register_request()?;
    let cut = registration_size(stage) - 1;
    let mut link = stage.link()?;
    link.send(request.get(..cut).unwrap_or_default())?;
    link.end_sending();
    link.closed()?;
    let watcher = stage.user()?;
    let is_listed = stage.list(&watcher)?.iter().any(|(_, name)| *name == nobody.name);
    need(!is_listed, || "half a registration has made an account".to_owned())?;
    stage.register(&nobody).map(drop)
}

fn half_a_content(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let content = pattern(3_000);
    let request = alice.request(&send_of(bob.id, MessageType::FILE, &content), &content)?;
    let head = stage.dialect.request_header_size() + stage.dialect.profile.send.size();
    let mut link = stage.link()?;
    link.send(request.get(..head + 1_000).unwrap_or_default())?;
    link.end_sending();
    link.closed()?;
    stage.text(&alice, &bob, b"whole")?;
    stage.waits("behind a message that was cut", &bob, &[b"whole"])
}

fn zeros_between(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let request = user.request(&key_of(user.id), &[])?;
    let mut link = stage.link()?;
    for zeros in [0, 1, 15, 16, 17, 500, 1_023].into_iter().filter(|zeros| *zeros <= most_zeros(stage)) {
        link.send(&[&vec![0; zeros][..], &request].concat())?;
        let found = key(user.answer(&mut link, Operation::FetchKey)?)?;
        need(found == user.key, || format!("behind {zeros} zeros another key came"))?;
    }
    link.finish()
}

/// Zeros that may be put between two requests so that the second can be told from a request of nobody. Behind 16 of them,
/// a printable id can begin as the rest of a header does ("1d": a version and a code), and REQ-FRAME-11 takes it for that.
fn most_zeros(stage: &Stage) -> usize {
    if stage.dialect.profile.printable_ids { 15 } else { 1_023 }
}

fn late_zeros(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut link = stage.link()?;
    user.list(&mut link)?;
    link.send(&vec![0; most_zeros(stage).min(1_000)])?;
    link.silence(MOMENT)?;
    user.list(&mut link)?;
    link.finish()
}

fn slow_reader(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let content = pattern(9_900);
    for _ in 0..60 {
        stage.send(&alice, &bob, MessageType::FILE, &content)?;
    }
    let mut link = stage.link()?;
    link.send(&bob.request(&PULL, &[])?)?;
    sleep(Duration::from_secs(1));
    let first = messages(bob.answer(&mut link, Operation::PullMessages)?)?;
    link.finish()?;
    let all = [first, stage.pull_all(&bob)?].concat();
    contents("a pull that was read late", &all, &vec![&content[..]; 60])
}

fn one_write(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut link = stage.link()?;
    link.send(&user.request(&key_of(user.id), &[])?)?;
    let size = link.first_receive()?;
    key(user.answer(&mut link, Operation::FetchKey)?)?;
    let whole = link.taken();
    need(size >= whole, || format!("the first receive gave {size} of {whole} bytes"))
}
