//! Connections of version 3, at the server's own code: whatever several clients say, true, wrong, damaged or cut, each
//! request is answered once and as the model answers it, and what is stored then is what the model has stored.

mod model;
mod people;
mod speech;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arbitrary::{Result, Unstructured};
use messageu_server::Relay;
use messageu_server::limits::Limits;
use messageu_server::modern::registration::Registration;
use messageu_server::modern::{Modern, serve};
use messageu_server::store::memory::MemoryStore;
use messageu_server::store::modern::{CHUNK_COST, MailLimits, ModernStore};
use messageu_server::store::{QueuePolicy, Sequence};
use messageu_server::tls::{Certificate, CertificateSource, Channel, Tls};
use messageu_wire::envelope::field::{Binding, ServerKeyHash, ServerNonce};
use messageu_wire::modern::field::{ServerFlags, UnixMinutes};
use messageu_wire::modern::frame::{ResponseFrame, ResponseReader};
use messageu_wire::modern::operation::pull_envelopes::{Delivery, Response as Pulled};
use messageu_wire::modern::{ErrorCode, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::model::{Answer, Link, Model, Nonce, SERVER_KEY_HASH};
use self::people::people;
use self::speech::{Speaker, Step};

/// Connections at once.
const LINKS: usize = 3;
/// Most steps of a story.
const STEPS_MAX: usize = 48;
/// Bytes that are on their way in one direction of a connection.
const PIPE: usize = 16 * 1024;

/// A story as a fuzzer's bytes say it: who says what on which connection, until the bytes do not suffice.
///
/// # Errors
/// Never: any bytes say a story.
pub fn check_any_connections(bytes: &mut Unstructured<'_>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut story = Story::begin().await;
        for _ in 0..STEPS_MAX {
            if bytes.is_empty() || story.step(bytes).await.is_err() {
                break;
            }
        }
        story.end().await;
    });
    Ok(())
}

/// A server with its connections, and what is expected of them.
struct Story {
    relay: Arc<Relay>,
    modern: Arc<Modern>,
    store: Arc<MemoryStore>,
    shutdown: CancellationToken,
    lines: Vec<Line>,
    model: Model,
    speaker: Speaker,
    /// All nonces that there have been.
    nonces: Vec<ServerNonce>,
    serving: Vec<JoinHandle<()>>,
    connections: u8,
}

/// The client's end of a connection.
struct Line {
    out: WriteHalf<DuplexStream>,
    heard: Arc<Mutex<Heard>>,
}

/// What a client has heard.
#[derive(Default)]
struct Heard {
    reader: ResponseReader,
    is_over: bool,
}

impl Story {
    /// Two of the people have an account, and there are connections.
    async fn begin() -> Self {
        static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
        let certificate =
            CERTIFICATE.get_or_init(|| Certificate::load(&CertificateSource::Memory).expect("a certificate"));
        let store = Arc::new(MemoryStore::new());
        let tls = Tls::new(certificate.clone());
        let limits = Limits { mail: limits(), ..Limits::default() };
        let now = SystemTime::now();
        let seconds = now.duration_since(UNIX_EPOCH).expect("a time since 1970").as_secs();
        let mut story = Self {
            relay: Arc::new(Relay::new(Arc::<MemoryStore>::clone(&store), limits, None)),
            modern: Arc::new(Modern::new(tls, Arc::<MemoryStore>::clone(&store), Registration::Open)),
            store,
            shutdown: CancellationToken::new(),
            lines: Vec::new(),
            model: Model::new(limits.mail, seconds),
            speaker: Speaker::default(),
            nonces: Vec::new(),
            serving: Vec::new(),
            connections: 0,
        };
        for (at, name) in [(0, "alice"), (1, "bob")] {
            let account = speech::account(at, name);
            story.store.register_account(account.clone(), now).await.expect("a sound store");
            story.model.store.register_account(account).expect("a free name");
        }
        for _ in 0..LINKS {
            let (line, link) = story.connect();
            story.lines.push(line);
            story.model.links.push(link);
        }
        story
    }

    /// A new connection.
    fn connect(&mut self) -> (Line, Link) {
        self.connections += 1;
        let exporter = Binding([self.connections; 32]);
        let channel = Channel { server_key_hash: ServerKeyHash(SERVER_KEY_HASH), exporter };
        let (ours, theirs) = duplex(PIPE);
        let peer = ([127, 0, 0, 1], 1).into();
        let (modern, relay) = (Arc::clone(&self.modern), Arc::clone(&self.relay));
        self.serving.push(tokio::spawn(serve(theirs, channel, peer, modern, relay, self.shutdown.clone())));
        let (read, out) = split(ours);
        let heard = Arc::default();
        tokio::spawn(listen(read, Arc::clone(&heard)));
        (Line { out, heard }, Link::new(exporter))
    }

    /// What the next bytes say.
    async fn step(&mut self, bytes: &mut Unstructured<'_>) -> Result<()> {
        match self.speaker.step(bytes, &self.model)? {
            Step::Reconnect { at } => {
                // Who goes tells nobody whether they would have been answered.
                let _ = self.lines[at].out.shutdown().await;
                let (line, link) = self.connect();
                (self.lines[at], self.model.links[at]) = (line, link);
            }
            Step::LogIn { at, person } => {
                let hello = self.speaker.hello(person);
                self.say(at, &hello, PIPE).await;
                let proof = self.speaker.log_in(at, person, &mut self.model);
                self.say(at, &proof, PIPE).await;
            }
            Step::Say { at, frames, piece } => self.say(at, &frames, piece).await,
        }
        Ok(())
    }

    /// Says something on a connection, in pieces of this size, and looks at all that is answered.
    async fn say(&mut self, at: usize, stream: &[u8], piece: usize) {
        // What is said on a connection that is over, nobody hears.
        if !self.model.links[at].is_over {
            let heard = self.model.hear(at, stream);
            for piece in stream[..heard].chunks(piece.max(1)) {
                self.lines[at].out.write_all(piece).await.expect("an open connection");
            }
        }
        self.settle().await;
    }

    /// Waits until nobody has anything to do, and holds what has been heard against the model.
    async fn settle(&mut self) {
        // The clock goes on by itself when all wait for it.
        tokio::time::sleep(Duration::from_millis(1)).await;
        for at in 0..self.lines.len() {
            while let Some(frame) = self.lines[at].next() {
                self.compare(at, frame);
            }
            self.assert_answered(at);
        }
    }

    /// Everything on a connection has been answered, but for pulls that nothing has come for.
    fn assert_answered(&self, at: usize) {
        let link = &self.model.links[at];
        for awaited in &link.awaited {
            let waits = awaited
                .pull
                .as_ref()
                .is_some_and(|(to, request)| !link.is_over && self.model.has_nothing(*to, request));
            assert!(waits, "no answer: {awaited:?}");
        }
    }

    fn compare(&mut self, at: usize, ResponseFrame { tag, answer }: ResponseFrame) {
        let answer: Answer = match answer {
            Ok(Response::PullEnvelopes(pulled)) => Ok(without_times(pulled).into()),
            Ok(response) => Ok(response),
            Err(refusal) => {
                let may_wait = refusal.error == ErrorCode::TOO_MANY_REQUESTS;
                assert_eq!(refusal.retry_after_s > 0, may_wait, "{refusal:?}");
                Err(refusal.error)
            }
        };
        let link = &mut self.model.links[at];
        if let Ok(Response::Hello(hello)) = &answer {
            assert!(!self.nonces.contains(&hello.nonce), "a nonce twice");
            assert_eq!(hello.flags, ServerFlags::default());
            self.nonces.push(hello.nonce);
            // Of several, the last one is good.
            if link.nonce != Nonce::None {
                link.nonce = Nonce::Heard(hello.nonce);
            }
        }
        let is_it = |awaited: &model::Awaited| {
            awaited.tag == tag
                && match &answer {
                    Ok(Response::Hello(_)) => awaited.is_hello,
                    answer => awaited.answers.contains(answer),
                }
        };
        let found = link.awaited.iter().position(is_it);
        let found = found.unwrap_or_else(|| {
            panic!("on connection {at}, {tag:?} is answered {answer:?}; awaited: {:?}", link.awaited)
        });
        link.awaited.remove(found);
    }

    /// The server stops: who waits is answered still, connections end, and what is stored is what the model has.
    async fn end(mut self) {
        self.shutdown.cancel();
        self.model.links.iter_mut().for_each(Link::end);
        for serving in std::mem::take(&mut self.serving) {
            serving.await.expect("a server that does not panic");
        }
        self.settle().await;
        for line in &self.lines {
            let heard = line.heard.lock().expect("a lock");
            assert!(heard.is_over, "a connection is left");
        }
        self.compare_stores().await;
    }

    /// What is stored is what the model has.
    async fn compare_stores(&self) {
        let (store, model) = (&self.store, &self.model.store);
        for person in people() {
            let id = person.id();
            let there = store.account(id, SystemTime::now()).await.expect("a sound store");
            let expected = model.account(id, self.model.now());
            assert_eq!(
                there.map(|account| (account.fingerprint, account.moved.map(|moved| moved.to))),
                expected.map(|(fingerprint, moved)| (fingerprint, moved.map(|(to, _)| to)))
            );
            assert_eq!(store.succession(id).await.expect("a sound store").as_ref(), model.succession(id));
            let pending = store.pending_envelopes(id, Sequence(0), usize::MAX, usize::MAX).await;
            let pending = pending.expect("a sound store").into_iter();
            let pending: Vec<_> = pending.map(|one| (one.sequence.0, one.envelope)).collect();
            let expected = model.pending(id, 0).into_iter();
            assert_eq!(
                pending,
                expected.map(|(number, _, envelope)| (number as i64, envelope)).collect::<Vec<_>>()
            );
            for file in speech::files() {
                for index in 0..speech::CHUNKS {
                    let chunk = store.fetch_chunk(id, file, index).await.expect("a sound store");
                    assert_eq!(chunk.as_ref(), model.chunk(id, file, index));
                }
            }
        }
        for name in speech::names() {
            let there = store.account_named(&name).await.expect("a sound store");
            assert_eq!(there, model.account_named(&name));
        }
    }
}

impl Line {
    /// The next answer that has come.
    fn next(&self) -> Option<ResponseFrame> {
        self.heard.lock().expect("a lock").reader.poll().expect("what a server says")
    }
}

/// Hears a server out.
async fn listen(mut read: ReadHalf<DuplexStream>, heard: Arc<Mutex<Heard>>) {
    let mut buffer = [0; 4096];
    // A server that is gone says no more.
    while let Ok(size @ 1..) = read.read(&mut buffer).await {
        heard.lock().expect("a lock").reader.push(&buffer[..size]);
    }
    heard.lock().expect("a lock").is_over = true;
}

/// Times are the clock's.
fn without_times(pulled: Pulled) -> Pulled {
    let deliveries = pulled.into_deliveries().into_iter();
    let deliveries = deliveries.map(|delivery| Delivery { time: UnixMinutes(0), ..delivery });
    Pulled::new(deliveries.collect()).expect("as it was")
}

/// Limits that are soon reached.
fn limits() -> MailLimits {
    MailLimits {
        per_pair: 6,
        policy: QueuePolicy::Reject,
        bytes_per_hour: 64 << 10,
        file_bytes_per_pair: 4 * CHUNK_COST as u64,
        file_bytes_per_hour: 8 * CHUNK_COST as u64,
        ..MailLimits::default()
    }
}
