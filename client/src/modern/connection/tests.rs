//! Connections in memory, to servers that do what they are told. Time is the runtime's, and passes as soon as all wait.

use std::sync::LazyLock;

use messageu_envelope::authentication::{verify_authentication, verify_registration};
use messageu_envelope::identity::IdentityKey;
use messageu_wire::envelope::Suite;
use messageu_wire::envelope::bundle::{Bundle, BundleContent, MIN_DIALECT};
use messageu_wire::envelope::field::{
    Binding, DhPublicKey, Epoch, PrekeyId, RsaPublicKey, ServerNonce, Signature, UnixSeconds, WrapId,
};
use messageu_wire::envelope::statement::BindingType;
use messageu_wire::fields::Name;
use messageu_wire::modern::field::{AtMost, RegistrationId, RegistrationState, Sequence, ServerFlags, Tag};
use messageu_wire::modern::frame::{RequestFrame, RequestReader, encode_response};
use messageu_wire::modern::operation::{
    acknowledge, authenticate, drop_file, erase_account, hello, look_up, pull_envelopes, register,
};
use messageu_wire::modern::{ErrorCode, Refusal, Response};
use tokio::io::{DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use super::*;

const CHANNEL: Channel =
    Channel { server_key_hash: ServerKeyHash([0x51; 32]), exported: Some(Binding([0x52; 32])) };
const PATIENCE: Patience = Patience { connect: Duration::from_secs(10), answer: Duration::from_secs(30) };

/// The other end.
struct FakeServer {
    stream: DuplexStream,
    reader: RequestReader,
}

impl FakeServer {
    /// The next request; `None` once the client has closed.
    async fn next(&mut self) -> Option<RequestFrame> {
        loop {
            if let Some(frame) = self.reader.poll().unwrap() {
                return Some(frame);
            }
            if self.stream.read_buf(self.reader.buffer_mut()).await.unwrap() == 0 {
                return None;
            }
        }
    }

    async fn request(&mut self) -> (Tag, Request) {
        let frame = self.next().await.unwrap();
        (frame.tag, frame.request.unwrap())
    }

    async fn say(&mut self, tag: Tag, answer: std::result::Result<Response, Refusal>) {
        self.stream.write_all(&encode_response(tag, &answer)).await.unwrap();
    }

    async fn give(&mut self, tag: Tag, response: impl Into<Response>) {
        self.say(tag, Ok(response.into())).await;
    }
}

fn pair() -> (Connection, FakeServer) {
    pair_over(CHANNEL)
}

fn pair_over(channel: Channel) -> (Connection, FakeServer) {
    let (ours, stream) = duplex(256 * 1024);
    (Connection::over(ours, channel, PATIENCE), FakeServer { stream, reader: RequestReader::new() })
}

fn drop_file_of(byte: u8) -> drop_file::Request {
    drop_file::Request { file_id: messageu_wire::envelope::field::FileId([byte; 16]) }
}

fn pull(wait_s: u32) -> pull_envelopes::Request {
    pull_envelopes::Request { after: Sequence(0), max_bytes: 1 << 20, wait_ms: wait_s * 1000 }
}

fn failure(result: std::result::Result<impl std::fmt::Debug, CallError>) -> Error {
    match result {
        Err(CallError::Failed(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn answers_go_to_who_asked_in_whatever_order_they_come() {
    let (connection, mut server) = pair();
    let serving = async {
        let mut asked = vec![server.request().await, server.request().await, server.request().await];
        asked.rotate_left(1);
        asked.reverse();
        for (tag, request) in asked {
            let Request::DropFile(request) = request else { panic!("{request:?}") };
            server.give(tag, drop_file::Response { chunks: request.file_id.0[0].into() }).await;
        }
    };
    let (first, second, third, ()) = tokio::join!(
        connection.call(drop_file_of(1)),
        connection.call(drop_file_of(2)),
        connection.call(drop_file_of(3)),
        serving
    );
    assert_eq!([first, second, third].map(|answer| answer.unwrap().chunks), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_does_not_hold_up_other_calls_and_may_wait_long() {
    let (connection, mut server) = pair();
    let serving = async {
        let (pulling, _) = server.request().await;
        let (tag, _) = server.request().await;
        server.give(tag, drop_file::Response { chunks: 7 }).await;
        sleep(Duration::from_secs(3600)).await;
        server.give(pulling, pull_envelopes::Response::default()).await;
    };
    let began = Instant::now();
    let dropping = async {
        let answer = connection.call(drop_file_of(1)).await;
        (answer, began.elapsed())
    };
    let (pulled, (dropped, after), ()) = tokio::join!(connection.call(pull(3600)), dropping, serving);
    assert_eq!(dropped.unwrap().chunks, 7);
    assert!(after < Duration::from_secs(1), "{after:?}");
    assert_eq!(pulled.unwrap().deliveries(), []);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_error_of_its_own_and_the_connection_goes_on() {
    let (connection, mut server) = pair();
    let refusal = Refusal { error: ErrorCode::TOO_MANY_REQUESTS, retry_after_s: 5 };
    let serving = async {
        let (tag, _) = server.request().await;
        server.say(tag, Err(refusal)).await;
        let (tag, _) = server.request().await;
        server.give(tag, drop_file::Response { chunks: 1 }).await;
    };
    let asking = async { (connection.call(drop_file_of(1)).await, connection.call(drop_file_of(1)).await) };
    let ((refused, given), ()) = tokio::join!(asking, serving);
    assert_eq!(refused, Err(CallError::Refused(refusal)));
    assert_eq!(given, Ok(drop_file::Response { chunks: 1 }));
    assert_eq!(connection.why_broken(), None);
}

#[tokio::test(start_paused = true)]
async fn when_the_server_closes_every_call_fails_and_so_does_every_further_one() {
    let (connection, mut server) = pair();
    let serving = async {
        server.request().await;
        server.request().await;
        drop(server);
    };
    let (first, second, ()) =
        tokio::join!(connection.call(drop_file_of(1)), connection.call(pull(600)), serving);
    let error = failure(first);
    assert_eq!(error.kind(), ErrorKind::NoAnswer);
    assert_eq!(failure(second), error);
    assert_eq!(failure(connection.call(drop_file_of(2)).await), error);
    assert_eq!(connection.why_broken(), Some(error));
}

#[tokio::test(start_paused = true)]
async fn what_answers_nothing_breaks_the_connection() {
    let erased = Ok(Response::EraseAccount(erase_account::Response));
    let other_tag = encode_response(Tag(99), &Ok(drop_file::Response { chunks: 1 }.into()));
    let other_question = encode_response(Tag(0), &erased);
    let too_large = b"\x03\xb6\x0f\xff\xff\xff\xff\0\0\0\0".to_vec();
    let other_version = b"\x02\xb6\x0f\x02\0\0\0\0\0\0\0".to_vec();
    for (bytes, what) in [
        (other_tag, "nothing was asked under its tag"),
        (other_question, "it answers another question"),
        (too_large, "at most 2 are accepted"),
        (other_version, "the version at byte 0 is 2"),
    ] {
        let (connection, mut server) = pair();
        let serving = async {
            server.request().await;
            server.stream.write_all(&bytes).await.unwrap();
        };
        let (answer, ()) = tokio::join!(connection.call(drop_file_of(1)), serving);
        let error = failure(answer);
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_takes_nobody_elses_answer() {
    let (connection, mut server) = pair();
    let given_up = tokio::time::timeout(Duration::from_millis(1), connection.call(drop_file_of(1)));
    assert!(given_up.await.is_err());
    let serving = async {
        let (first, _) = server.request().await;
        let (second, _) = server.request().await;
        server.give(first, drop_file::Response { chunks: 1 }).await;
        server.give(second, drop_file::Response { chunks: 2 }).await;
    };
    let (answer, ()) = tokio::join!(connection.call(drop_file_of(2)), serving);
    assert_eq!(answer.unwrap().chunks, 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let (connection, mut server) = pair();
    let began = Instant::now();
    let silent = async {
        server.request().await;
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! {
        answer = connection.call(pull(60)) => answer,
        () = silent => panic!("it waits for ever"),
    };
    let error = failure(answer);
    assert_eq!(
        (error.kind(), error.to_string().contains("has not answered in time")),
        (ErrorKind::NoAnswer, true)
    );
    assert!((90..100).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert_eq!(connection.why_broken(), Some(error));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_a_byte_at_a_time_is_not_waited_for_ever() {
    let (connection, mut server) = pair();
    let began = Instant::now();
    let trickling = async {
        let (tag, _) = server.request().await;
        let delivery = pull_envelopes::Delivery {
            sequence: Sequence(1),
            time: messageu_wire::modern::field::UnixMinutes(1),
            envelope: messageu_wire::modern::field::EnvelopeBytes::new(vec![0; 100_000]).unwrap(),
        };
        let response = pull_envelopes::Response::new(vec![delivery]).unwrap();
        for byte in encode_response(tag, &Ok(response.into())) {
            sleep(Duration::from_secs(10)).await;
            if server.stream.write_all(&[byte]).await.is_err() {
                break;
            }
        }
    };
    let (answer, ()) = tokio::join!(connection.call(pull(0)), trickling);
    assert_eq!(failure(answer).kind(), ErrorKind::NoAnswer);
    // A MiB at 2 KiB a second, and the patience beside it.
    assert!((542..570).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_seventeenth_call_waits_until_one_is_answered() {
    let (connection, mut server) = pair();
    let calls = async {
        let connection = &connection;
        let calls: Vec<_> = (1..=17).map(|byte| connection.call(drop_file_of(byte))).collect();
        let mut answers = Vec::new();
        let mut calls: Vec<_> = calls.into_iter().map(Box::pin).collect();
        // All are begun before any is waited for.
        std::future::poll_fn(|cx| {
            calls.retain_mut(|call| match call.as_mut().poll(cx) {
                std::task::Poll::Ready(answer) => {
                    answers.push(answer.unwrap().chunks);
                    false
                }
                std::task::Poll::Pending => true,
            });
            if calls.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        answers
    };
    let serving = async {
        let mut tags = Vec::new();
        for _ in 0..16 {
            tags.push(server.request().await.0);
        }
        let more = tokio::time::timeout(Duration::from_secs(1), server.next()).await;
        assert!(more.is_err(), "a seventeenth was sent");
        server.give(tags[15], drop_file::Response { chunks: 15 }).await;
        tags.push(server.request().await.0);
        for (tag, chunks) in tags.iter().zip(0..).filter(|(_, chunks)| *chunks != 15) {
            server.give(*tag, drop_file::Response { chunks }).await;
        }
    };
    let (mut answers, ()) = tokio::join!(calls, serving);
    answers.sort_unstable();
    assert_eq!(answers, (0..17).collect::<Vec<u32>>());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dropped_is_closed() {
    let (connection, mut server) = pair();
    drop(connection);
    assert_eq!(server.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_was_begun_sends_nothing() {
    let (connection, mut server) = pair();
    {
        let _never_polled = connection.call(drop_file_of(1));
    }
    drop(connection);
    assert_eq!(server.next().await, None);
}

// Who we are

/// Alice's key out of the vectors: to make one takes long.
static US: LazyLock<IdentityKey> = LazyLock::new(|| {
    let keys: serde_json::Value =
        serde_json::from_str(include_str!("../../../../vectors/modern/keys.json")).unwrap();
    let digits = keys["alice"]["identity"].as_str().unwrap();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    let der: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    IdentityKey::from_pkcs8_der(&der).unwrap()
});

const HELLO: hello::Response =
    hello::Response { nonce: ServerNonce([0x53; 32]), time: UnixSeconds(1), flags: ServerFlags(0) };

/// Answers a Hello, and gives what follows it.
async fn greet(server: &mut FakeServer) -> RequestFrame {
    let (tag, request) = server.request().await;
    assert_eq!(request, hello::Request.into());
    server.give(tag, HELLO).await;
    server.next().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_proof_is_about_this_server_this_nonce_this_connection_and_us() {
    let us = &*US;
    let key = Binding(CHANNEL.server_key_hash.0);
    let without_exporter = Channel { exported: None, ..CHANNEL };
    for (channel, binding_type, binding) in [
        (CHANNEL, BindingType::TLS_EXPORTER, Binding([0x52; 32])),
        (without_exporter, BindingType::SERVER_KEY, key),
    ] {
        let (connection, mut server) = pair_over(channel);
        let serving = async {
            let frame = greet(&mut server).await;
            let Ok(Request::Authenticate(authenticate::Request { proof })) = frame.request else { panic!() };
            assert_eq!((proof.binding_type, proof.binding), (binding_type, binding));
            let statement = proof.authentication(CHANNEL.server_key_hash, HELLO.nonce, frame.client_id);
            verify_authentication(us.identity(), &statement, &proof.signature).unwrap();
            server.give(frame.tag, authenticate::Response).await;
            let frame = server.next().await.unwrap();
            assert_eq!(frame.client_id, us.identity().client_id());
            server.give(frame.tag, drop_file::Response { chunks: 1 }).await;
        };
        let asking = async {
            assert_eq!(connection.authenticate(us).await, Ok(HELLO));
            connection.call(drop_file_of(1)).await.unwrap();
        };
        tokio::join!(asking, serving);
    }
}

#[tokio::test(start_paused = true)]
async fn two_proofs_are_never_the_same() {
    let us = &*US;
    let (connection, mut server) = pair();
    let serving = async {
        let mut proofs = Vec::new();
        for _ in 0..2 {
            let frame = greet(&mut server).await;
            proofs.push(frame.request.unwrap());
            server.give(frame.tag, authenticate::Response).await;
        }
        proofs
    };
    let asking = async {
        connection.authenticate(us).await.unwrap();
        connection.authenticate(us).await.unwrap();
    };
    let ((), proofs) = tokio::join!(asking, serving);
    assert_ne!(proofs[0], proofs[1]);
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_stays_nobody() {
    let us = &*US;
    let (connection, mut server) = pair();
    let refusal = Refusal::new(ErrorCode::NOT_AUTHENTICATED);
    let serving = async {
        let frame = greet(&mut server).await;
        server.say(frame.tag, Err(refusal)).await;
        let frame = server.next().await.unwrap();
        assert_eq!(frame.client_id, ClientId::NOBODY);
        server.say(frame.tag, Err(refusal)).await;
    };
    let asking = async {
        assert_eq!(connection.authenticate(us).await, Err(CallError::Refused(refusal)));
        let name = Name::new("bob").unwrap();
        assert_eq!(connection.call(look_up::Request { name }).await, Err(CallError::Refused(refusal)));
    };
    tokio::join!(asking, serving);
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_the_connection_does_not_have_is_not_made_up() {
    let us = &*US;
    let (connection, mut server) = pair_over(Channel { exported: None, ..CHANNEL });
    let serving = async {
        let (tag, _) = server.request().await;
        server.give(tag, HELLO).await;
        server
    };
    let asking = connection.authenticate_bound_by(us, BindingType::TLS_EXPORTER);
    let (answer, mut server) = tokio::join!(asking, serving);
    assert_eq!(failure(answer).kind(), ErrorKind::Usage);
    drop(connection);
    assert_eq!(server.next().await, None, "no proof was sent");
}

#[tokio::test(start_paused = true)]
async fn a_registration_is_signed_with_all_that_is_asked_for() {
    let us = &*US;
    let bundle = Bundle {
        content: BundleContent {
            suite: Suite::ONE,
            min_dialect: MIN_DIALECT,
            epoch: Epoch(1),
            issued: UnixSeconds(1),
            expires: UnixSeconds(2),
            prekey_id: PrekeyId(1),
            prekey: DhPublicKey([1; 32]),
            wrap_id: WrapId(1),
            wrap_key: RsaPublicKey([1; 422]),
            identity: *us.identity().public_key(),
        },
        signature: Signature([1; 384]),
    };
    let content = register::Content { name: Name::new("alice").unwrap(), phone: None, bundle };
    let response = register::Response {
        registration_id: RegistrationId([9; 16]),
        ttl_s: 0,
        state: RegistrationState::REGISTERED,
    };
    let (connection, mut server) = pair();
    let serving = async {
        let frame = greet(&mut server).await;
        assert_eq!(frame.client_id, us.identity().client_id());
        let Ok(Request::Register(register::Request { content: asked, proof })) = frame.request else {
            panic!()
        };
        let statement = proof.authentication(CHANNEL.server_key_hash, HELLO.nonce, frame.client_id);
        verify_registration(us.identity(), &statement, &asked.encode(), &proof.signature).unwrap();
        let other = register::Content { name: Name::new("alicia").unwrap(), ..asked };
        assert!(verify_registration(us.identity(), &statement, &other.encode(), &proof.signature).is_err());
        server.give(frame.tag, response).await;
    };
    let (answer, ()) = tokio::join!(connection.register(us, content), serving);
    assert_eq!(answer, Ok(response));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_of_a_thousand_fits() {
    let (connection, mut server) = pair();
    let serving = async {
        let (tag, _) = server.request().await;
        server.give(tag, acknowledge::Response { deleted: 1000 }).await;
    };
    let sequences = AtMost::new((0..1000).map(Sequence).collect()).unwrap();
    let (answer, ()) = tokio::join!(connection.call(acknowledge::Request { sequences }), serving);
    assert_eq!(answer.unwrap().deleted, 1000);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_says_when_it_takes_no_more_is_heard() {
    let (incoming, mut theirs) = duplex(1024);
    let (outgoing, gone) = duplex(1024);
    drop(gone);
    let connection = Connection::over(tokio::io::join(incoming, outgoing), CHANNEL, PATIENCE);
    let refusal = Refusal::new(ErrorCode::TOO_MANY_REQUESTS);
    let saying = async {
        sleep(Duration::from_millis(100)).await;
        theirs.write_all(&encode_response(Tag(0), &Err(refusal))).await.unwrap();
    };
    let (answer, ()) = tokio::join!(connection.call(drop_file_of(1)), saying);
    assert_eq!(answer, Err(CallError::Refused(refusal)));
}
