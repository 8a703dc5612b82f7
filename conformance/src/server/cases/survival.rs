//! What comes after an error.

use std::thread::sleep;
use std::time::Duration;

use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use messageu_wire::operations::{Operation, Request};

use crate::outcome::{Outcome, need};
use crate::server::case::{Case, Category::Survival, sizes_sends, stays_open};
use crate::server::stage::{
    LIST, PULL, Stage, User, fresh_name, key_of, listed, name_field, pattern, random_bytes, refused,
    register_of, send_of, unknown_id,
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "survive-each-refusal",
        Survival,
        &["REQ-SRV-2", "REQ-FRAME-3"],
        "after a refusal of each operation the connection goes on",
        each_refusal,
    )
    .when(stays_open),
    Case::new(
        "survive-many-refusals",
        Survival,
        &["REQ-SRV-2"],
        "a hundred refusals on a connection are followed by an answer",
        many_refusals,
    )
    .when(stays_open),
    Case::new(
        "survive-refusal-is-empty",
        Survival,
        &["REQ-SRV-2"],
        "a refusal has the code 9000 and no payload, whatever the reason",
        refusal_is_empty,
    ),
    Case::new(
        "survive-refused-without-effect",
        Survival,
        &["REQ-SRV-2", "REQ-SEND-1"],
        "what was refused has no effect",
        refused_without_effect,
    ),
    Case::new(
        "survive-refusal-arrives",
        Survival,
        &["REQ-FRAME-14"],
        "the refusal before a close arrives, and no reset behind it, though the peer has sent more",
        refusal_arrives,
    ),
    Case::new(
        "survive-garbage-behind",
        Survival,
        &["REQ-FRAME-8", "REQ-FRAME-13"],
        "a request before garbage is answered; then comes a refusal, and the end",
        garbage_behind,
    )
    .when(stays_open),
    Case::new(
        "survive-garbage",
        Survival,
        &["REQ-REC-5"],
        "a server that was sent garbage serves others as before",
        garbage,
    ),
    Case::new(
        "survive-neighbour",
        Survival,
        &["REQ-FRAME-13"],
        "garbage on one connection does nothing to another that is open",
        neighbour,
    )
    .when(stays_open),
];

/// A request of each operation that has to be refused.
fn wrong_requests(stage: &Stage) -> Outcome<Vec<(User, Request, Vec<u8>)>> {
    let user = stage.user()?;
    let nobody = user.as_if(unknown_id());
    let register = register_of(name_field(b""), user.key);
    let mut wrong = vec![
        (User::nobody(stage.dialect, &fresh_name()), register, Vec::new()),
        (nobody.clone(), LIST, Vec::new()),
        (user.clone(), key_of(unknown_id()), Vec::new()),
        (user.clone(), send_of(unknown_id(), MessageType::TEXT, b"hello"), b"hello".to_vec()),
        (nobody, PULL, Vec::new()),
    ];
    if sizes_sends(stage.dialect) {
        wrong.push((user.clone(), send_of(user.id, MessageType(7), b"hello"), b"hello".to_vec()));
    }
    Ok(wrong)
}

fn each_refusal(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut link = stage.link()?;
    for (asker, request, content) in wrong_requests(stage)? {
        refused("a wrong request", &asker.ask(&mut link, &request, &content)?)?;
        user.list(&mut link)?;
    }
    link.finish()
}

fn many_refusals(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut link = stage.link()?;
    for _ in 0..100 {
        refused("the key of nobody", &user.ask(&mut link, &key_of(unknown_id()), &[])?)?;
    }
    user.list(&mut link)?;
    link.finish()
}

/// That nothing is in a refusal, or behind it, is checked wherever one is read.
fn refusal_is_empty(stage: &Stage) -> Outcome {
    wrong_requests(stage)?.into_iter().try_for_each(|(asker, request, content)| {
        stage.refused("a wrong request", &asker, &request, &content)
    })
}

fn refused_without_effect(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let before = stage.list(&alice)?.len();
    let nobody = alice.as_if(unknown_id());
    stage.refused("a message from nobody", &nobody, &send_of(bob.id, MessageType::TEXT, b"no"), b"no")?;
    stage.refused("a message to nobody", &alice, &send_of(unknown_id(), MessageType::TEXT, b"no"), b"no")?;
    let taken = User::nobody(stage.dialect, &bob.name);
    stage.refused(
        "a name that is taken",
        &taken,
        &register_of(name_field(bob.name.as_bytes()), taken.key),
        &[],
    )?;
    stage.waits("refused messages", &bob, &[])?;
    need(stage.key(&alice, bob.id)? == bob.key, || "a refused registration changed a key".to_owned())?;
    need(stage.list(&alice)?.len() >= before, || "somebody is gone from the list".to_owned())
}

fn refusal_arrives(stage: &Stage) -> Outcome {
    let mut garbage = random_bytes(200_000);
    garbage.iter_mut().take(24).for_each(|byte| *byte = 0xff);
    let mut link = stage.link()?;
    link.pour(&garbage);
    sleep(Duration::from_millis(300));
    link.refused_and_ended(stage.dialect, ClientId([0xff; 16]))
}

fn garbage_behind(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut link = stage.link()?;
    link.send(&[user.request(&LIST, &[])?, vec![0xff; 100]].concat())?;
    listed(user.answer(&mut link, Operation::ListClients)?)?;
    link.refused_and_closed(stage.dialect, ClientId([0xff; 16]))
}

fn garbage(stage: &Stage) -> Outcome {
    for size in [1, 23, 100, 5_000] {
        let mut link = stage.link()?;
        link.pour(&vec![0xff; size]);
        link.end_sending();
        let (found, _) = link.rest()?;
        need(found.len() <= 1_024, || format!("garbage was answered with {} bytes", found.len()))?;
    }
    stage.is_well()
}

fn neighbour(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut open = stage.link()?;
    user.list(&mut open)?;
    let mut other = stage.link()?;
    other.pour(&[vec![0xff; 24], pattern(100)].concat());
    other.refused_and_closed(stage.dialect, ClientId([0xff; 16]))?;
    user.list(&mut open)?;
    open.finish()
}
