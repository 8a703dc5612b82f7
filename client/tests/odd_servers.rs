//! Servers as they are in the wild: each test is one oddity, and what the program makes of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test should stop"
)]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use messageu_envelope::legacy::{LegacyIv, LegacyKey, legacy_seal};
use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::fields::{ClientId, MessageId, Name, NameField, PublicKey};
use messageu_wire::frame::Received;
use messageu_wire::message::MessageType;
use messageu_wire::operation::{fetch_key, list_clients, pull_messages, send_message};
use messageu_wire::operations::{Operation, Request};
use support::{Fake, ME, Reply, Run, User, answer, family_d, refusal, registered, shown};

const BOB: ClientId = ClientId(*b"bob's client id!");

fn entry(id: ClientId, name: &str) -> list_clients::Entry {
    list_clients::Entry { client_id: id, name: NameField::from(&Name::new(name).unwrap()) }
}

fn list_of_bob() -> Reply {
    Reply::Answer(answer(family_d(), list_clients::Response { clients: vec![entry(BOB, "bob")] }))
}

/// Key requests from bob, with these ids: messages that show without a key.
fn key_requests(ids: &[u32]) -> Vec<u8> {
    let message = |id: &u32| pull_messages::Message {
        message_id: Some(MessageId(*id)),
        ..from_bob(MessageType::KEY_REQUEST, Vec::new())
    };
    answer(family_d(), pull_messages::Response { messages: ids.iter().map(message).collect() })
}

/// A message from bob.
fn from_bob(kind: MessageType, content: Vec<u8>) -> pull_messages::Message {
    pull_messages::Message { from: BOB, message_id: Some(MessageId(1)), kind, content }
}

/// Gives a registered user the key that is shared with bob.
fn share_key(user: &User) {
    let keys = format!("{{ \"{BOB}\": {{ \"key\": \"{}\" }} }}", "07".repeat(16));
    std::fs::write(user.path(".messageu").join(ME.to_string()).join("keys.json"), keys).unwrap();
}

/// A content as bob seals it.
fn sealed(content: &[u8]) -> Vec<u8> {
    legacy_seal(&LegacyKey::from_bytes(&[7; 16]), LegacyIv::Zero, content, &mut rand::rng())
}

fn only_download(user: &User) -> Vec<u8> {
    let mut saved = std::fs::read_dir(user.path("downloads")).unwrap();
    let content = std::fs::read(saved.next().unwrap().unwrap().path()).unwrap();
    assert!(saved.next().is_none());
    content
}

/// A server of family D that registers everybody and lists bob; `reply` answers the rest.
fn fake(mut reply: impl FnMut(&Received) -> Reply + Send + 'static) -> Fake {
    Fake::start(move |received| match received.request {
        Request::Register(_) => registered(family_d()),
        Request::ListClients(_) => list_of_bob(),
        _ => reply(received),
    })
}

fn operations(fake: &Fake) -> Vec<Operation> {
    fake.seen().iter().map(|seen| seen.received.request.operation()).collect()
}

#[test]
fn a_text_inside_a_refusal_is_shown() {
    let refusal = [&[2, 0x28, 0x23, 9, 0, 0, 0][..], b"too\x1b late"].concat();
    let server = fake(move |_| Reply::Answer(refusal.clone()));
    let user = User::registered("alice", server.address, &[]);
    let run = user.run(&["key", "bob"]);
    assert_eq!(run.code, Some(4));
    assert!(run.err.contains("too late"), "{run:?}");
}

#[test]
fn receipts_of_20_and_16_and_0_bytes_are_taken() {
    let receipt = [&BOB.0[..], &7_u32.to_le_bytes()].concat();
    for size in [20_u8, 16, 0] {
        let header = [&[1, 0x37, 0x08][..], &u32::from(size).to_le_bytes()].concat();
        let receipt = [&header, &receipt[..size.into()]].concat();
        let server = fake(move |_| Reply::Answer(receipt.clone()));
        let user = User::registered("alice", server.address, &[]);
        let out = user.ok(&["--output", "json", "request-key", "bob"]);
        let number = if size == 20 { "\"message_id\":7" } else { "\"message_id\":null" };
        assert!(out.contains(number), "{size}: {out}");
    }
}

#[test]
fn a_public_key_without_its_owners_id_is_taken() {
    let bare = [&[2, 0x36, 0x08, 160, 0, 0, 0][..], &[0x30; 160]].concat();
    let server = fake(move |_| Reply::Answer(bare.clone()));
    let user = User::registered("alice", server.address, &[]);
    assert!(user.ok(&["key", "bob"]).starts_with("-----BEGIN PUBLIC KEY-----\nMDAw"));
}

#[test]
fn a_public_key_of_somebody_else_is_not() {
    let others = fetch_key::Response { client_id: Some(ME), public_key: PublicKey([0x30; 160]) };
    let server = fake(move |_| Reply::Answer(answer(family_d(), others.clone())));
    let user = User::registered("alice", server.address, &[]);
    assert_eq!(user.run(&["key", "bob"]).code, Some(7));
}

#[test]
fn a_pull_that_declares_its_contents_alone_is_read_whole() {
    let message = |size| from_bob(MessageType::KEY_REQUEST, vec![0; size]);
    let messages = vec![message(128), message(64)];
    let mut bytes = answer(family_d(), pull_messages::Response { messages });
    bytes[3..7].copy_from_slice(&192_u32.to_le_bytes());
    let server = fake(move |_| Reply::Answer(bytes.clone()));
    let user = User::registered("alice", server.address, &[]);
    assert_eq!(user.ok(&["receive"]).matches("Request for symmetric key").count(), 2);
}

#[test]
fn zeros_behind_an_answer_do_no_harm() {
    let padded = [key_requests(&[1]), vec![0; 900]].concat();
    let server = fake(move |_| Reply::Answer(padded.clone()));
    let user = User::registered("alice", server.address, &[]);
    assert_eq!(user.ok(&["receive"]).trim_end(), shown("bob", "Request for symmetric key").trim_end());
}

#[test]
fn an_asker_in_the_list_is_not_listed() {
    let server = Fake::start(|received| match received.request {
        Request::Register(_) => registered(family_d()),
        _ => {
            let clients = vec![entry(ME, "alice"), entry(BOB, "bob")];
            Reply::Answer(answer(family_d(), list_clients::Response { clients }))
        }
    });
    let user = User::registered("alice", server.address, &[]);
    assert_eq!(user.ok(&["list"]), format!("{BOB}  bob\n"));
}

#[test]
fn a_server_that_wants_the_other_version_is_found_and_remembered() {
    for wanted in [1, 2] {
        let server = Fake::start(move |received| match received.request {
            _ if received.version != wanted => refusal(family_d()),
            Request::Register(_) => registered(family_d()),
            _ => list_of_bob(),
        });
        let user = User::registered("alice", server.address, &["--dialect", "d"]);
        let tried = server.seen().len();
        user.ok(&["list"]);
        user.ok(&["list"]);
        assert_eq!(server.seen().len(), tried + 2, "the proven version was not used at once");
        assert_eq!(server.seen().last().unwrap().received.version, wanted);
    }
}

#[test]
fn a_refusal_in_a_proven_version_is_not_tried_again_in_the_other() {
    let server = fake(|_| refusal(family_d()));
    let user = User::registered("alice", server.address, &[]);
    assert_eq!(user.run(&["receive"]).code, Some(4));
    assert_eq!(operations(&server), [Operation::Register, Operation::PullMessages]);
}

#[test]
fn a_name_that_is_taken_is_refused_in_every_dialect_and_said_to_be() {
    let server = Fake::start(|received| refusal(received.dialect));
    let user = User::new("alice", server.address);
    let run = user.run(&["register", "alice"]);
    assert_eq!(run.code, Some(4));
    assert!(run.err.contains("may be taken"), "{run:?}");
    assert_eq!(server.seen().len(), 10);
    assert!(!user.path("info.me").exists());
}

#[test]
fn the_family_of_a_server_is_found_out() {
    for family in Family::ALL {
        let dialect = Dialect::classic(family);
        let server = Fake::start(move |received| match received.dialect.family {
            other if other != family => Reply::AnswerAndClose(Vec::new()),
            _ => registered(dialect),
        });
        let user = User::new("alice", server.address);
        let out = user.ok(&["--output", "json", "register", "alice"]);
        assert!(out.contains(&format!("\"dialect\":\"{dialect}\"")), "{out}");
    }
}

#[test]
fn an_identity_from_elsewhere_finds_out_the_family_too() {
    let server = Fake::start(|received| match received.dialect.family {
        Family::C if received.version == 1 => Reply::Answer(answer(
            received.dialect,
            list_clients::Response { clients: vec![entry(BOB, "bob")] },
        )),
        _ => refusal(received.dialect),
    });
    let first = fake(|_| Reply::Silence);
    let elsewhere = User::registered("alice", first.address, &[]);
    let user = User::new("alice", server.address);
    std::fs::copy(elsewhere.path("info.me"), user.path("me.info")).unwrap();
    assert_eq!(user.ok(&["list"]), format!("{BOB}  bob\n"));
}

#[test]
fn a_server_that_closes_without_an_answer_is_told_from_one_that_is_not_there() {
    let server = fake(|_| Reply::AnswerAndClose(Vec::new()));
    let user = User::registered("alice", server.address, &[]);
    let run = user.run(&["--output", "json", "key", "bob"]);
    assert_eq!(run.code, Some(3));
    assert!(run.err.contains("\"kind\":\"no_answer\""), "{run:?}");
    let run = user.run(&["--server", "127.0.0.1:1", "--output", "json", "list"]);
    assert_eq!(run.code, Some(3));
    assert!(run.err.contains("\"kind\":\"unreachable\""), "{run:?}");
}

#[test]
fn a_server_that_never_answers_is_waited_for_no_longer_than_asked() {
    let server = fake(|_| Reply::Silence);
    let user = User::registered("alice", server.address, &[]);
    let began = Instant::now();
    assert_eq!(user.run(&["--timeout", "300ms", "key", "bob"]).code, Some(3));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_answer_of_another_dialect_is_bad_data() {
    let server = fake(|_| registered(Dialect::classic(Family::B)));
    let user = User::registered("alice", server.address, &[]);
    let run = user.run(&["key", "bob"]);
    assert_eq!(run.code, Some(7));
    assert!(run.err.contains("dialect"), "{run:?}");
}

#[test]
fn a_request_is_one_write_with_the_zeros_that_its_dialect_wants() {
    for (name, wanted) in
        [("d", 438), ("d/padded-1024", 1024), ("c/ascii", 439), ("a", 437), ("a/aligned", 439)]
    {
        let dialect: Dialect = name.parse().unwrap();
        let server = Fake::start(move |_| registered(dialect));
        User::registered("alice", server.address, &["--dialect", name]);
        assert_eq!(server.seen()[0].reads, [wanted], "{name}");
    }
}

#[test]
fn a_pull_is_confirmed_by_a_clean_close_when_it_is_whole() {
    let server = fake(|_| Reply::Answer(key_requests(&[1, 2])));
    let user = User::registered("alice", server.address, &[]);
    user.ok(&["list"]);
    user.ok(&["receive"]);
    assert!(!server.last_was_reset());
}

#[test]
fn a_pull_that_cannot_be_stored_is_reset_so_that_the_server_keeps_it() {
    let server = fake(|_| Reply::Answer(key_requests(&[1])));
    let user = User::registered("alice", server.address, &[]);
    user.ok(&["list"]);
    // A directory where the file should be created: an error of the disk.
    std::fs::create_dir_all(user.path(".messageu").join(ME.to_string()).join("inbox/incoming")).unwrap();
    let run = user.run(&["receive"]);
    assert_eq!(run.code, Some(8), "{run:?}");
    assert!(server.last_was_reset());
}

#[test]
fn what_came_before_a_cut_is_shown_and_not_shown_again_when_it_is_redelivered() {
    let mut pulls = 0;
    let server = fake(move |_| {
        pulls += 1;
        match pulls {
            1 => Reply::AnswerAndClose(key_requests(&[1, 2])[..7 + 25 + 10].to_vec()),
            _ => Reply::Answer(key_requests(&[1, 2])),
        }
    });
    let user = User::registered("alice", server.address, &[]);
    user.ok(&["list"]);
    let cut = user.run(&["--output", "json", "receive"]);
    assert_eq!(cut.code, Some(3));
    assert!(cut.out.contains("\"message_id\":1,"), "{cut:?}");
    let again = user.ok(&["--output", "json", "receive"]);
    assert!(!again.contains("\"message_id\":1,") && again.contains("\"message_id\":2,"), "{again}");
}

#[test]
fn the_same_message_twice_is_shown_twice_when_nothing_was_cut() {
    let server = fake(|_| Reply::Answer(key_requests(&[1])));
    let user = User::registered("alice", server.address, &[]);
    user.ok(&["list"]);
    for _ in 0..2 {
        assert!(user.ok(&["receive"]).contains("Request for symmetric key"));
    }
}

#[test]
fn a_name_that_would_write_on_the_terminal_does_not() {
    let server = Fake::start(|received| match received.request {
        Request::Register(_) => registered(family_d()),
        _ => {
            let mut bad = entry(BOB, "bob");
            bad.name.0[..8].copy_from_slice(b"\x1b[2Jbob\0");
            Reply::Answer(answer(family_d(), list_clients::Response { clients: vec![bad] }))
        }
    });
    let user = User::registered("alice", server.address, &[]);
    assert_eq!(user.ok(&["list"]), format!("{BOB}  \u{fffd}[2Jbob\n"));
}

#[test]
fn a_profile_in_use_is_left_alone_and_said_to_be_in_use() {
    let server = fake(|_| Reply::Silence);
    let user = User::registered("alice", server.address, &[]);
    let mut receiving = user.command(&["receive"]).spawn().unwrap();
    while operations(&server).last() != Some(&Operation::PullMessages) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let run = user.run(&["list"]);
    receiving.kill().unwrap();
    receiving.wait().unwrap();
    assert_eq!(run.code, Some(5));
    assert!(run.err.contains("another messageu"), "{run:?}");
}

#[test]
fn a_silent_server_of_a_known_dialect_is_asked_once() {
    let server = Fake::start(|_| Reply::Silence);
    let user = User::new("alice", server.address);
    let run = user.run(&["--timeout", "300ms", "--dialect", "d", "register", "alice"]);
    assert_eq!(run.code, Some(3));
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn an_id_means_its_owner_even_if_somebody_bears_it_as_a_name() {
    let server = Fake::start(|received| match &received.request {
        Request::Register(_) => registered(family_d()),
        Request::FetchKey(request) if request.client_id == BOB => Reply::Answer(answer(
            family_d(),
            fetch_key::Response { client_id: Some(BOB), public_key: PublicKey([1; 160]) },
        )),
        Request::FetchKey(_) => refusal(family_d()),
        _ => {
            let clients = vec![entry(ClientId([9; 16]), &BOB.to_string()), entry(BOB, "bob")];
            Reply::Answer(answer(family_d(), list_clients::Response { clients }))
        }
    });
    let user = User::registered("alice", server.address, &[]);
    assert!(user.ok(&["--output", "json", "key", &BOB.to_string()]).contains("\"name\":\"bob\""));
}

#[test]
fn a_text_that_ends_in_a_nul_is_shown_without_it() {
    let messages = vec![from_bob(MessageType::TEXT, sealed(b"hello\0"))];
    let pull = answer(family_d(), pull_messages::Response { messages });
    let server = fake(move |_| Reply::Answer(pull.clone()));
    let user = User::registered("alice", server.address, &[]);
    share_key(&user);
    assert_eq!(user.ok(&["receive"]), shown("bob", "hello") + "\n");
}

#[test]
fn a_text_beyond_the_limit_is_saved_and_not_lost() {
    let text = vec![b'x'; (1 << 20) + 16];
    let messages = vec![from_bob(MessageType::TEXT, sealed(&text))];
    let pull = answer(family_d(), pull_messages::Response { messages });
    let server = fake(move |_| Reply::Answer(pull.clone()));
    let user = User::registered("alice", server.address, &[]);
    share_key(&user);
    assert!(user.ok(&["--output", "json", "receive"]).contains("\"event\":\"long_text\""));
    assert!(only_download(&user) == text);
}

#[test]
fn a_message_of_an_unknown_type_is_saved_as_it_came() {
    let messages = vec![from_bob(MessageType(77), b"what is this".to_vec())];
    let pull = answer(family_d(), pull_messages::Response { messages });
    let server = fake(move |_| Reply::Answer(pull.clone()));
    let user = User::registered("alice", server.address, &[]);
    assert!(user.ok(&["receive"]).contains("unknown type 77"));
    assert_eq!(only_download(&user), b"what is this");
}

#[test]
fn a_damaged_key_is_told_and_not_used() {
    let messages = vec![from_bob(MessageType::KEY, vec![1; 128]), from_bob(MessageType::KEY, vec![1; 5])];
    let pull = answer(family_d(), pull_messages::Response { messages });
    let server = fake(move |_| Reply::Answer(pull.clone()));
    let user = User::registered("alice", server.address, &[]);
    assert_eq!(user.ok(&["receive"]).matches("symmetric key refused").count(), 2);
    assert_eq!(user.run(&["send", "bob", "hi"]).code, Some(6));
}

#[test]
fn a_refusal_in_the_middle_of_a_large_send_ends_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let registering = fake(|_| Reply::Silence);
    let user = User::registered("alice", registering.address, &[]);
    user.ok(&["list"]);
    share_key(&user);
    let refusing = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 23];
            stream.read_exact(&mut head).unwrap();
            let listing = head[17..19] == 601_u16.to_le_bytes();
            let clients = vec![entry(BOB, "bob")];
            let list = answer(family_d(), list_clients::Response { clients });
            stream.write_all(&if listing { list } else { family_d().encode_refusal(ME) }).unwrap();
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    std::fs::write(user.path("file"), vec![0; 20_000_000]).unwrap();
    let path = user.path("file");
    let run = user.run(&["--server", &refusing, "send-file", "bob", path.to_str().unwrap()]);
    assert_eq!(run.code, Some(4), "{run:?}");
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn an_identity_and_messages_made_by_crypto_plus_plus_work() {
    let data = include_str!("../../envelope/tests/data/cryptopp.txt");
    let field = |name: &str| {
        let line = data.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    let messages = vec![
        from_bob(MessageType::KEY, unhex(&field("wrapped"))),
        from_bob(MessageType::TEXT, unhex(&field("sealed-59"))),
        from_bob(MessageType::FILE, unhex(&field("sealed-17"))),
    ];
    let pull = answer(family_d(), pull_messages::Response { messages });
    let receipt = send_message::Response { to: Some(BOB), message_id: Some(MessageId(1)) };
    let server = fake(move |received| match received.request {
        Request::SendMessage(_) => Reply::Answer(answer(family_d(), receipt.clone())),
        _ => Reply::Answer(pull.clone()),
    });
    let user = User::new("alice", server.address);
    let identity = format!("alice\n{ME}\n{}", field("private-base64"));
    std::fs::write(user.path("me.info"), identity).unwrap();
    user.ok(&["request-key", "bob"]);
    let out = user.ok(&["receive"]);
    let text = String::from_utf8(unhex(&field("text-59"))).unwrap();
    let wanted = [shown("bob", "symmetric key received"), shown("bob", &text)].join("\n");
    assert!(out.starts_with(&wanted), "{out}");
    assert_eq!(only_download(&user), unhex(&field("text-17")));
}

#[test]
fn a_server_that_drips_is_given_up() {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        // The list, of which a byte comes ever so often: in time, each of them.
        let (mut stream, _) = listener.accept().unwrap();
        for byte in answer(family_d(), list_clients::Response { clients: vec![entry(BOB, "bob")] }) {
            if stopped.load(Ordering::SeqCst) || stream.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let honest = fake(|_| Reply::Silence);
    let user = User::registered("alice", honest.address, &[]);
    let run = user.run(&["--server", &address.to_string(), "--dialect", "d", "--timeout", "1s", "list"]);
    stop.store(true, Ordering::SeqCst);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.err.contains("bytes a second"), "{run:?}");
}

/// A server of family D at which a file and a text from bob wait, once.
fn with_a_file_and_a_text() -> Fake {
    let mut messages = vec![
        from_bob(MessageType::FILE, sealed(&[7; 1000])),
        pull_messages::Message {
            message_id: Some(MessageId(2)),
            ..from_bob(MessageType::TEXT, sealed(b"behind it"))
        },
    ];
    fake(move |_| {
        let messages = std::mem::take(&mut messages);
        Reply::Answer(answer(family_d(), pull_messages::Response { messages }))
    })
}

#[test]
fn a_file_that_cannot_be_saved_stays_and_holds_up_nothing_else() {
    let server = with_a_file_and_a_text();
    let user = User::registered("alice", server.address, &[]);
    user.ok(&["list"]);
    share_key(&user);
    std::fs::write(user.path("downloads"), "no directory").unwrap();
    let run = user.run(&["receive"]);
    assert_eq!((run.code, run.out), (Some(8), shown("bob", "behind it") + "\n"));
    assert!(run.err.contains("a message from bob stays in the inbox"), "{}", run.err);
    assert!(run.err.contains("messageu discard bob"), "{}", run.err);
    assert_eq!(user.ok(&["inbox"]), "bob  file, 1008 bytes, not shown yet\n");
    std::fs::remove_file(user.path("downloads")).unwrap();
    user.ok(&["receive"]);
    assert_eq!(only_download(&user), [7; 1000]);
    assert_eq!(user.ok(&["inbox"]), "");
}

#[test]
fn what_stays_in_the_inbox_is_discarded_only_on_demand() {
    let server = with_a_file_and_a_text();
    let user = User::registered("alice", server.address, &[]);
    user.ok(&["list"]);
    user.ok(&["receive"]);
    assert_eq!(user.run(&["discard", "carol", "--yes"]).code, Some(6));
    let run = user.run(&["discard", "bob"]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("2 from bob") && run.err.contains("--yes"), "{run:?}");
    assert_eq!(user.ok(&["inbox"]).lines().count(), 2);
    assert_eq!(user.ok(&["discard", "--yes", &BOB.to_string()]), format!("removed 2 from {BOB}\n"));
    assert_eq!(user.ok(&["inbox"]), "");
}

#[test]
fn a_registration_that_may_have_arrived_is_not_repeated() {
    for reply in [|| Reply::Silence, || Reply::Answer(vec![0xff; 40])] {
        let server = Fake::start(move |_| reply());
        let user = User::new("alice", server.address);
        let run = user.run(&["--timeout", "500ms", "register", "alice"]);
        assert!(matches!(run.code, Some(3 | 7)), "{run:?}");
        assert!(run.err.contains("may be registered all the same"), "{run:?}");
        assert_eq!(operations(&server), [Operation::Register]);
        assert!(!user.path("info.me").exists());
    }
}

#[test]
fn counting_goes_on_through_pulls_that_are_cut() {
    let whole = key_requests(&[1, 2]);
    let mut pulls = 0;
    let server = fake(move |_| {
        pulls += 1;
        match pulls {
            // The first is cut after its first message, which the server then sends again.
            1 => Reply::AnswerAndClose(whole[..whole.len() - 1].to_vec()),
            2 => Reply::Answer(whole.clone()),
            _ => Reply::Answer(key_requests(&[3])),
        }
    });
    let user = User::registered("alice", server.address, &[]);
    user.ok(&["list"]);
    let run = user.run(&["receive", "--follow", "--count", "3"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.out.matches("Request for symmetric key").count(), 3, "{run:?}");
}

#[test]
fn a_wait_beyond_all_clocks_is_a_wait_without_end() {
    let mut pulls = 0;
    let server = fake(move |_| {
        pulls += 1;
        let ids: &[u32] = if pulls == 1 { &[] } else { &[1] };
        Reply::Answer(key_requests(ids))
    });
    let user = User::registered("alice", server.address, &[]);
    user.ok(&["list"]);
    let out = user.ok(&["receive", "--wait", "5000000000000h"]);
    assert_eq!(out, shown("bob", "Request for symmetric key") + "\n");
}

/// A server of family D at which a large file and a text from bob wait, however often they are pulled.
fn with_a_large_file_and_a_text() -> Fake {
    let messages = vec![
        from_bob(MessageType::FILE, sealed(&[7; 100_000])),
        pull_messages::Message {
            message_id: Some(MessageId(2)),
            ..from_bob(MessageType::TEXT, sealed(b"behind it"))
        },
    ];
    fake(move |_| Reply::Answer(answer(family_d(), pull_messages::Response { messages: messages.clone() })))
}

/// A user who has received from it once, on a disk that takes no large files.
#[cfg(unix)]
fn received_without_room(server: &Fake) -> User {
    let user = User::registered("alice", server.address, &[]);
    user.ok(&["list"]);
    share_key(&user);
    let script = format!("trap '' XFSZ; ulimit -f 64; exec '{}' receive", env!("CARGO_BIN_EXE_messageu"));
    let mut command = user.command_of("sh", &["-c", &script]);
    let run = Run::from(command.output().unwrap());
    assert_eq!((run.code, run.out), (Some(8), shown("bob", "behind it") + "\n"), "{}", run.err);
    assert!(run.err.contains("a message from bob stays with the server"), "{}", run.err);
    assert!(server.last_was_reset(), "the server takes the file as arrived");
    assert_eq!(user.ok(&["inbox"]), "bob  file, 100016 bytes, with the server: no room for it here\n");
    user
}

#[cfg(unix)]
#[test]
fn a_message_without_room_stays_with_the_server_and_holds_up_nothing_else() {
    let server = with_a_large_file_and_a_text();
    let user = received_without_room(&server);
    let out = user.ok(&["receive"]);
    assert_eq!(only_download(&user), [7; 100_000]);
    assert!(!out.contains("behind it"), "{out}");
    assert!(!server.last_was_reset());
    assert_eq!(user.ok(&["inbox"]), "");
}

#[cfg(unix)]
#[test]
fn a_message_without_room_is_given_up_on_demand() {
    let server = with_a_large_file_and_a_text();
    let user = received_without_room(&server);
    user.ok(&["discard", "bob", "--yes"]);
    assert_eq!(user.ok(&["inbox"]), "");
    assert_eq!(user.ok(&["receive"]), "");
    assert!(!server.last_was_reset());
    assert!(!user.path("downloads").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_large_send_however_fast_the_server_takes_it() {
    const SIZE: u64 = 3 << 30;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (began, has_begun) = std::sync::mpsc::channel();
    let sink = std::thread::spawn(move || {
        // The list, by which the dialect is found out; and then the file.
        let (mut first, _) = listener.accept().unwrap();
        let Reply::Answer(list) = list_of_bob() else { unreachable!() };
        first.write_all(&list).unwrap();
        let (mut second, _) = listener.accept().unwrap();
        let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
        while let Ok(count @ 1..) = second.read(&mut buffer) {
            total += u64::try_from(count).unwrap();
            let _ = began.send(());
        }
        total
    });
    let honest = fake(|_| Reply::Silence);
    let user = User::registered("alice", honest.address, &[]);
    share_key(&user);
    std::fs::File::create(user.path("large")).unwrap().set_len(SIZE).unwrap();
    let path = user.path("large");
    let mut command = user.command(&["--server", &address, "--dialect", "d", "send-file", "bob"]);
    let mut child = command.arg(path).spawn().unwrap();
    has_begun.recv().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(sink.join().unwrap() < SIZE, "all of it went out first");
}
