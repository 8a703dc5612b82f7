//! Each field with what does not belong in it.

use messageu_wire::dialect::{ByteOrder, Family, HeaderLayout};
use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use messageu_wire::operations::{Operation, Request};

use crate::outcome::{Outcome, need, same};
use crate::server::case::{Case, Category::Fields, sizes_sends};
use crate::server::stage::{
    LIST, PULL, Stage, User, fresh_name, key, key_of, name_field, pattern, random_key, receipt, register_of,
    send_of, unknown_id,
};

pub(super) const CASES: &[Case] = &[
    Case::new("field-name-empty", Fields, &["REQ-REG-2"], "an empty name is refused", name_empty),
    Case::new(
        "field-name-unterminated",
        Fields,
        &["REQ-REG-2"],
        "a name without its NUL is refused",
        name_unterminated,
    ),
    Case::new(
        "field-name-control",
        Fields,
        &["REQ-REG-2"],
        "a name with a control character is refused",
        name_control,
    ),
    Case::new(
        "field-name-not-ascii",
        Fields,
        &["REQ-REG-2"],
        "a name with a byte above 7e is refused",
        name_not_ascii,
    ),
    Case::new(
        "field-name-edges",
        Fields,
        &["REQ-REG-2"],
        "the first and the last printable character are taken",
        name_edges,
    ),
    Case::new("field-name-taken", Fields, &["REQ-REG-2"], "a name that is taken is refused", name_taken),
    Case::new(
        "field-name-case",
        Fields,
        &["REQ-REG-2", "REQ-ID-6"],
        "names that differ in case alone are two",
        name_case,
    ),
    Case::new(
        "field-name-prefix",
        Fields,
        &["REQ-REG-2", "REQ-ID-6"],
        "a name that another begins with is another",
        name_prefix,
    ),
    Case::new("field-key-unknown", Fields, &["REQ-KEY-1"], "the key of nobody is refused", key_unknown),
    Case::new(
        "field-send-to-unknown",
        Fields,
        &["REQ-SEND-1"],
        "a message to nobody is refused",
        send_to_unknown,
    ),
    Case::new(
        "field-send-type",
        Fields,
        &["REQ-SEND-1"],
        "messages of types 0, 5 and above are refused",
        send_type,
    )
    .when(sizes_sends),
    Case::new(
        "field-type-of-aligned-send",
        Fields,
        &["REQ-REC-1", "REQ-REC-5"],
        "a send in aligned structures with another type than 1 to 4 is no request",
        aligned_send_of_wrong_type,
    )
    .when(|dialect| !sizes_sends(dialect)),
    Case::new("field-send-asker", Fields, &["REQ-SEND-1"], "a message from nobody is refused", send_asker),
    Case::new("field-list-asker", Fields, &["REQ-LIST-1"], "a list for nobody is refused", |stage| {
        asker(stage, &LIST)
    }),
    Case::new("field-pull-asker", Fields, &["REQ-PULL-1"], "a pull of nobody is refused", |stage| {
        asker(stage, &PULL)
    }),
    Case::new(
        "field-asker-one-bit",
        Fields,
        &["REQ-LIST-1", "REQ-PULL-1"],
        "an id that differs in one bit is somebody else's",
        asker_one_bit,
    ),
    Case::new(
        "field-size-of-list",
        Fields,
        &["REQ-REC-5", "REQ-REC-3"],
        "a list that declares a payload is no request",
        |stage| sizes(stage, Operation::ListClients, &[1, 16, 271]),
    ),
    Case::new(
        "field-size-of-pull",
        Fields,
        &["REQ-REC-5", "REQ-REC-3"],
        "a pull that declares a payload is no request",
        |stage| sizes(stage, Operation::PullMessages, &[1, 16, 25]),
    ),
    Case::new(
        "field-size-of-registration",
        Fields,
        &["REQ-REC-5", "REQ-REC-3"],
        "a registration that declares another size than 415 is no request",
        |stage| sizes(stage, Operation::Register, &[0, 255, 414, 416]),
    ),
    Case::new(
        "field-size-of-key-request",
        Fields,
        &["REQ-REC-5", "REQ-REC-3"],
        "a key request that declares another size than 16 or 0 is no request",
        |stage| sizes(stage, Operation::FetchKey, &[1, 15, 17, 32]),
    ),
    Case::new(
        "field-size-of-send",
        Fields,
        &["REQ-REC-5", "REQ-HEAD-3"],
        "a send whose size contradicts that of its content is no request",
        size_of_send,
    )
    .when(sizes_sends),
    Case::new(
        "field-size-of-key-request-zero",
        Fields,
        &["REQ-REC-4"],
        "a key request that declares nothing is served, also if its 16 bytes come later",
        key_request_declares_nothing,
    ),
    Case::new(
        "field-size-of-send-three-more",
        Fields,
        &["REQ-REC-4"],
        "a send that declares three bytes more than it has is served",
        send_declares_three_more,
    )
    .when(sizes_sends),
    Case::new(
        "field-size-of-empty-send",
        Fields,
        &["REQ-REC-4"],
        "an empty key request is served whatever size it declares",
        empty_send_declares_garbage,
    )
    .when(sizes_sends),
    Case::new(
        "field-size-of-aligned-send",
        Fields,
        &["REQ-REC-1", "REQ-HEAD-3"],
        "the declared size of a send in aligned structures means nothing",
        aligned_send_declares_garbage,
    )
    .when(|dialect| !sizes_sends(dialect)),
];

fn refused_name(stage: &Stage, what: &str, name: &[u8]) -> Outcome {
    let nobody = User::nobody(stage.dialect, &fresh_name());
    stage.refused(what, &nobody, &register_of(name_field(name), random_key()), &[])
}

fn name_empty(stage: &Stage) -> Outcome {
    refused_name(stage, "an empty name", &[])?;
    refused_name(stage, "an empty name with something behind it", b"\0behind")
}

fn name_unterminated(stage: &Stage) -> Outcome {
    let mut name = fresh_name().into_bytes();
    name.resize(255, b'x');
    refused_name(stage, "a name of 255 characters", &name)
}

fn name_control(stage: &Stage) -> Outcome {
    for byte in [1, 9, 10, 13, 27, 31, 127] {
        let name = [fresh_name().as_bytes(), &[byte], b"x"].concat();
        refused_name(stage, &format!("a name with the byte {byte:02x}"), &name)?;
    }
    Ok(())
}

fn name_not_ascii(stage: &Stage) -> Outcome {
    for bytes in [&[0x80][..], &[0xff], "é".as_bytes(), "ש".as_bytes()] {
        let name = [fresh_name().as_bytes(), bytes].concat();
        refused_name(stage, &format!("a name with the bytes {bytes:02x?}"), &name)?;
    }
    Ok(())
}

fn name_edges(stage: &Stage) -> Outcome {
    let name = format!("~ {}", fresh_name());
    stage.register(&User::nobody(stage.dialect, &name)).map(drop)
}

fn name_taken(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    refused_name(stage, "a name that is taken", user.name.as_bytes())?;
    let behind = [user.name.as_bytes(), b"\0behind"].concat();
    refused_name(stage, "a name that is taken, with something behind its end", &behind)?;
    same("the key of who has the name", &stage.key(&user, user.id)?, &user.key)
}

fn name_case(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let other = User::nobody(stage.dialect, &user.name.to_uppercase());
    let other = stage.register(&other)?;
    need(other.id != user.id, || "two names have one id".to_owned())
}

fn name_prefix(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let longer = User::nobody(stage.dialect, &format!("{}x", user.name));
    let shorter = User::nobody(stage.dialect, user.name.get(..18).unwrap_or_default());
    stage.register(&longer)?;
    stage.register(&shorter).map(drop)
}

fn key_unknown(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    for id in [unknown_id(), ClientId::NOBODY, ClientId([0xff; 16])] {
        stage.refused(&format!("the key of {id}"), &user, &key_of(id), &[])?;
    }
    Ok(())
}

fn send_to_unknown(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    for id in [unknown_id(), ClientId::NOBODY] {
        let request = send_of(id, MessageType::TEXT, b"hello");
        stage.refused(&format!("a message to {id}"), &user, &request, b"hello")?;
    }
    Ok(())
}

fn send_type(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    for kind in [0, 5, 9, 128, 255] {
        let request = send_of(bob.id, MessageType(kind), b"hello");
        stage.refused(&format!("a message of type {kind}"), &alice, &request, b"hello")?;
    }
    stage.waits("refused messages", &bob, &[])
}

fn send_asker(stage: &Stage) -> Outcome {
    let bob = stage.user()?;
    for id in [unknown_id(), ClientId::NOBODY] {
        let request = send_of(bob.id, MessageType::TEXT, b"hello");
        stage.refused(&format!("a message from {id}"), &bob.as_if(id), &request, b"hello")?;
    }
    stage.waits("messages from nobody", &bob, &[])
}

fn asker(stage: &Stage, request: &Request) -> Outcome {
    let user = stage.user()?;
    for id in [unknown_id(), ClientId::NOBODY] {
        let operation = request.operation();
        stage.refused(&format!("{operation}, asked by {id}"), &user.as_if(id), request, &[])?;
    }
    Ok(())
}

fn asker_one_bit(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    for at in [0, 7] {
        let mut id = user.id;
        id.0.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x10);
        stage.refused("a list for an id that differs in one bit", &user.as_if(id), &LIST, &[])?;
        stage.refused("a pull of an id that differs in one bit", &user.as_if(id), &PULL, &[])?;
    }
    Ok(())
}

/// Puts another size into a request's header.
pub(super) fn set_size(stage: &Stage, request: &mut [u8], size: u32) {
    let dialect = stage.dialect;
    let at = match (dialect.profile.header, dialect.family) {
        (HeaderLayout::Packed, Family::A) => 18,
        (HeaderLayout::Packed, _) => 19,
        (HeaderLayout::Aligned, _) => 20,
    };
    let bytes = match dialect.profile.byte_order {
        ByteOrder::Little => size.to_le_bytes(),
        ByteOrder::Big => size.to_be_bytes(),
    };
    request.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = from);
}

/// A request with another size in its header is none.
pub(super) fn with_size(stage: &Stage, request: &[u8], size: u32) -> Outcome {
    let mut request = request.to_vec();
    set_size(stage, &mut request, size);
    let id = request.first_chunk().copied().map(ClientId).unwrap_or_default();
    // What follows fits no other layout either, of those that would wait for more.
    request.extend([0xee; 64]);
    let mut link = stage.link()?;
    link.pour(&request);
    link.refused_and_closed(stage.dialect, id)
}

fn sizes(stage: &Stage, operation: Operation, sizes: &[u32]) -> Outcome {
    let user = stage.user()?;
    let nobody = User::nobody(stage.dialect, &fresh_name());
    let request = match operation {
        Operation::Register => nobody.register_request()?,
        Operation::FetchKey => user.request(&key_of(user.id), &[])?,
        Operation::PullMessages => user.request(&PULL, &[])?,
        _ => user.request(&LIST, &[])?,
    };
    sizes.iter().try_for_each(|size| with_size(stage, &request, *size))?;
    let is_listed = stage.list(&user)?.iter().any(|(_, name)| *name == nobody.name);
    need(!is_listed, || "a registration that is none has made an account".to_owned())
}

fn size_of_send(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let content = pattern(40);
    let request = alice.request(&send_of(bob.id, MessageType::TEXT, &content), &content)?;
    for size in [0, 20, 40, 60, 62, 63, 65, 1_000] {
        with_size(stage, &request, size)?;
    }
    stage.waits("sends that are none", &bob, &[])
}

fn key_request_declares_nothing(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut request = user.request(&key_of(user.id), &[])?;
    set_size(stage, &mut request, 0);
    for cut in [0, stage.dialect.request_header_size()] {
        let (front, rest) = request.split_at(cut.min(request.len()));
        let mut link = stage.link()?;
        if !front.is_empty() {
            link.send(front)?;
            link.silence(std::time::Duration::from_millis(50))?;
        }
        link.send(rest)?;
        same("the key", &key(user.answer(&mut link, Operation::FetchKey)?)?, &user.key)?;
        link.finish()?;
    }
    Ok(())
}

fn declares(stage: &Stage, kind: MessageType, content: &[u8], sizes: &[u32]) -> Outcome {
    let (alice, bob) = stage.pair()?;
    let mut request = alice.request(&send_of(bob.id, kind, content), content)?;
    for size in sizes {
        set_size(stage, &mut request, *size);
        let mut link = stage.link()?;
        link.send(&request)?;
        receipt(&alice.answer(&mut link, Operation::SendMessage)?, bob.id)?;
        link.finish()?;
    }
    same("how many messages came", &stage.pull_all(&bob)?.len(), &sizes.len())
}

fn send_declares_three_more(stage: &Stage) -> Outcome {
    declares(stage, MessageType::TEXT, &pattern(40), &[64])
}

fn empty_send_declares_garbage(stage: &Stage) -> Outcome {
    declares(stage, MessageType::KEY_REQUEST, &[], &[0, 24, 0x8130_008b, u32::MAX])
}

fn aligned_send_declares_garbage(stage: &Stage) -> Outcome {
    declares(stage, MessageType::TEXT, &pattern(40), &[0, 21, 0x8130_008b, u32::MAX])
}

fn aligned_send_of_wrong_type(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    for kind in [0, 5, 255] {
        let mut link = stage.link()?;
        link.pour(&alice.request(&send_of(bob.id, MessageType(kind), b"hello"), b"hello")?);
        link.refused_and_closed(stage.dialect, alice.id)?;
    }
    stage.waits("sends that are none", &bob, &[])
}
