//! The writing side: one thread that owns the one connection that writes.
//!
//! It takes all requests that wait into one transaction, so that they share the wait for the disk, and answers them
//! when that is committed.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use messageu_wire::fields::ClientId;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::changes::{Changes, Failure};
use super::counters::Counters;
use super::modern::{Modern, ModernState, Origin};
use super::tail::{Place, Tail};
use super::{BUSY_TIMEOUT, OpenProblem, Options, closed};
use crate::store::{StoreError, StoreMetrics};

/// Requests that may wait at once, and thereby share a transaction; a large one counts as many.
const ROOM: u32 = 4_096;

/// Bytes for which a request counts as one more.
const ROOM_UNIT: usize = 4_096;

/// How long a note that a client was here may stay in memory, and a failed sweep be left alone.
const IDLE: Duration = Duration::from_secs(2);

/// Clients whose visit is noted in memory. A note beyond that is lost: it is worth less than the memory.
const TOUCHED_MAX: usize = 65_536;

/// Places of messages that are written down in one transaction.
const WRITTEN_DOWN_AT_ONCE: usize = 1_024;

/// Bytes of log after which it is copied into the database, and beyond which it is cut down again: as much as serves,
/// but on a small disk a small part of it, since copying needs room beside the log.
const LOG: u64 = 16 << 20;
const LOG_PART_OF_DISK: u64 = 32;

/// How long the log's readers are waited for when it should begin again, and how long not after that was in vain.
const READER_TIMEOUT: Duration = Duration::from_millis(100);
const READER_REST: Duration = Duration::from_secs(5);

/// KiB of pages that the writer keeps. What fifty recipients acknowledge at once is spread over more pages than a reader
/// needs, and what does not fit is written to the log over and over within one transaction.
const CACHE_KIB: i64 = 16 << 10;

/// Bytes of a page.
const PAGE: u64 = 4_096;

/// How large the log may become on the disk of this database.
pub(super) fn log_size(database: &Path) -> u64 {
    let directory = database.parent().map_or_else(PathBuf::new, |parent| Path::new(".").join(parent));
    let disk = rustix::fs::statvfs(&directory).ok().filter(|disk| disk.f_blocks > 0);
    let size = disk.map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
    LOG.min(size / LOG_PART_OF_DISK)
}

/// Prepares the connection for writing.
pub(super) fn configure(connection: &Connection, log: u64, options: Options) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", log / PAGE)?;
    connection.pragma_update(None, "journal_size_limit", 4 * log)?;
    match options.max_pages {
        Some(pages) => connection.pragma_update(None, "max_page_count", pages),
        None => Ok(()),
    }
}

/// The way to the writing thread.
pub(super) struct Writer {
    room: Arc<Semaphore>,
    touched: Arc<Touched>,
    reusable: Arc<AtomicU64>,
    metrics: Arc<StoreMetrics>,
    running: Mutex<Option<Running>>,
}

struct Running {
    requests: Sender<Box<dyn Request>>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread. It holds the lock until it ends.
    pub(super) fn start(
        connection: Connection,
        tail: Arc<Tail<ClientId>>,
        modern: ModernState,
        (log, log_size): (PathBuf, u64),
        lock: File,
    ) -> Result<Self, OpenProblem> {
        let touched = Arc::new(Touched::default());
        let reusable = Arc::new(AtomicU64::new(0));
        let metrics = Arc::new(StoreMetrics::default());
        metrics.messages.waiting.add(tail.waiting(&connection, &super::TAIL)?);
        modern.count_all(&connection, &metrics)?;
        let (requests, waiting) = channel();
        let work = WriterThread {
            waiting,
            touched: Arc::clone(&touched),
            reusable: Arc::clone(&reusable),
            metrics: Arc::clone(&metrics),
            connection,
            counters: Counters::default(),
            tail,
            writing_down: None,
            modern,
            modern_writing_down: None,
            waits_for_disk: true,
            // The last run may have left something.
            sweeping: true,
            flushed: Instant::now(),
            log,
            log_size,
            log_grows_until: Instant::now(),
            _lock: lock,
        };
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || work.run())?;
        let room = usize::try_from(ROOM).unwrap_or(usize::MAX);
        let running = Mutex::new(Some(Running { requests, thread }));
        Ok(Self { room: Arc::new(Semaphore::new(room)), touched, reusable, metrics, running })
    }

    /// Makes a change that is on disk when this returns. `cost` is how many bytes the request holds.
    pub(super) async fn durably<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        cost: usize,
        work: impl FnMut(&mut Changes<'_>) -> Result<T, Failure<E>> + Send + 'static,
    ) -> Result<T, E> {
        self.request(cost, true, work).await
    }

    /// Makes a change that the next durable one takes along to the disk.
    pub(super) async fn soon<T: Send + 'static>(
        &self,
        cost: usize,
        work: impl FnMut(&mut Changes<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.request(cost, false, work).await
    }

    async fn request<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        cost: usize,
        durable: bool,
        work: impl FnMut(&mut Changes<'_>) -> Result<T, Failure<E>> + Send + 'static,
    ) -> Result<T, E> {
        let units = u32::try_from(1 + cost / ROOM_UNIT).unwrap_or(ROOM).min(ROOM);
        let room = Arc::clone(&self.room).acquire_many_owned(units).await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        self.queue(Box::new(Task { work, durable, outcome: None, reply, _room: Some(room) }))?;
        answer.await.map_err(|_| closed())?
    }

    /// Asks for a change without waiting for it, or for room: for what is small and cannot be many.
    pub(super) fn send(&self, work: impl FnMut(&mut Changes<'_>) -> Result<(), Failure> + Send + 'static) {
        let (reply, _) = oneshot::channel();
        // Nobody waits for the outcome, so neither for the one of a closed store.
        let _ = self.queue(Box::new(Task { work, durable: false, outcome: None, reply, _room: None }));
    }

    fn queue(&self, request: Box<dyn Request>) -> Result<(), StoreError> {
        let running = self.running();
        let requests = running.as_ref().map(|running| &running.requests).ok_or_else(closed)?;
        requests.send(request).map_err(|_| closed())
    }

    /// Bytes of the file that are free for what comes next.
    pub(super) fn reusable_bytes(&self) -> u64 {
        self.reusable.load(Ordering::Relaxed)
    }

    /// What is counted.
    pub(super) fn metrics(&self) -> &StoreMetrics {
        &self.metrics
    }

    /// The notes that are not yet written down.
    pub(super) fn touched(&self) -> &Touched {
        &self.touched
    }

    /// Lets the thread finish what is queued, and waits for its end.
    pub(super) async fn close(&self) {
        self.room.close();
        if let Some(Running { requests, thread }) = self.take_running() {
            drop(requests);
            // Fails when the thread or the runtime is gone, and then there is nothing left to wait for.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_running(&self) -> Option<Running> {
        self.running().take()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(Running { requests, thread }) = self.take_running() {
            drop(requests);
            // A thread that panicked has nothing to say here.
            let _ = thread.join();
        }
    }
}

/// When clients were here, as far as that is not yet written down.
#[derive(Default)]
pub(super) struct Touched(Mutex<HashMap<ClientId, i64>>);

impl Touched {
    pub(super) fn note(&self, id: ClientId, seconds: i64) {
        let mut notes = self.notes();
        if notes.len() < TOUCHED_MAX || notes.contains_key(&id) {
            notes.insert(id, seconds);
        }
    }

    pub(super) fn erase(&self, id: ClientId) {
        self.notes().remove(&id);
    }

    pub(super) fn of(&self, id: ClientId) -> Option<i64> {
        self.notes().get(&id).copied()
    }

    fn all(&self) -> HashMap<ClientId, i64> {
        self.notes().clone()
    }

    /// Forgets what was written down, but not what came since.
    fn forget(&self, written: &HashMap<ClientId, i64>) {
        self.notes().retain(|id, seconds| written.get(id) != Some(seconds));
    }

    fn notes(&self) -> MutexGuard<'_, HashMap<ClientId, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something to change, and somebody who waits for the outcome.
trait Request: Send {
    /// Whether it must be on disk before it is answered.
    fn durable(&self) -> bool;

    /// Makes the change within a transaction; may be called again after that was rolled back.
    fn run(&mut self, changes: &mut Changes<'_>) -> rusqlite::Result<()>;

    /// Tells the outcome, now that the transaction is committed or has failed.
    fn answer(self: Box<Self>, committed: Result<(), &rusqlite::Error>);
}

struct Task<T, E, F> {
    work: F,
    durable: bool,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl<T, E, F> Request for Task<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: FnMut(&mut Changes<'_>) -> Result<T, Failure<E>> + Send,
{
    fn durable(&self) -> bool {
        self.durable
    }

    fn run(&mut self, changes: &mut Changes<'_>) -> rusqlite::Result<()> {
        self.outcome = Some(match (self.work)(changes) {
            Ok(value) => Ok(value),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Failed(error)) => return Err(error),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), &rusqlite::Error>) {
        let outcome = match committed {
            Ok(()) => self.outcome.unwrap_or_else(|| Err(closed().into())),
            Err(error) => Err(StoreError::Storage(error.to_string()).into()),
        };
        // Who asked may have gone away; the change stays.
        let _ = self.reply.send(outcome);
    }
}

/// A tail on its way into the queue on disk.
struct WritingDown {
    /// Those whose places are still to be written, the next one last.
    recipients: Vec<ClientId>,
    /// The newest message that goes there.
    last: i64,
}

impl WritingDown {
    /// Goes on, or begins once the tail is long.
    fn of<F: Copy>(begun: Option<Self>, tail: &Tail<F>) -> Option<Self> {
        let is_long = tail.len() > tail.written_down_from() && !tail.is_damaged();
        begun.or_else(|| is_long.then(|| Self::begin(tail)))
    }

    fn begin<F: Copy>(tail: &Tail<F>) -> Self {
        let (mut recipients, last) = tail.recipients();
        recipients.reverse();
        Self { recipients, last }
    }

    /// The next places, for one transaction. In the order of the table; those of a recipient oldest first, so that readers
    /// find no gap.
    fn next<F: Copy>(&mut self, tail: &Tail<F>) -> Vec<Place<F>> {
        let mut places = Vec::new();
        while let Some(to) = self.recipients.last() {
            let room = WRITTEN_DOWN_AT_ONCE - places.len();
            let oldest = tail.oldest(*to, self.last, room);
            let is_full = oldest.len() == room;
            places.extend(oldest);
            if is_full {
                break;
            }
            self.recipients.pop();
        }
        places
    }
}

struct WriterThread {
    waiting: Receiver<Box<dyn Request>>,
    touched: Arc<Touched>,
    reusable: Arc<AtomicU64>,
    metrics: Arc<StoreMetrics>,
    connection: Connection,
    counters: Counters,
    tail: Arc<Tail<ClientId>>,
    writing_down: Option<WritingDown>,
    modern: ModernState,
    modern_writing_down: Option<WritingDown>,
    /// Whether a commit waits for the disk, as it is set now.
    waits_for_disk: bool,
    /// Whether there may be chunks to sweep.
    sweeping: bool,
    flushed: Instant,
    log: PathBuf,
    log_size: u64,
    /// Until then, a reader that was in the way is not waited for.
    log_grows_until: Instant,
    // Behind the connection, so that it is released after that is closed.
    _lock: File,
}

impl WriterThread {
    fn run(mut self) {
        loop {
            let is_busy = self.sweeping || self.writing_down.is_some() || self.modern_writing_down.is_some();
            let first = match self.waiting.recv_timeout(if is_busy { Duration::ZERO } else { IDLE }) {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => {
                    self.sweeping |= !is_busy;
                    None
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            // As many as there was room for, and that is bounded.
            let group = first.into_iter().chain(self.waiting.try_iter()).collect();
            let touched = if self.flushed.elapsed() >= IDLE { self.touched.all() } else { HashMap::new() };
            self.commit(group, &touched);
            if self.sweeping {
                self.sweep();
            }
            self.write_down();
            // As fast as more comes.
            while (is_too_long(&self.tail) || is_too_long(self.modern.tail())) && self.write_down() {}
            self.limit_log();
        }
        let touched = self.touched.all();
        self.commit(Vec::new(), &touched);
        self.checkpoint();
    }

    /// Makes all changes together; if that fails, each for itself, as one may fail where the others do not.
    fn commit(&mut self, mut group: Vec<Box<dyn Request>>, touched: &HashMap<ClientId, i64>) {
        if !touched.is_empty() {
            self.flushed = Instant::now();
        } else if group.is_empty() {
            return;
        }
        let committed = self.attempt(&mut group, touched);
        match &committed {
            Ok(()) => self.touched.forget(touched),
            Err(error) => tracing::warn!(%error, requests = group.len(), "a transaction failed"),
        }
        // A lock that somebody else holds is in the way of each alike, and has been waited for.
        let alone =
            committed.as_ref().is_err_and(|error| error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy));
        for mut request in group {
            let own;
            let committed = if alone {
                own = self.attempt(std::slice::from_mut(&mut request), &HashMap::new());
                &own
            } else {
                &committed
            };
            request.answer(committed.as_ref().copied());
        }
    }

    fn attempt(
        &mut self,
        group: &mut [Box<dyn Request>],
        touched: &HashMap<ClientId, i64>,
    ) -> rusqlite::Result<()> {
        let durable = !touched.is_empty() || group.iter().any(|request| request.durable());
        let began = Instant::now();
        let committed = self.transaction(durable, |changes| {
            group.iter_mut().try_for_each(|request| request.run(changes))?;
            touched.iter().try_for_each(|(id, seconds)| changes.touch(*id, *seconds))
        });
        if committed.is_ok() {
            self.metrics.committed(group.len(), began.elapsed());
        }
        self.note_reusable();
        committed
    }

    fn note_reusable(&self) {
        let pages = self.connection.prepare_cached("PRAGMA freelist_count");
        if let Ok(pages) = pages.and_then(|mut pages| pages.query_one([], |row| row.get::<_, u64>(0))) {
            self.reusable.store(pages.saturating_mul(PAGE), Ordering::Relaxed);
        }
    }

    /// Makes changes together, or none of them. That none was made is counted, whatever they were for.
    fn transaction(
        &mut self,
        durable: bool,
        work: impl FnOnce(&mut Changes<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let committed = self.try_transaction(durable, work);
        if committed.is_err() {
            self.metrics.failed_commits.fetch_add(1, Ordering::Relaxed);
            self.forget_counters();
        }
        committed
    }

    fn try_transaction(
        &mut self,
        durable: bool,
        work: impl FnOnce(&mut Changes<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        // Without the wait for the disk, a commit is in the log all the same, and the next wait includes it.
        if self.waits_for_disk != durable {
            self.connection.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
            self.waits_for_disk = durable;
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let counted = (&mut self.counters, self.tail.as_ref());
        let modern = Modern::new(&mut self.modern);
        let mut changes = Changes::new(&transaction, counted, &mut self.sweeping, modern);
        work(&mut changes)?;
        let (changed, movement, modern) = changes.finish();
        transaction.commit()?;
        self.tail.change(changed);
        self.metrics.messages.moved(&movement);
        self.modern.take_up(modern, &self.metrics);
        Ok(())
    }

    /// Writes a bounded part of each tail down, once it is long. Returns whether it did.
    fn write_down(&mut self) -> bool {
        let classic = self.write_down_classic();
        self.write_down_modern() || classic
    }

    fn write_down_classic(&mut self) -> bool {
        let Some(mut work) = WritingDown::of(self.writing_down.take(), &self.tail) else { return false };
        let places = work.next(&self.tail);
        let end = work.recipients.is_empty().then_some(work.last);
        // Should this be lost in a crash, the tail is longer at the next start.
        let written = self.transaction(false, |changes| changes.write_down(&places, end));
        if Self::is_written_down(&written) {
            self.tail.written_down(&places);
            self.writing_down = Some(work).filter(|_| end.is_none());
            return true;
        }
        false
    }

    fn write_down_modern(&mut self) -> bool {
        let begun = self.modern_writing_down.take();
        let Some(mut work) = WritingDown::of(begun, self.modern.tail()) else { return false };
        let places: Vec<Place<Origin>> = work.next(self.modern.tail());
        let end = work.recipients.is_empty().then_some(work.last);
        let written = self.transaction(false, |changes| changes.write_down_modern(&places, end));
        if Self::is_written_down(&written) {
            self.modern.written_down(&places);
            self.modern_writing_down = Some(work).filter(|_| end.is_none());
            return true;
        }
        false
    }

    fn is_written_down(written: &rusqlite::Result<()>) -> bool {
        if let Err(error) = written {
            tracing::warn!(%error, "the queue could not be written down; trying again later");
        }
        written.is_ok()
    }

    fn forget_counters(&mut self) {
        self.counters.forget();
        self.modern.forget_counters();
    }

    /// Erases a bounded part of what nobody will read any more.
    fn sweep(&mut self) {
        let mut more = false;
        let swept = self.transaction(false, |changes| {
            more = changes.sweep()?;
            Ok(())
        });
        if let Err(error) = &swept {
            tracing::warn!(%error, "erasing old contents failed; trying again later");
        }
        self.sweeping = more && swept.is_ok();
        self.note_reusable();
    }

    /// Lets the log begin again when readers that overlap have kept it growing. One that stays, as a backup does, is not
    /// waited for again and again: nobody could send meanwhile.
    fn limit_log(&mut self) {
        let is_large = std::fs::metadata(&self.log).is_ok_and(|log| log.len() > 8 * self.log_size);
        // What was erased is in the log as well, until that begins again.
        let is_erased = self.modern.has_erased() && !self.sweeping;
        if !(is_large || is_erased) || Instant::now() < self.log_grows_until {
            return;
        }
        let begun_again = self.connection.busy_timeout(READER_TIMEOUT).and_then(|()| {
            let begun_again = begin_log_again(&self.connection);
            self.connection.busy_timeout(BUSY_TIMEOUT)?;
            begun_again
        });
        match begun_again {
            Ok(true) => self.modern.log_begun_again(),
            Ok(false) => self.log_grows_until = Instant::now() + READER_REST,
            Err(error) => {
                tracing::warn!(%error, "the log could not be copied into the database; trying again later");
            }
        }
    }

    fn checkpoint(&self) {
        if let Err(error) = begin_log_again(&self.connection) {
            tracing::warn!(%error, "the log could not be copied into the database; the next start will do it");
        }
    }
}

/// Whether so much has come that writing it down cannot wait for other work.
fn is_too_long<F: Copy>(tail: &Tail<F>) -> bool {
    tail.len() > 2 * tail.written_down_from()
}

/// Copies the log into the database. Whether it begins again, as nobody reads from it.
fn begin_log_again(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))
}
