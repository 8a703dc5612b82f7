//! Sizes, numbers, and abuse.

use messageu_wire::message::{CONTENT_MAX, MessageType};
use messageu_wire::operations::Operation;

use crate::outcome::{Outcome, need, same};
use crate::server::case::{Case, Category::Limits, sizes_sends, stays_open};
use crate::server::cases::fields::with_size;
use crate::server::stage::{
    LIST, Stage, User, contents, fresh_name, key_of, listed, pattern, random_bytes, send_of,
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "lim-content-above-the-wire",
        Limits,
        &["REQ-LIM-1", "REQ-LIM-2", "REQ-SRV-1"],
        "a send that announces 2^32 - 28 bytes is refused before any of them come",
        content_above_the_wire,
    )
    .when(sizes_sends),
    Case::new(
        "lim-list-of-4-gib",
        Limits,
        &["REQ-LIM-1", "REQ-REC-3"],
        "a list that declares 2^32 - 1 bytes is refused before any of them come",
        |stage| huge(stage, Operation::ListClients),
    ),
    Case::new(
        "lim-pull-of-4-gib",
        Limits,
        &["REQ-LIM-1", "REQ-REC-3"],
        "a pull that declares 2^32 - 1 bytes is refused before any of them come",
        |stage| huge(stage, Operation::PullMessages),
    ),
    Case::new(
        "lim-registration-of-4-gib",
        Limits,
        &["REQ-LIM-1", "REQ-REC-3"],
        "a registration that declares 2^32 - 1 bytes is refused before any of them come",
        |stage| huge(stage, Operation::Register),
    ),
    Case::new(
        "lim-key-of-4-gib",
        Limits,
        &["REQ-LIM-1", "REQ-REC-3"],
        "a key request that declares 2^32 - 1 bytes is refused before any of them come",
        |stage| huge(stage, Operation::FetchKey),
    ),
    Case::new(
        "lim-content-empty",
        Limits,
        &["REQ-SEND-3"],
        "an empty content is taken and delivered, whatever the type",
        content_empty,
    )
    // A pull that counts contents alone cannot show one that is empty.
    .when(|dialect| dialect.profile.entry_counted > 0),
    Case::new(
        "lim-content-around-blocks",
        Limits,
        &["REQ-SEND-3", "REQ-FRAME-4"],
        "contents of sizes around multiples of blocks arrive whole",
        content_around_blocks,
    ),
    Case::new(
        "lim-content-around-64-kib",
        Limits,
        &["REQ-SEND-3", "REQ-REC-7"],
        "contents around 64 KiB arrive whole",
        content_around_64_kib,
    )
    .when(sizes_sends),
    Case::new(
        "lim-content-of-1-mib",
        Limits,
        &["REQ-SEND-3", "REQ-SEND-7"],
        "a content of a mebibyte arrives whole",
        content_of_1_mib,
    )
    .when(sizes_sends),
    Case::new(
        "lim-many-messages",
        Limits,
        &["REQ-PULL-3", "REQ-SEND-5"],
        "two hundred messages that wait come once each, oldest first, in as many pulls as the server likes",
        many_messages,
    ),
    Case::new(
        "lim-many-connections",
        Limits,
        &["REQ-FRAME-1", "REQ-FRAME-3"],
        "24 connections at once are served, each in its turn",
        many_connections,
    )
    .when(stays_open),
    Case::new(
        "lim-silent-connections",
        Limits,
        &["REQ-FRAME-1"],
        "connections that say nothing, or half a request, hold up nobody",
        silent_connections,
    ),
    Case::new(
        "lim-zeros-without-end",
        Limits,
        &["REQ-FRAME-11", "REQ-FRAME-13"],
        "more zeros than may stand between two requests are refused, and end the connection",
        zeros_without_end,
    )
    .when(stays_open),
    Case::new(
        "lim-garbage-flood",
        Limits,
        &["REQ-REC-5", "REQ-FRAME-14"],
        "a mebibyte of garbage gets one refusal, and the connection closes",
        garbage_flood,
    ),
    Case::new(
        "lim-resets",
        Limits,
        &["REQ-FRAME-16"],
        "connections that break within a request, one after the other, leave the server well",
        resets,
    ),
    Case::new(
        "lim-longest-name",
        Limits,
        &["REQ-REG-2", "REQ-ID-6"],
        "a name may have 254 characters, and one that is shorter by the last is another",
        longest_name,
    ),
];

fn content_above_the_wire(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let size = CONTENT_MAX + 1;
    let head = messageu_wire::operation::send_message::Request { to: bob.id, kind: MessageType::FILE, size };
    let request = stage.dialect.encode_request(alice.version(), alice.id, &head.into()).unwrap_or_default();
    let mut link = stage.link()?;
    link.send(&request)?;
    link.refused_and_closed(stage.dialect, alice.id)
}

fn huge(stage: &Stage, operation: Operation) -> Outcome {
    let user = stage.user()?;
    let request = match operation {
        Operation::Register => User::nobody(stage.dialect, &fresh_name()).register_request()?,
        Operation::FetchKey => user.request(&key_of(user.id), &[])?,
        Operation::PullMessages => user.request(&crate::server::stage::PULL, &[])?,
        _ => user.request(&LIST, &[])?,
    };
    with_size(stage, &request, u32::MAX)
}

fn content_empty(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    for kind in 1..=4 {
        stage.send(&alice, &bob, MessageType(kind), &[])?;
    }
    let pulled = stage.pull_all(&bob)?;
    same("how many messages came", &pulled.len(), &4)?;
    for (message, kind) in pulled.iter().zip(1..) {
        same("the type", &message.kind, &MessageType(kind))?;
        let filler = if kind == 1 { stage.dialect.profile.key_request_filler } else { 0 };
        same("the size of an empty content", &message.content.len(), &usize::try_from(filler).unwrap_or(0))?;
    }
    Ok(())
}

fn each_of(stage: &Stage, sizes: &[usize]) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let sent: Vec<Vec<u8>> = sizes.iter().map(|size| pattern(*size)).collect();
    for content in &sent {
        stage.send(&alice, &bob, MessageType::FILE, content)?;
    }
    let sent: Vec<&[u8]> = sent.iter().map(|content| &content[..]).collect();
    stage.waits("contents of many sizes", &bob, &sent)
}

fn content_around_blocks(stage: &Stage) -> Outcome {
    let heads = stage.dialect.request_header_size() + stage.dialect.profile.send.size();
    let block = 1_024 - heads;
    each_of(stage, &[1, 2, block - 1, block, block + 1, block + 1_024, 4_095, 4_096, 4_097, 10_000])
}

fn content_around_64_kib(stage: &Stage) -> Outcome {
    let heads = stage.dialect.request_header_size() + stage.dialect.profile.send.size();
    each_of(stage, &[65_535, 65_536, 65_537, 65_536 - heads, 65_537 - heads])
}

fn content_of_1_mib(stage: &Stage) -> Outcome {
    each_of(stage, &[1 << 20, 3])
}

fn many_messages(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let sent: Vec<Vec<u8>> = (0..200_u32).map(|number| number.to_be_bytes().to_vec()).collect();
    if stays_open(stage.dialect) {
        let mut link = stage.link()?;
        for content in &sent {
            let answer = alice.ask(&mut link, &send_of(bob.id, MessageType::TEXT, content), content)?;
            crate::server::stage::receipt(&answer, bob.id)?;
        }
        link.finish()?;
    } else {
        sent.iter().try_for_each(|content| stage.text(&alice, &bob, content).map(drop))?;
    }
    let sent: Vec<&[u8]> = sent.iter().map(|content| &content[..]).collect();
    stage.waits("two hundred messages", &bob, &sent)
}

fn many_connections(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut links = Vec::new();
    for _ in 0..24 {
        links.push(stage.link()?);
    }
    for _ in 0..2 {
        for link in &mut links {
            same("a key", &crate::server::stage::key(user.ask(link, &key_of(user.id), &[])?)?, &user.key)?;
        }
    }
    Ok(())
}

fn silent_connections(stage: &Stage) -> Outcome {
    let request = User::nobody(stage.dialect, &fresh_name()).register_request()?;
    let mut held = Vec::new();
    for count in 0..10 {
        let mut link = stage.link()?;
        if count % 2 == 0 {
            link.send(request.get(..60).unwrap_or_default())?;
        }
        held.push(link);
    }
    stage.is_well()
}

fn zeros_without_end(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut link = stage.link()?;
    let answer = user.ask(&mut link, &LIST, &[])?;
    listed(answer)?;
    link.pour(&[0; 5_000]);
    link.refused_and_closed(stage.dialect, messageu_wire::fields::ClientId::NOBODY)
}

fn garbage_flood(stage: &Stage) -> Outcome {
    let mut garbage = random_bytes(1 << 20);
    // A code that no dialect has.
    garbage.iter_mut().take(24).for_each(|byte| *byte = 0xff);
    let mut link = stage.link()?;
    link.pour(&garbage);
    link.refused_and_closed(stage.dialect, messageu_wire::fields::ClientId([0xff; 16]))
}

fn resets(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let content = pattern(2_000);
    let request = alice.request(&send_of(bob.id, MessageType::FILE, &content), &content)?;
    for count in 0..30_usize {
        let mut link = stage.link()?;
        link.send(request.get(..5 + 60 * count).unwrap_or_default())?;
        link.reset();
    }
    stage.text(&alice, &bob, b"still there")?;
    let pulled = stage.pull_all(&bob)?;
    contents("behind requests that broke", &pulled, &[b"still there"])
}

fn longest_name(stage: &Stage) -> Outcome {
    let mut name = fresh_name();
    name.extend(std::iter::repeat_n('x', 254 - name.len()));
    let shorter = name.get(..253).unwrap_or_default().to_owned();
    let (long, short) = (User::nobody(stage.dialect, &name), User::nobody(stage.dialect, &shorter));
    let (long, short) = (stage.register(&long)?, stage.register(&short)?);
    let watcher = stage.user()?;
    let list = stage.list(&watcher)?;
    for user in [long, short] {
        need(list.contains(&(user.id, user.name.clone())), || {
            format!("a name of {} characters is not in the list as it was registered", user.name.len())
        })?;
    }
    Ok(())
}
