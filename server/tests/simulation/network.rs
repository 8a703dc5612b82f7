//! A network in memory, on the runtime's paused clock: connections with the buffers, acknowledgements, ends and resets
//! that TCP has, over links that are slow, are down for a while, or break.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use messageu_server::Transport;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Bytes that a writer may have on the way, and that wait unread at most.
const SEND_BUFFER: usize = 48 << 10;
const RECEIVE_BUFFER: usize = 32 << 10;

/// What a link is like.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// Milliseconds that a packet takes at most.
    pub(crate) slowness: u64,
    /// When nothing passes, in either direction.
    pub(crate) partitions: Vec<(Instant, Instant)>,
    /// When both ends are reset by something in between.
    pub(crate) cut_at: Option<Instant>,
}

impl Weather {
    /// Nothing but time passes.
    pub(crate) fn calm(slowness: u64) -> Self {
        Self { slowness, partitions: Vec::new(), cut_at: None }
    }

    /// Whether the link merely takes time.
    pub(crate) fn is_fair(&self) -> bool {
        self.partitions.is_empty() && self.cut_at.is_none()
    }

    /// The same in words, with the times that are left until each fault.
    pub(crate) fn tell(&self) -> String {
        let now = Instant::now();
        let after = |time: &Instant| (*time - now).as_millis();
        let partitions: Vec<_> = self.partitions.iter().map(|(from, to)| after(from)..after(to)).collect();
        let cut = self.cut_at.as_ref().map(after);
        format!("packets take up to {} ms, partitions {partitions:?}, cut {cut:?}", self.slowness)
    }
}

/// One end of a connection.
pub(crate) struct SimStream {
    link: Arc<Link>,
    end: usize,
}

/// Connects two ends; the packets are carried by tasks of the runtime.
pub(crate) fn connect(weather: Weather, dice: &mut StdRng) -> (SimStream, SimStream) {
    let cut_at = weather.cut_at;
    let state = State { ends: Default::default(), weather, dice: StdRng::from_rng(dice) };
    let link = Arc::new(Link { state: Mutex::new(state), moved: [Notify::new(), Notify::new()] });
    for end in [0, 1] {
        tokio::spawn(Arc::clone(&link).carry_to(end));
    }
    if let Some(cut_at) = cut_at {
        let link = Arc::clone(&link);
        tokio::spawn(async move {
            sleep_until(cut_at).await;
            link.cut();
        });
    }
    (SimStream { link: Arc::clone(&link), end: 0 }, SimStream { link, end: 1 })
}

struct Link {
    state: Mutex<State>,
    /// Wakes who carries packets to each end.
    moved: [Notify; 2],
}

struct State {
    ends: [End; 2],
    weather: Weather,
    dice: StdRng,
}

#[derive(Default)]
struct End {
    /// On the way to this end, in order.
    coming: VecDeque<Packet>,
    /// Here, and not read yet.
    arrived: BytesMut,
    /// The other end will write no more.
    ended: bool,
    reset: Reset,
    /// Bytes of this end that have arrived, and when it learns that.
    unacknowledged: VecDeque<(Instant, usize)>,
    /// This end has said that it will write no more.
    finished: bool,
    /// Nobody is here any more: its program closed the connection.
    closed: bool,
    /// Its whole machine is gone, and answers nothing.
    vanished: bool,
    reset_when_dropped: bool,
    waiting: Vec<Waker>,
}

/// Whether a reset has come, and whether the program knows.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Reset {
    #[default]
    None,
    Untold,
    Told,
}

struct Packet {
    arrives: Instant,
    load: Load,
}

enum Load {
    Bytes(Bytes),
    End,
    Reset,
}

impl Load {
    fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::End => 1,
            Self::Reset => 0,
        }
    }
}

impl Link {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn carry_to(self: Arc<Self>, end: usize) {
        loop {
            let next = {
                let state = self.state();
                let nobody = state.ends.iter().all(|end| end.closed);
                if nobody || state.ends[end].vanished || state.ends[end].reset != Reset::None {
                    return;
                }
                let end = &state.ends[end];
                let room = end.closed || end.arrived.len() < RECEIVE_BUFFER;
                let next = end.coming.front();
                next.filter(|next| room || !matches!(next.load, Load::Bytes(_))).map(|next| next.arrives)
            };
            match next {
                Some(arrives) if arrives <= Instant::now() => self.deliver(end),
                Some(arrives) => {
                    tokio::select! {
                        biased;
                        () = self.moved[end].notified() => {}
                        () = sleep_until(arrives) => {}
                    }
                }
                None => self.moved[end].notified().await,
            }
        }
    }

    fn deliver(&self, end: usize) {
        let mut state = self.state();
        let Some(packet) = state.ends[end].coming.pop_front() else { return };
        let size = packet.load.size();
        if size > 0 {
            let learns = state.passes();
            state.ends[1 - end].unacknowledged.push_back((learns, size));
        }
        match packet.load {
            Load::Bytes(_) if state.ends[end].closed => state.post(1 - end, Load::Reset),
            Load::Bytes(bytes) => state.ends[end].arrived.extend_from_slice(&bytes),
            Load::End => state.ends[end].ended = true,
            Load::Reset => state.ends[end].reset(),
        }
        state.wake();
        self.wake_carriers();
    }

    /// Resets both ends, and loses what is on the way.
    fn cut(&self) {
        let mut state = self.state();
        state.ends.iter_mut().for_each(End::reset);
        state.wake();
        self.wake_carriers();
    }

    fn wake_carriers(&self) {
        self.moved.iter().for_each(Notify::notify_one);
    }
}

impl State {
    /// When something that is sent now has passed the link.
    fn passes(&mut self) -> Instant {
        let mut delay = || Duration::from_millis(self.dice.random_range(0..=self.weather.slowness));
        let mut passes = Instant::now() + delay();
        for (from, to) in &self.weather.partitions {
            if (*from..*to).contains(&passes) {
                passes = *to + delay();
            }
        }
        passes
    }

    /// Puts something on the way to an end, behind what is there.
    fn post(&mut self, to: usize, load: Load) {
        let last = self.ends[to].coming.back().map(|packet| packet.arrives);
        let arrives = self.passes().max(last.unwrap_or_else(Instant::now));
        if !self.ends[1 - to].vanished {
            self.ends[to].coming.push_back(Packet { arrives, load });
        }
    }

    fn wake(&mut self) {
        self.ends.iter_mut().flat_map(|end| end.waiting.drain(..)).for_each(Waker::wake);
    }
}

impl End {
    fn reset(&mut self) {
        self.coming.clear();
        if self.reset == Reset::None {
            self.reset = Reset::Untold;
        }
    }

    /// The reset, if there was one that the program does not know of.
    fn told(&mut self) -> Option<io::Error> {
        if self.reset == Reset::Untold {
            self.reset = Reset::Told;
            return Some(io::ErrorKind::ConnectionReset.into());
        }
        None
    }

    fn is_over(&self) -> bool {
        self.ended || self.reset == Reset::Told
    }

    fn is_readable(&self) -> bool {
        !self.arrived.is_empty() || self.reset == Reset::Untold || self.is_over()
    }

    fn wait(&mut self, context: &Context<'_>) {
        if !self.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            self.waiting.push(context.waker().clone());
        }
    }

    /// Reads up to `most` bytes, in the order in which a system tells: what has arrived, then a reset, then the end.
    fn read(&mut self, most: usize) -> io::Result<BytesMut> {
        if !self.arrived.is_empty() {
            let most = most.min(self.arrived.len());
            return Ok(self.arrived.split_to(most));
        }
        match self.told() {
            Some(reset) => Err(reset),
            None if self.is_over() => Ok(BytesMut::new()),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl SimStream {
    /// The machine at this end is gone: it says nothing more, and acknowledges nothing.
    pub(crate) fn vanish(self) {
        self.link.state().ends[self.end].vanished = true;
    }

    /// Something in between resets both ends.
    pub(crate) fn cut(&self) {
        self.link.cut();
    }

    fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.link.state();
        let end = &mut state.ends[self.end];
        if end.is_readable() {
            return Poll::Ready(());
        }
        end.wait(context);
        Poll::Pending
    }

    fn read_now(&self, most: usize) -> io::Result<BytesMut> {
        let read = self.link.state().ends[self.end].read(most);
        self.link.wake_carriers();
        read
    }

    fn finish(&self, state: &mut State) {
        if !state.ends[self.end].finished && state.ends[self.end].reset == Reset::None {
            state.ends[self.end].finished = true;
            state.post(1 - self.end, Load::End);
            self.link.wake_carriers();
        }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_readable(context));
        let read = self.read_now(buffer.remaining())?;
        buffer.put_slice(&read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.link.state();
        if let Some(reset) = state.ends[self.end].told() {
            return Poll::Ready(Err(reset));
        }
        if state.ends[self.end].reset == Reset::Told || state.ends[self.end].finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let coming = &state.ends[1 - self.end].coming;
        let on_the_way: usize = coming.iter().map(|packet| packet.load.size()).sum();
        let room = SEND_BUFFER.saturating_sub(on_the_way).min(bytes.len());
        if room == 0 && !bytes.is_empty() {
            state.ends[self.end].wait(context);
            return Poll::Pending;
        }
        bytes = &bytes[..room];
        while bytes.has_remaining() {
            let most = if state.dice.random_ratio(1, 4) { 8 } else { 16 << 10 };
            let size = state.dice.random_range(1..=most).min(bytes.len());
            state.post(1 - self.end, Load::Bytes(bytes.copy_to_bytes(size)));
        }
        self.link.wake_carriers();
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish(&mut self.link.state());
        Poll::Ready(Ok(()))
    }
}

impl Transport for SimStream {
    async fn readable(&self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_readable(context)).await;
        Ok(())
    }

    fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let read = self.read_now(buffer.capacity() - buffer.len())?;
        buffer.put_slice(&read);
        Ok(read.len())
    }

    fn try_peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.link.state();
        let end = &mut state.ends[self.end];
        if end.arrived.is_empty() {
            return end.read(0).map(|_| 0);
        }
        let peeked = buffer.len().min(end.arrived.len());
        buffer[..peeked].copy_from_slice(&end.arrived[..peeked]);
        Ok(peeked)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.link.state().ends[self.end].told())
    }

    fn unacknowledged(&self) -> io::Result<Option<u32>> {
        let mut state = self.link.state();
        let on_the_way: usize = state.ends[1 - self.end].coming.iter().map(|packet| packet.load.size()).sum();
        let now = Instant::now();
        let known = &mut state.ends[self.end].unacknowledged;
        known.retain(|(learns, _)| *learns > now);
        let arrived: usize = known.iter().map(|(_, size)| size).sum();
        Ok(u32::try_from(on_the_way + arrived).ok())
    }

    fn reset_when_dropped(&self) {
        self.link.state().ends[self.end].reset_when_dropped = true;
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let mut state = self.link.state();
        let end = &mut state.ends[self.end];
        end.closed = true;
        if end.vanished || end.reset != Reset::None {
            // Nothing more to say.
        } else if end.reset_when_dropped || !end.arrived.is_empty() {
            // What is on the way gets there or not, as it happens.
            let on_the_way = state.ends[1 - self.end].coming.len();
            let kept = state.dice.random_range(0..=on_the_way);
            state.ends[1 - self.end].coming.truncate(kept);
            state.post(1 - self.end, Load::Reset);
        } else {
            self.finish(&mut state);
        }
        state.ends[self.end].arrived.clear();
        self.link.wake_carriers();
    }
}
