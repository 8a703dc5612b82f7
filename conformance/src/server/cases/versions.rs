//! Versions and codes that there are not.

use messageu_wire::dialect::{ByteOrder, Family};
use messageu_wire::fields::ClientId;
use messageu_wire::message::MessageType;
use messageu_wire::operations::Operation;

use crate::outcome::Outcome;
use crate::server::case::{Case, Category::Versions};
use crate::server::link::Answer;
use crate::server::stage::{DELETE, LIST, PULL, Stage, User, fresh_name, key_of, listed, refused, send_of};

pub(super) const CASES: &[Case] = &[
    Case::new(
        "ver-one-and-two",
        Versions,
        &["REQ-HEAD-2"],
        "versions 1 and 2 are both taken, and mean the same",
        one_and_two,
    )
    // By these versions, dialects of one family are told apart.
    .when(|dialect| dialect.family != Family::B && dialect.profile.name != "ascii"),
    Case::new(
        "ver-answers",
        Versions,
        &["REQ-PROF-1", "REQ-CODE-1"],
        "answers have the version and the codes of the dialect, refusals too",
        answers,
    ),
    Case::new(
        "ver-unknown-codes",
        Versions,
        &["REQ-EXT-1", "REQ-REC-5", "REQ-FRAME-13"],
        "a code that no dialect has gets one refusal, and the connection closes",
        unknown_codes,
    ),
    Case::new(
        "ver-response-code",
        Versions,
        &["REQ-EXT-1"],
        "the code of a response is none of a request",
        response_code,
    ),
    Case::new(
        "ver-nothing-behind-unknown",
        Versions,
        &["REQ-FRAME-13", "REQ-REC-5"],
        "what follows a code that no dialect has is not served",
        nothing_behind_unknown,
    ),
    Case::new(
        "ver-http",
        Versions,
        &["REQ-REC-5"],
        "another protocol gets a refusal, and the connection closes",
        http,
    ),
    Case::new(
        "ver-three-in-the-clear",
        Versions,
        &["REQ-EXT-1"],
        "codes of version 3 are none outside of TLS",
        three_in_the_clear,
    ),
    Case::new(
        "ver-delete-of-another-profile",
        Versions,
        &["REQ-DEL-2", "REQ-CODE-3"],
        "delete_client is refused to whoever registered in another profile than big-endian",
        delete_of_another_profile,
    )
    .when(|dialect| dialect.family == Family::D && !dialect.profile.deletable),
];

fn one_and_two(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    for version in [1, 2, 1] {
        let mut link = stage.link()?;
        link.send(&user.request_of_version(version, &LIST, &[])?)?;
        listed(user.answer(&mut link, Operation::ListClients)?)?;
        link.finish()?;
    }
    Ok(())
}

/// That each answer is as the dialect has it is checked wherever one is read.
fn answers(stage: &Stage) -> Outcome {
    let (alice, bob) = stage.pair()?;
    listed(stage.ask(&alice, &LIST, &[])?)?;
    crate::server::stage::key(stage.ask(&alice, &key_of(bob.id), &[])?)?;
    let to_nobody = send_of(ClientId([0xa5; 16]), MessageType::TEXT, b"text");
    stage.refused("a message to nobody", &alice, &to_nobody, b"text")?;
    stage.text(&alice, &bob, b"text")?;
    stage.waits("a text", &bob, &[b"text"])
}

/// A request whose code is another. Behind it is what fits no layout.
fn with_code(stage: &Stage, user: &User, code: u16) -> Outcome<Vec<u8>> {
    let mut request = user.request(&LIST, &[])?;
    let wide = match stage.dialect.profile.byte_order {
        ByteOrder::Little => code.to_le_bytes(),
        ByteOrder::Big => code.to_be_bytes(),
    };
    let narrow = [u8::try_from(code).unwrap_or(0xff)];
    let bytes = if stage.dialect.family == Family::A { &narrow[..] } else { &wide[..] };
    for (to, from) in request.iter_mut().skip(17).zip(bytes) {
        *to = *from;
    }
    request.extend([0xee; 64]);
    Ok(request)
}

fn no_request(stage: &Stage, user: &User, request: &[u8]) -> Outcome {
    let mut link = stage.link()?;
    link.pour(request);
    link.refused_and_closed(stage.dialect, user.id)
}

fn unknown_codes(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    // None of them is another dialect's when its bytes are read in another order or width.
    for code in [0, 1, 99, 105, 255, 505, 599, 606, 699, 705, 999, 1005, 1099, 1105, 9000, 0xffff] {
        no_request(stage, &user, &with_code(stage, &user, code)?)?;
    }
    stage.is_well()
}

fn response_code(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let code = Operation::ListClients.codes(stage.dialect.family).map_or(0, |codes| codes.response);
    no_request(stage, &user, &with_code(stage, &user, code)?)
}

fn nothing_behind_unknown(stage: &Stage) -> Outcome {
    let user = stage.user()?;
    let mut request = with_code(stage, &user, 9000)?;
    request.extend(user.request(&PULL, &[])?);
    no_request(stage, &user, &request)?;
    stage.is_well()
}

fn http(stage: &Stage) -> Outcome {
    let request = b"GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n";
    let mut link = stage.link()?;
    link.pour(request);
    link.refused_and_closed(stage.dialect, ClientId(*b"GET / HTTP/1.1\r\n"))
}

fn three_in_the_clear(stage: &Stage) -> Outcome {
    // client id 16, version 3, code 3000, size 0, tag
    let request = [&[0xa5; 16][..], &[3, 0xb8, 0x0b, 0, 0, 0, 0, 1, 0, 0, 0]].concat();
    let mut link = stage.link()?;
    link.pour(&request);
    link.refused_and_closed(stage.dialect, ClientId([0xa5; 16]))
}

fn delete_of_another_profile(stage: &Stage) -> Outcome {
    let user = stage.register(&User::nobody(stage.dialect, &fresh_name()))?;
    let answer: Answer = stage.ask(&user, &DELETE, &[])?;
    refused("a deletion by somebody who may not", &answer)?;
    listed(stage.ask(&user, &LIST, &[])?).map(drop)
}
