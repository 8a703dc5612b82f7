//! One client's connection: bytes in, requests handled one after the other, answers out in kind.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use messageu_wire::dialect::{Dialect, Pin, Profile};
use messageu_wire::fields::{ClientId, NameField};
use messageu_wire::frame::{Event, Received, Rejection, RequestReader};
use messageu_wire::message::CONTENT_MAX;
use messageu_wire::operation::pull_messages::EntryHead;
use messageu_wire::operation::{list_clients, pull_messages, send_message};
use messageu_wire::operations::{Operation, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::delivery::Delivery;
use crate::handler::{Asker, Mail, Outcome, Refusal, check_send, handle};
use crate::in_flight::{Done, InFlight, Sender};
use crate::in_order::InOrder;
use crate::limits::{LINGER, PULL_INLINE, PULL_PAGE, ROSTER_PAGE, TAIL_PATIENCE, UPLOAD_CHUNKS, WRITE_SIZE};
use crate::metrics::Metrics;
use crate::relay::Relay;
use crate::store::{CHUNK_SIZE, Client, Content, Pending, RosterExtent, Sequence, StoreError, UploadId};
use crate::transport::Transport;

/// Bytes read at once: small requests need no more, contents do.
const READ_SIZE: usize = 4 * 1024;
const CONTENT_READ_SIZE: usize = CHUNK_SIZE;

/// How a connection came to its end.
enum End {
    /// The peer closed it, or the server is stopping and nothing was in flight.
    Closed,
    /// The answer to this dialect's requests ends the connection, or the peer's bytes cannot be read any further: what
    /// was answered should still reach the peer.
    Finished,
    /// It failed, or took too long.
    Broken(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Serves one connection until its end, which `shutdown` brings on as soon as nothing is in flight. `peer` is for the log.
pub async fn serve(
    stream: impl Transport,
    peer: SocketAddr,
    pin: Pin,
    relay: Arc<Relay>,
    shutdown: CancellationToken,
) {
    let reader = RequestReader::new(pin, CONTENT_MAX);
    let now = Instant::now();
    let mut connection = Connection {
        stream,
        reader,
        relay,
        shutdown,
        asker: None,
        served: false,
        in_flight: InFlight::default(),
        delivery: None,
        quiet_since: now,
        request_since: None,
        request_bytes: 0,
    };
    let end = connection.run().await;
    if let Some(mut delivery) = connection.delivery.take() {
        match end {
            End::Broken(_) => delivery.lost(&connection.relay),
            // Ours is closed first, since some clients read to the end.
            End::Closed | End::Finished => {
                let _ = connection.stream.shutdown().await;
                delivery.end_written();
                connection.await_verdict(delivery).await;
            }
        }
    }
    match end {
        End::Closed => {}
        End::Finished => connection.linger().await,
        End::Broken(reason) => {
            tracing::debug!(%peer, reason, "connection broken");
            // A reset instead of a clean close: an answer that was cut must not look whole.
            connection.stream.reset_when_dropped();
        }
    }
}

struct Connection<T> {
    stream: T,
    reader: RequestReader,
    relay: Arc<Relay>,
    shutdown: CancellationToken,
    /// The client id last seen in a header, and what it names.
    asker: Option<LookedUp>,
    /// Whether a known client has been answered here.
    served: bool,
    /// Sends that wait for the store.
    in_flight: InFlight,
    /// A pull that awaits its verdict.
    delivery: Option<Delivery>,
    quiet_since: Instant,
    /// When the request that is coming in began, or had its last full [`CONTENT_READ_SIZE`].
    request_since: Option<Instant>,
    /// Bytes of it since then. What came before gives no credit, or a fast start would buy a long silence.
    request_bytes: u64,
}

/// An id from a header, looked up.
struct LookedUp {
    id: ClientId,
    client: Option<Arc<Client>>,
    /// How many clients had been deleted before: one more, and this may be wrong.
    deletions: u64,
}

/// What came of reading.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Bytes,
    Nothing,
    Ended,
}

impl<T: Transport> Connection<T> {
    async fn run(&mut self) -> End {
        loop {
            let received = match self.next_request().await {
                Ok(received) => received,
                Err(end) => return end,
            };
            let dialect = received.dialect;
            if let Some(deviation) = received.deviation {
                self.relay.metrics.count_deviation(deviation);
                tracing::debug!(client = %received.client_id, %deviation, "wrong size let pass");
            }
            if let Err(end) = self.serve_request(received).await {
                return end;
            }
            // The beginning of a further request may have come along.
            self.request_since = self.reader.is_inside_request().then(Instant::now);
            self.request_bytes = 0;
            self.quiet_since = Instant::now();
            // Whoever has much to say lets others in between.
            consume_budget().await;
            if dialect.profile.closes || self.shutdown.is_cancelled() {
                return self.settle().await.err().unwrap_or(End::Finished);
            }
        }
    }

    /// Waits for a request. `Err` with how the connection ends instead.
    async fn next_request(&mut self) -> Result<Box<Received>, End> {
        let mut quiet = false;
        loop {
            let hint = self.look_up_asker().await;
            match self.reader.poll(hint, quiet) {
                Ok(Event::Request(received)) => return Ok(received),
                // Where nothing follows, an end of the stream is as quiet as silence; it shows again at the next read.
                Ok(Event::Undecided) => {
                    quiet = self.read(Some(Instant::now() + TAIL_PATIENCE)).await? != Read::Bytes;
                }
                Ok(Event::More | Event::Content(_) | Event::EndOfContent) => {
                    quiet = false;
                    if self.read(None).await? == Read::Ended {
                        self.settle().await?;
                        return Err(End::Closed);
                    }
                }
                Err(rejection) => return Err(self.reject(&rejection).await),
            }
        }
    }

    /// Does what a request asks, and answers it, now or when the store has done it.
    async fn serve_request(&mut self, received: Box<Received>) -> Result<(), End> {
        let sender = Sender { dialect: received.dialect, client_id: received.client_id };
        if let Request::SendMessage(send) = &received.request
            && let Ok(size @ ..=CHUNK_SIZE) = usize::try_from(send.size)
        {
            return self.begin_send(sender, send.clone(), size).await;
        }
        // What comes behind a send sees what it did, and is answered behind it.
        self.settle().await?;
        let Sender { dialect, client_id } = sender;
        let operation = received.request.operation();
        let result = self.answer(received).await?;
        self.relay.metrics.count_request(operation, result.as_ref().err().map(Refusal::reason));
        match result {
            Ok(()) => Ok(()),
            Err(refusal) => {
                log_refusal(operation, client_id, &refusal);
                self.write(&dialect.encode_refusal(client_id)).await
            }
        }
    }

    /// The profile remembered of the client in the next header, if its id is there yet and known.
    async fn look_up_asker(&mut self) -> Option<&'static Profile> {
        let id = self.reader.next_client_id()?;
        let deletions = self.relay.deletions();
        if self.asker.as_ref().is_none_or(|known| (known.id, known.deletions) != (id, deletions)) {
            let client = self.relay.resolve(id).await.unwrap_or_else(|error| {
                tracing::error!(client = %id, %error, "a client could not be looked up, and counts as unknown");
                None
            });
            self.asker = Some(LookedUp { id, client: client.map(Arc::new), deletions });
        }
        let client = self.asker.as_ref()?.client.as_ref()?;
        Profile::named(&client.profile)
    }

    /// Reads what has come, waiting for it until `patience` ends, if it does. While a pull awaits its verdict, gives it.
    async fn read(&mut self, patience: Option<Instant>) -> Result<Read, End> {
        let inside = self.request_since.is_some();
        let size = if inside { CONTENT_READ_SIZE } else { READ_SIZE };
        loop {
            let deadline = self.deadline();
            let is_idle = !inside && !self.reader.is_inside_request() && self.in_flight.is_empty();
            let verdict_at = self.delivery.as_ref().map(|delivery| delivery.verdict_at);
            let wake_at = [verdict_at, patience].into_iter().flatten().fold(deadline, Instant::min);
            let shutdown = self.shutdown.clone();
            let ready = tokio::select! {
                biased;
                done = self.in_flight.done() => {
                    self.answer_sends(done).await?;
                    continue;
                }
                ready = timeout_at(wake_at, self.stream.readable()) => ready,
                () = shutdown.cancelled(), if is_idle => return Err(End::Closed),
            };
            let read = match ready {
                Ok(ready) => {
                    ready?;
                    self.reader.buffer_mut().reserve(size);
                    self.stream.try_read_buf(self.reader.buffer_mut())
                }
                // A peer that waits for an answer may be silent.
                Err(_) if Instant::now() >= deadline && !inside && !self.in_flight.is_empty() => {
                    self.quiet_since = Instant::now();
                    continue;
                }
                Err(_) if Instant::now() >= deadline => {
                    return Err(End::Broken(if inside { "too slow" } else { "silent for too long" }.into()));
                }
                Err(_) if patience.is_some_and(|patience| Instant::now() >= patience) => {
                    return Ok(Read::Nothing);
                }
                Err(_) => {
                    self.take_silence_as_verdict().await?;
                    continue;
                }
            };
            match read {
                Ok(0) => {
                    if let Some(delivery) = self.delivery.take() {
                        self.in_flight.beside(delivery.stream_ended(&self.stream, &self.relay)).await;
                    }
                    return Ok(Read::Ended);
                }
                Ok(bytes) => {
                    if self.reader.is_inside_request() {
                        self.run_clock(bytes);
                        if let Some(delivery) = self.delivery.take() {
                            let asked = delivery.asked_for_more(&self.relay);
                            self.delivery = self.in_flight.beside(asked).await;
                        }
                    }
                    return Ok(Read::Bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // A silent connection holds no memory for what may come.
                    if self.reader.buffer_mut().is_empty() {
                        *self.reader.buffer_mut() = BytesMut::new();
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Notes that so many bytes of a request have come.
    fn run_clock(&mut self, bytes: usize) {
        self.request_bytes += u64::try_from(bytes).unwrap_or(0);
        let full = self.request_bytes >= u64::try_from(CONTENT_READ_SIZE).unwrap_or(0);
        if full || self.request_since.is_none() {
            self.request_since = Some(Instant::now());
            self.request_bytes = 0;
        }
    }

    async fn take_silence_as_verdict(&mut self) -> Result<(), End> {
        if let Some(delivery) = self.delivery.take() {
            self.delivery = self.in_flight.beside(delivery.silent(&self.stream, &self.relay)).await?;
        }
        Ok(())
    }

    fn deadline(&self) -> Instant {
        let limits = self.relay.limits();
        match self.request_since {
            Some(since) => since + limits.time_for(self.request_bytes),
            None if self.served => self.quiet_since + limits.session_idle,
            None => self.quiet_since + limits.idle,
        }
    }

    /// Who asks, as far as is known, and what this request shows of them.
    async fn introduce(&mut self, dialect: Dialect, client_id: ClientId) -> Asker {
        let known = self.asker.as_mut().filter(|known| known.id == client_id);
        let mut client = known.as_ref().and_then(|known| known.client.clone());
        if let Some(client) = &mut client {
            self.in_flight.beside(self.relay.learn_profile(client, dialect.profile)).await;
            self.served = true;
            self.relay.touch(client.id);
        }
        if let Some(known) = known {
            known.client.clone_from(&client);
        }
        Asker { client, profile: dialect.profile }
    }

    /// Takes in a send whose content is gathered in memory, and leaves it to the store.
    async fn begin_send(
        &mut self,
        sender: Sender,
        send: send_message::Request,
        size: usize,
    ) -> Result<(), End> {
        let asker = self.introduce(sender.dialect, sender.client_id).await;
        let checked = check_send(&self.relay, &asker, &send).await;
        let mut content = BytesMut::new();
        while let Some(piece) = self.next_content().await? {
            if checked.is_ok() {
                content.extend_from_slice(&piece);
            }
        }
        match checked {
            Ok((send, _)) => {
                while self.in_flight.is_full_for(size) {
                    let done = self.in_flight.done().await;
                    self.answer_sends(done).await?;
                }
                let content = Content::Inline(content.freeze());
                let work = handle(Arc::clone(&self.relay), asker, Request::SendMessage(send), content);
                self.in_flight.begin(sender, size, work).await;
            }
            Err(refusal) => self.in_flight.refuse(sender, refusal),
        }
        Ok(())
    }

    /// Answers all sends that wait for the store.
    async fn settle(&mut self) -> Result<(), End> {
        while !self.in_flight.is_empty() {
            let done = self.in_flight.done().await;
            self.answer_sends(done).await?;
        }
        Ok(())
    }

    /// Writes the answers of sends together.
    async fn answer_sends(&mut self, sends: Vec<Done>) -> Result<(), End> {
        let mut answers = Vec::new();
        for Done { sender: Sender { dialect, client_id }, result, .. } in sends {
            self.relay
                .metrics
                .count_request(Operation::SendMessage, result.as_ref().err().map(Refusal::reason));
            let answer = match result {
                Ok(Outcome::Answer(response)) => dialect.encode_response(&response, client_id),
                Ok(Outcome::Roster(_) | Outcome::Mail(_)) => None,
                Err(refusal) => {
                    log_refusal(Operation::SendMessage, client_id, &refusal);
                    None
                }
            };
            answers.extend(answer.unwrap_or_else(|| dialect.encode_refusal(client_id)));
        }
        self.quiet_since = Instant::now();
        self.write(&answers).await
    }

    /// Answers a request; the inner error is a refusal that is still to be written.
    async fn answer(&mut self, received: Box<Received>) -> Result<Result<(), Refusal>, End> {
        let Received { dialect, client_id, request, .. } = *received;
        // A pull that was asked for before the one before it was there: waited for, as on another connection.
        while let (Some(delivery), Request::PullMessages(_)) = (&self.delivery, &request) {
            sleep_until(delivery.verdict_at).await;
            self.take_silence_as_verdict().await?;
        }
        let asker = self.introduce(dialect, client_id).await;
        let (request, content) = match request {
            Request::SendMessage(send) => match check_send(&self.relay, &asker, &send).await {
                Ok((send, from)) => match self.upload_content(&send, from).await? {
                    Ok(content) => (Request::SendMessage(send), content),
                    Err(refusal) => return Ok(Err(refusal)),
                },
                Err(refusal) => return self.refuse_content(refusal).await.map(Err),
            },
            other => (other, Content::Inline(Bytes::new())),
        };
        match handle(Arc::clone(&self.relay), asker, request, content).await {
            Ok(outcome) => self.write_outcome(dialect, client_id, outcome).await,
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Takes the content of a send into the store, chunk by chunk.
    async fn upload_content(
        &mut self,
        send: &send_message::Request,
        from: ClientId,
    ) -> Result<Result<Content, Refusal>, End> {
        let relay = Arc::clone(&self.relay);
        let mut upload = match Upload::begin(&relay, send, from).await {
            Ok(upload) => upload,
            Err(error) => return self.refuse_content(error.into()).await.map(Err),
        };
        while let Some(piece) = upload.chunks.beside(self.next_content()).await? {
            if let Err(error) = upload.append(piece).await {
                return self.refuse_content(error.into()).await.map(Err);
            }
        }
        match upload.finish().await {
            Ok(content) => Ok(Ok(content)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    /// Takes the content of a send that is refused all the same: its sender reads no answer before it has written
    /// everything, and goes on after it.
    async fn refuse_content(&mut self, refusal: Refusal) -> Result<Refusal, End> {
        while self.next_content().await?.is_some() {}
        Ok(refusal)
    }

    /// The next piece of the content that is coming in.
    async fn next_content(&mut self) -> Result<Option<Bytes>, End> {
        loop {
            match self.reader.poll(None, false) {
                Ok(Event::Content(piece)) => return Ok(Some(piece)),
                Ok(Event::EndOfContent) => return Ok(None),
                Ok(_) => {
                    self.request_since.get_or_insert_with(Instant::now);
                    if self.read(None).await? == Read::Ended {
                        self.settle().await?;
                        return Err(End::Broken("closed inside a content".into()));
                    }
                }
                Err(rejection) => return Err(self.reject(&rejection).await),
            }
        }
    }

    async fn write_outcome(
        &mut self,
        dialect: Dialect,
        client_id: ClientId,
        outcome: Outcome,
    ) -> Result<Result<(), Refusal>, End> {
        match outcome {
            Outcome::Answer(response) => match dialect.encode_response(&response, client_id) {
                Some(bytes) => self.write(&bytes).await.map(Ok),
                None => Ok(Err(Refusal::TooLarge)),
            },
            Outcome::Roster(extent) => self.write_roster(dialect, client_id, extent).await,
            Outcome::Mail(mail) => self.write_mail(dialect, client_id, mail).await,
        }
    }

    async fn write_roster(
        &mut self,
        dialect: Dialect,
        client_id: ClientId,
        extent: RosterExtent,
    ) -> Result<Result<(), Refusal>, End> {
        let start = list_clients::declared_size(extent.count)
            .and_then(|size| dialect.response_start(Operation::ListClients, size, client_id));
        let Some(start) = start else { return Ok(Err(Refusal::TooLarge)) };
        let asker = self.asker.as_ref().and_then(|known| known.client.as_ref()).map(|client| client.id);
        let mut answer = Answer::new(dialect, start);
        let (mut after, mut left) = (i64::MIN, extent.count);
        while left > 0 {
            let page = self
                .relay
                .store
                .roster_page(asker.unwrap_or(client_id), after, extent.last, ROSTER_PAGE)
                .await;
            let page = match page {
                Ok(page) if !page.is_empty() => page,
                // A client was deleted meanwhile, or the store failed: what was announced cannot be kept.
                Ok(_) => return answer.fail(Refusal::Store(StoreError::NoSuchContent)),
                Err(error) => return answer.fail(error.into()),
            };
            for row in page {
                after = row.position;
                left = left.saturating_sub(1);
                let entry = list_clients::Entry { client_id: row.id, name: NameField::from(&row.name) };
                entry.encode(dialect.profile, &mut answer.bytes);
            }
            self.flush(&mut answer).await?;
        }
        self.finish(answer).await.map(Ok)
    }

    async fn write_mail(
        &mut self,
        dialect: Dialect,
        client_id: ClientId,
        mail: Mail,
    ) -> Result<Result<(), Refusal>, End> {
        let profile = dialect.profile;
        let sizes = mail.messages.iter().map(|announced| announced.shown_size(profile));
        let start = pull_messages::declared_size(profile, sizes)
            .and_then(|size| dialect.response_start(Operation::PullMessages, size, client_id));
        let Some(start) = start else { return Ok(Err(Refusal::TooLarge)) };
        let mut answer = Answer::new(dialect, start);
        let mut page = VecDeque::new();
        let mut after = Sequence::default();
        for announced in &mail.messages {
            if page.is_empty() {
                match self.relay.store.pending(mail.to, after, PULL_PAGE, PULL_INLINE).await {
                    Ok(read) => page = read.into(),
                    Err(error) => return answer.fail(error.into()),
                }
            }
            after = announced.sequence;
            match page.pop_front().filter(|message| message.sequence == after) {
                Some(message) => {
                    self.write_message(&mut answer, message, announced.shown_size(profile)).await?
                }
                // It was dropped for a newer one, or its recipient deleted: what was announced cannot be kept.
                None => return answer.fail(Refusal::Store(StoreError::NoSuchContent)),
            }
        }
        let spoke_early = self.peer_has_spoken()?;
        self.finish(answer).await?;
        self.delivery = Delivery::written(mail, spoke_early, &self.stream, &self.relay);
        Ok(Ok(()))
    }

    async fn write_message(&mut self, answer: &mut Answer, message: Pending, shown: u32) -> Result<(), End> {
        let Pending { sequence, from, kind, size, content } = message;
        let head = EntryHead { from, message_id: Some(sequence.message_id()), kind, size: shown };
        head.encode(answer.dialect.profile, &mut answer.bytes);
        if let Some(content) = content {
            answer.bytes.extend_from_slice(&content);
            let filler = usize::try_from(shown.saturating_sub(size)).unwrap_or(0);
            answer.bytes.resize(answer.bytes.len() + filler, 0);
            return self.flush(answer).await;
        }
        let store = Arc::clone(&self.relay.store);
        let mut indices = (0..u64::from(size)).step_by(CHUNK_SIZE).zip(0_u32..).map(|(_, index)| index);
        let Some(first) = indices.next() else { return Ok(()) };
        let mut chunk = store.read_content(sequence, first).await;
        loop {
            // The head has been gathered, if not written: only breaking off is honest.
            answer.bytes.extend_from_slice(&chunk.map_err(|error| End::Broken(error.to_string()))?);
            let Some(index) = indices.next() else { return self.flush(answer).await };
            let (flushed, next) = tokio::join!(self.flush(answer), store.read_content(sequence, index));
            flushed?;
            chunk = next;
        }
    }

    /// Writes what has been gathered, once it is worth a write.
    async fn flush(&mut self, answer: &mut Answer) -> Result<(), End> {
        if answer.bytes.len() >= WRITE_SIZE {
            answer.written += u64::try_from(answer.bytes.len()).unwrap_or(0);
            self.write(&answer.bytes).await?;
            answer.bytes.clear();
        }
        Ok(())
    }

    async fn finish(&mut self, mut answer: Answer) -> Result<(), End> {
        let written = answer.written + u64::try_from(answer.bytes.len()).unwrap_or(0);
        let tail = answer.dialect.response_tail(written);
        answer.bytes.resize(answer.bytes.len() + tail, 0);
        self.write(&answer.bytes).await
    }

    /// Whether the peer has closed its side or asked for more, while its answer is not yet written. A zero byte is
    /// padding.
    ///
    /// An error is told once: passed over here, it would be missed later, and the mail be taken for arrived.
    fn peer_has_spoken(&self) -> Result<bool, End> {
        let mut byte = [0];
        let closed = match self.stream.try_peek(&mut byte) {
            Ok(peeked) => peeked == 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => return Err(error.into()),
        };
        Ok(closed || byte != [0] || self.reader.is_inside_request())
    }

    /// Writes, as slowly as the limits let the peer take it.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        for piece in bytes.chunks(WRITE_SIZE) {
            let time = self.relay.limits().time_for(u64::try_from(piece.len()).unwrap_or(0));
            match self.in_flight.beside(timeout(time, self.stream.write_all(piece))).await {
                Ok(written) => written?,
                Err(_) => return Err(End::Broken("takes its answer too slowly".into())),
            }
        }
        Ok(())
    }

    async fn reject(&mut self, rejection: &Rejection) -> End {
        if let Err(end) = self.settle().await {
            return end;
        }
        Metrics::count(&self.relay.metrics.rejected);
        tracing::debug!(client = %rejection.client_id, error = %rejection.error, "no request");
        match self.write(&rejection.dialect.encode_refusal(rejection.client_id)).await {
            Ok(()) => End::Finished,
            Err(end) => end,
        }
    }

    /// Waits for the verdict on a pull that ends the connection.
    async fn await_verdict(&mut self, mut delivery: Delivery) {
        let mut scrap = [0; 1024];
        loop {
            match timeout_at(delivery.verdict_at, self.stream.read(&mut scrap)).await {
                Ok(Ok(0)) => return delivery.stream_ended(&self.stream, &self.relay).await,
                // Padding that comes late.
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return delivery.lost(&self.relay),
                Err(_) => {
                    match delivery.silent(&self.stream, &self.relay).await {
                        Ok(Some(waiting)) => delivery = waiting,
                        Ok(None) => return,
                        // The rest must not reach the peer any more: it will come again.
                        Err(_) => return self.stream.reset_when_dropped(),
                    }
                }
            }
        }
    }

    /// Ends the connection so that the last answer reaches the peer: a close with unread bytes would be a reset.
    async fn linger(&mut self) {
        let _ = self.stream.shutdown().await;
        let deadline = Instant::now() + self.relay.limits().pull_grace;
        let mut scrap = [0; READ_SIZE];
        let mut left = LINGER;
        while let Ok(Ok(read @ 1..)) = timeout_at(deadline, self.stream.read(&mut scrap)).await {
            match left.checked_sub(u32::try_from(read).unwrap_or(u32::MAX)) {
                Some(less) => left = less,
                None => break,
            }
        }
    }
}

/// An answer that is written in pieces.
struct Answer {
    dialect: Dialect,
    bytes: Vec<u8>,
    written: u64,
}

impl Answer {
    fn new(dialect: Dialect, start: Vec<u8>) -> Self {
        Self { dialect, bytes: start, written: 0 }
    }

    /// The rest cannot be had: a refusal, as long as nothing has been written; then only breaking off is honest.
    fn fail(self, refusal: Refusal) -> Result<Result<(), Refusal>, End> {
        if self.written == 0 { Ok(Err(refusal)) } else { Err(End::Broken(refusal.to_string())) }
    }
}

/// A large content on its way into the store; given up when it is dropped before its end.
struct Upload<'a> {
    relay: &'a Arc<Relay>,
    id: Option<UploadId>,
    chunk: BytesMut,
    /// Chunks on their way to the store.
    chunks: InOrder<Result<(), StoreError>>,
}

impl<'a> Upload<'a> {
    async fn begin(
        relay: &'a Arc<Relay>,
        send: &send_message::Request,
        from: ClientId,
    ) -> Result<Self, StoreError> {
        // Asked now, so that what has no room is not taken in first.
        let limits = relay.limits().queue;
        relay.store.check_room(send.to, from, send.size, limits).await?;
        let id = relay.store.begin_upload(send.to, send.size).await?;
        Ok(Self { relay, id: Some(id), chunk: BytesMut::new(), chunks: InOrder::default() })
    }

    async fn append(&mut self, mut piece: Bytes) -> Result<(), StoreError> {
        while !piece.is_empty() {
            let room = CHUNK_SIZE - self.chunk.len();
            self.chunk.extend_from_slice(&piece.split_to(room.min(piece.len())));
            if self.chunk.len() == CHUNK_SIZE {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        // Others may have filled the disk since the upload began.
        if !self.relay.disk_has_room(0) {
            return Err(StoreError::Storage("the disk is almost full".into()));
        }
        if self.chunks.len() >= UPLOAD_CHUNKS {
            self.chunks.next().await?;
        }
        let id = self.id.ok_or(StoreError::NoSuchContent)?;
        let store = Arc::clone(&self.relay.store);
        let permit = self.chunks.beside(Arc::clone(&self.relay.chunks_in_flight).acquire_owned()).await;
        let chunk = self.chunk.split().freeze();
        let append = async move {
            let appended = store.append_chunk(id, chunk).await;
            drop(permit);
            appended
        };
        self.chunks.begin(append).await;
        Ok(())
    }

    async fn finish(mut self) -> Result<Content, StoreError> {
        if !self.chunk.is_empty() {
            self.flush().await?;
        }
        while !self.chunks.is_empty() {
            self.chunks.next().await?;
        }
        self.id.take().map(Content::Uploaded).ok_or(StoreError::NoSuchContent)
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.relay.store.abandon_upload(id);
        }
    }
}

fn log_refusal(operation: Operation, client: ClientId, refusal: &Refusal) {
    if let Refusal::Store(error @ StoreError::Storage(_)) = refusal {
        tracing::error!(%operation, %client, %error, "refused: nothing was stored");
    } else {
        tracing::debug!(%operation, %client, %refusal, "refused");
    }
}
