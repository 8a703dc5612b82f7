//! A small server that does what spec.md says of one that serves the classic dialects, but for one switch: the fault that
//! the kit has to find. It is for tests alone, and keeps everything in memory.

mod fault;
mod state;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use messageu_wire::dialect::{Dialect, Pin};
use messageu_wire::fields::{ClientId, NameField};
use messageu_wire::frame::{Event, Received, RequestReader};
use messageu_wire::message::CONTENT_MAX;
use messageu_wire::operation::{fetch_key, list_clients, pull_messages, register, send_message};
use messageu_wire::operations::{Request, Response};

pub(crate) use fault::Fault;
use state::{GRACE, State, Stored, Turns};

/// How long a tail is waited for.
const QUIET: Duration = Duration::from_millis(25);

/// Starts a server with a fault, and says where it is. It ends with the process.
pub(crate) fn start(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let state = Arc::new(State::default());
    let turns = Arc::new(Turns::default());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (state, turns) = (Arc::clone(&state), Arc::clone(&turns));
            let pulled = None;
            thread::spawn(move || Connection { stream, fault, state, turns, pulled, heard: false }.serve());
        }
    });
    address
}

struct Connection {
    stream: TcpStream,
    fault: Fault,
    state: Arc<State>,
    turns: Arc<Turns>,
    /// A pull without a verdict: whose, the numbers, and when it was written.
    pulled: Option<(ClientId, Vec<u32>, Instant)>,
    /// Whether anything but zeros has come since it was written.
    heard: bool,
}

/// Why a connection ends.
enum End {
    /// The peer has ended its side.
    Theirs,
    /// The server ends it.
    Ours,
    /// It is broken.
    Broken,
}

impl Connection {
    fn serve(mut self) {
        self.stream.set_nodelay(true).unwrap();
        if self.fault == Fault::GreetsFirst {
            let _ = self.stream.write_all(b"!");
        }
        let end = self.requests();
        match end {
            End::Theirs => self.arrived(),
            End::Broken => self.release(),
            End::Ours if self.fault == Fault::BreaksAfterRefusal => {}
            End::Ours => {
                let _ = self.stream.shutdown(Shutdown::Write);
                self.drain();
            }
        }
        self.release();
    }

    /// Takes what the peer still sends, so that the close does not break what was answered.
    fn drain(&mut self) {
        let until = Instant::now() + GRACE;
        let mut buffer = [0; 65_536];
        self.stream.set_read_timeout(Some(GRACE)).unwrap();
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.arrived(),
                Ok(_) if Instant::now() < until => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.arrived(),
                _ => return,
            }
        }
    }

    fn requests(&mut self) -> End {
        let limit = if self.fault == Fault::TakesAnySize { u32::MAX } else { CONTENT_MAX };
        let mut reader = RequestReader::new(Pin::default(), limit);
        let (mut ended, mut buffer) = (false, vec![0; 65_536]);
        let mut sending: Option<(Received, Vec<u8>)> = None;
        let mut answered = false;
        loop {
            let hint = reader.next_client_id().and_then(|id| self.state.profile(id));
            let quiet = ended;
            let mut event = match reader.poll(hint, quiet) {
                Ok(event) => event,
                Err(rejection) => return self.no_request(rejection.dialect, rejection.client_id),
            };
            if event == Event::Undecided {
                self.stream.set_read_timeout(Some(QUIET)).unwrap();
                match self.read(&mut reader, &mut buffer, answered) {
                    Ok(true) => continue,
                    Ok(false) => ended = true,
                    Err(ErrorKind::WouldBlock) => {
                        let hint = reader.next_client_id().and_then(|id| self.state.profile(id));
                        event = match reader.poll(hint, true) {
                            Ok(event) => event,
                            Err(rejection) => return self.no_request(rejection.dialect, rejection.client_id),
                        };
                    }
                    Err(_) => return End::Broken,
                }
            }
            match event {
                Event::Undecided => {}
                Event::More if ended => {
                    if let Some((received, content)) =
                        sending.filter(|_| self.fault == Fault::KeepsHalfContents)
                    {
                        self.store(&received, content);
                    }
                    return if answered || !reader.is_inside_request() { End::Theirs } else { End::Broken };
                }
                Event::More => {
                    if self.fault == Fault::TakesSegmentsForRequests && reader.is_inside_request() {
                        return self.no_request(
                            Dialect::classic(messageu_wire::dialect::Family::E),
                            ClientId::NOBODY,
                        );
                    }
                    self.stream.set_read_timeout(Some(GRACE / 10)).unwrap();
                    match self.read(&mut reader, &mut buffer, answered) {
                        Ok(true) => {}
                        Ok(false) => ended = true,
                        Err(ErrorKind::WouldBlock) => {
                            if self.pulled.as_ref().is_some_and(|(_, _, when)| when.elapsed() > GRACE) {
                                self.arrived();
                            }
                        }
                        Err(ErrorKind::InvalidData) => {
                            return self.no_request(
                                Dialect::classic(messageu_wire::dialect::Family::E),
                                ClientId::NOBODY,
                            );
                        }
                        Err(_) => return End::Broken,
                    }
                }
                Event::Content(piece) => {
                    if let Some((_, content)) = &mut sending {
                        content.extend_from_slice(&piece);
                    }
                }
                Event::Request(received) => {
                    if self.heard && self.fault != Fault::NeedsACloseToDelete {
                        self.arrived();
                    }
                    if received.deviation.is_some() && self.fault == Fault::BelievesSizes {
                        return self.no_request(received.dialect, received.client_id);
                    }
                    if matches!(received.request, Request::SendMessage(_)) {
                        if self.fault == Fault::RefusesBeforeContents && self.refusal(&received).is_some() {
                            self.write(&received.dialect.encode_refusal(received.client_id));
                            return End::Ours;
                        }
                        sending = Some((*received, Vec::new()));
                        continue;
                    }
                    if let Some(end) = self.answer(&received, Vec::new(), ended) {
                        return end;
                    }
                    answered = true;
                    if self.fault == Fault::DropsWhatIsPipelined {
                        reader = RequestReader::new(Pin::default(), limit);
                    }
                }
                Event::EndOfContent => {
                    let Some((received, content)) = sending.take() else { continue };
                    if let Some(end) = self.answer(&received, content, ended) {
                        return end;
                    }
                    answered = true;
                }
            }
        }
    }

    /// Reads once: whether anything came but the end.
    fn read(
        &mut self,
        reader: &mut RequestReader,
        buffer: &mut [u8],
        answered: bool,
    ) -> Result<bool, ErrorKind> {
        match self.stream.read(buffer) {
            Ok(0) => Ok(false),
            Ok(size) => {
                let bytes = &buffer[..size];
                if self.fault == Fault::KnowsNoZeros
                    && answered
                    && bytes[0] == 0
                    && !reader.is_inside_request()
                {
                    return Err(ErrorKind::InvalidData);
                }
                self.heard |= self.pulled.is_some() && bytes.iter().any(|byte| *byte != 0);
                self.heard |= self.pulled.is_some() && self.fault == Fault::TakesZerosForProof;
                if self.heard && self.fault == Fault::TakesZerosForProof {
                    self.arrived();
                }
                reader.push(bytes);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(ErrorKind::WouldBlock),
            Err(error) => Err(error.kind()),
        }
    }

    /// The pull before has arrived: its messages can go.
    fn arrived(&mut self) {
        if let Some((client, numbers, _)) = self.pulled.take() {
            if self.fault != Fault::NeverDeletes {
                self.state.delete(client, &numbers);
            }
            self.turns.end(client);
        }
    }

    /// The pull before has not arrived.
    fn release(&mut self) {
        if let Some((client, ..)) = self.pulled.take() {
            self.turns.end(client);
        }
    }

    fn no_request(&mut self, dialect: Dialect, client_id: ClientId) -> End {
        if self.fault != Fault::ClosesWithoutRefusal {
            let _ = self.stream.write_all(&dialect.encode_refusal(client_id));
        }
        if self.fault == Fault::StaysOpenOnGarbage {
            thread::sleep(Duration::from_secs(60));
        }
        End::Ours
    }

    /// Why a send, or any request that asks for nothing but an account, is refused.
    fn refusal(&self, received: &Received) -> Option<()> {
        let is_known = |id: ClientId| self.state.knows(id);
        let Request::SendMessage(send) = &received.request else { return None };
        let asker = is_known(received.client_id) || self.fault == Fault::TakesMailFromAnybody;
        let kind = send.kind.is_known() || self.fault == Fault::TakesAnyType;
        let to = is_known(self.state.real(send.to)) || self.fault == Fault::TakesMailForAnybody;
        let itself = self.fault == Fault::RefusesNotesToSelf && send.to == received.client_id;
        (!asker || !kind || !to || itself).then_some(())
    }

    fn store(&self, received: &Received, mut content: Vec<u8>) -> Option<u32> {
        let Request::SendMessage(send) = &received.request else { return None };
        if self.fault == Fault::StripsZeros {
            while content.last() == Some(&0) {
                content.pop();
            }
        }
        let from = if self.fault == Fault::ForgetsSenders { ClientId::NOBODY } else { received.client_id };
        let kind = if self.fault == Fault::ForgetsTypes {
            messageu_wire::message::MessageType::TEXT
        } else {
            send.kind
        };
        let message = Stored { from: self.state.real(from), number: 0, kind, content };
        Some(self.state.enqueue(self.state.real(send.to), message, self.fault))
    }

    /// What a request is answered with; `None` is a refusal.
    fn outcome(&mut self, received: &Received, content: Vec<u8>) -> Option<Response> {
        let asker = self.state.real(received.client_id);
        match &received.request {
            Request::Register(request) => {
                let id = self.state.register(request, received.dialect.profile, self.fault)?;
                Some(register::Response { client_id: id }.into())
            }
            Request::ListClients(_) => {
                let everybody = self.state.list().into_iter();
                let others = everybody.filter(|(id, _)| *id != asker || self.fault == Fault::ListsTheAsker);
                let clients = others.map(|(client_id, name)| {
                    let mut name = NameField::from(&name);
                    if self.fault == Fault::LeavesGarbageInNames {
                        name.0[254] = 1;
                    }
                    list_clients::Entry { client_id, name }
                });
                let clients = clients.collect();
                self.state.knows(asker).then(|| list_clients::Response { clients }.into())
            }
            Request::FetchKey(request) => {
                if self.fault == Fault::WantsToKnowWhoAsks && !self.state.knows(asker) {
                    return None;
                }
                let id = self.state.real(request.client_id);
                let public_key = self.state.key(id)?;
                Some(fetch_key::Response { client_id: Some(id), public_key }.into())
            }
            Request::SendMessage(send) => {
                if self.refusal(received).is_some() {
                    return None;
                }
                let number = self.store(received, content)?;
                let message_id = Some(messageu_wire::fields::MessageId(number));
                Some(send_message::Response { to: Some(self.state.real(send.to)), message_id }.into())
            }
            Request::PullMessages(_) => self.pull(asker),
            Request::DeleteClient(_) => {
                let may = self.state.profile(asker)?.deletable || self.fault == Fault::DeletesAnybody;
                let done = may && self.state.forget(asker);
                done.then(|| messageu_wire::operation::delete_client::Response.into())
            }
        }
    }

    fn pull(&mut self, asker: ClientId) -> Option<Response> {
        if !self.state.knows(asker) {
            return None;
        }
        if self.pulled.as_ref().is_some_and(|(client, ..)| *client == asker) {
            // It was asked for before the first was answered, so it proves nothing; silence does.
            thread::sleep(GRACE);
            self.arrived();
        }
        self.release();
        match self.fault {
            Fault::WaitsForNobody => {}
            Fault::WaitsForEver => self.turns.begin(asker, Duration::from_secs(600)),
            _ => self.turns.begin(asker, GRACE * 2),
        }
        let waiting = self.state.pending(asker, self.fault);
        if waiting.is_empty() {
            self.turns.end(asker);
            return (self.fault != Fault::RefusesEmptyPulls)
                .then(|| pull_messages::Response { messages: Vec::new() }.into());
        }
        let numbers: Vec<u32> = waiting.iter().map(|message| message.number).collect();
        if self.fault == Fault::DeletesAtOnce {
            self.state.delete(asker, &numbers);
        }
        self.pulled = Some((asker, numbers, Instant::now()));
        let messages = waiting.into_iter().map(|message| pull_messages::Message {
            from: message.from,
            message_id: Some(messageu_wire::fields::MessageId(match self.fault {
                Fault::NumbersPullsAnew => 1,
                _ => message.number,
            })),
            kind: message.kind,
            content: message.content,
        });
        Some(pull_messages::Response { messages: messages.collect() }.into())
    }

    /// Answers a request; gives why the connection ends, if it does.
    fn answer(&mut self, received: &Received, content: Vec<u8>, ended: bool) -> Option<End> {
        let dialect = received.dialect;
        let outcome = self.outcome(received, content);
        let is_refusal = outcome.is_none();
        if self.fault == Fault::LeavesWhoHasEnded && (ended || self.has_ended()) {
            return Some(End::Ours);
        }
        let mut bytes = match outcome.map(|response| self.filled(response, dialect)) {
            Some(response) => dialect.encode_response(&response, received.client_id).unwrap(),
            None => dialect.encode_refusal(received.client_id),
        };
        match self.fault {
            Fault::AnswersVersionOne => bytes[0] = 1,
            Fault::SaysWhy if is_refusal => {
                bytes[3] = 2;
                bytes.extend(b"no");
            }
            Fault::SaysMore => bytes.push(0),
            _ => {}
        }
        self.heard = false;
        if !self.write(&bytes) {
            return Some(End::Broken);
        }
        if let Some((_, _, written)) = &mut self.pulled {
            *written = Instant::now();
        }
        let closes = dialect.profile.closes
            || self.fault == Fault::ClosesAfterAnswers
            || is_refusal && self.fault == Fault::ClosesAfterRefusals;
        closes.then_some(End::Ours)
    }

    /// What a profile that counts contents alone is shown of empty key requests.
    fn filled(&self, mut response: Response, dialect: Dialect) -> Response {
        if let Response::PullMessages(pull) = &mut response {
            for message in &mut pull.messages {
                let size = dialect.profile.shown_size(message.kind, message.content.len() as u32);
                message.content.resize(size as usize, 0);
            }
        }
        response
    }

    /// Whether the peer has closed its sending side by now.
    fn has_ended(&mut self) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        matches!(self.stream.peek(&mut [0]), Ok(0))
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        if self.fault == Fault::WritesInPieces {
            let (first, rest) = bytes.split_at(1);
            let is_written = self.stream.write_all(first).is_ok();
            thread::sleep(Duration::from_millis(100));
            return is_written && self.stream.write_all(rest).is_ok();
        }
        self.stream.write_all(bytes).is_ok()
    }
}
