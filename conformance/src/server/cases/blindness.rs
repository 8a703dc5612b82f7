//! A server that only forwards: it changes nothing, and shows nothing to others.

use messageu_wire::message::MessageType;

use crate::outcome::{Outcome, need, same};
use crate::server::case::{Case, Category::Blindness};
use crate::server::stage::{LIST, PULL, Stage, key_of, pattern, random_bytes};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "blind-content",
        Blindness,
        &["REQ-SEND-3", "REQ-SRV-5"],
        "contents arrive as they were sent, whatever bytes they are made of",
        content,
    ),
    Case::new(
        "blind-content-like-frames",
        Blindness,
        &["REQ-SEND-3", "REQ-FRAME-4"],
        "contents that look like requests, padding or TLS are contents",
        content_like_frames,
    ),
    Case::new(
        "blind-canary",
        Blindness,
        &["REQ-PULL-3", "REQ-SRV-2"],
        "a content is in the answer to its recipient's pull and in no other",
        canary,
    ),
    Case::new(
        "blind-same-content",
        Blindness,
        &["REQ-SEND-4"],
        "two messages of the same content are two messages",
        same_content,
    ),
];

fn content(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let sent =
        [pattern(9_000), random_bytes(4_097), vec![0; 2_000], vec![0xff; 1_000], b"ends in a NUL\0".to_vec()];
    for content in &sent {
        stage.send(&alice, &bob, MessageType::FILE, content)?;
    }
    let sent: Vec<&[u8]> = sent.iter().map(|content| &content[..]).collect();
    stage.waits("contents of all kinds", &bob, &sent)
}

fn content_like_frames(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let request = bob.request(&PULL, &[])?;
    let sent = [request.clone(), [&[0; 64][..], &request].concat(), vec![0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]];
    for content in &sent {
        stage.text(&alice, &bob, content)?;
    }
    let sent: Vec<&[u8]> = sent.iter().map(|content| &content[..]).collect();
    stage.waits("contents that look like something else", &bob, &sent)
}

fn canary(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let carol = stage.user()?;
    let secret = random_bytes(32);
    stage.text(&alice, &bob, &secret)?;
    for user in [&alice, &carol] {
        for request in [LIST, PULL, key_of(bob.id), key_of(alice.id)] {
            let mut link = stage.link()?;
            link.send(&user.request(&request, &[])?)?;
            link.end_sending();
            let (found, _) = link.rest()?;
            let leaks = found.windows(secret.len()).any(|window| window == secret);
            need(!leaks, || {
                format!("a content for somebody else is in the answer to {}", request.operation())
            })?;
            need(!found.is_empty(), || format!("{} is not answered", request.operation()))?;
        }
    }
    stage.waits("the secret", &bob, &[&secret])
}

fn same_content(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(stage.text(&alice, &bob, b"again")?);
    }
    numbers.dedup();
    if numbers.iter().all(Option::is_some) {
        same("how many numbers three messages have", &numbers.len(), &3)?;
    }
    stage.waits("the same three times", &bob, &[b"again", b"again", b"again"])
}
