//! Replies that wait to be written to one reader: that of the output, or a client.
//!
//! The persisting thread fills an outbox and never waits for its reader. Each outbox has a thread
//! that formats and writes the replies. If a write surely needs no waiting, the persisting thread
//! does it itself. While many replies wait, no requests of that sender are read.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::driver::Place;
use crate::node::Stop;
use crate::node::lines::Lines;
use crate::store::DurableState;

/// Bytes that a waiting query counts as.
const QUERY_BYTES: usize = 64 << 10;

/// How often a waiting thread checks if it should go on.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// One thing to write.
pub(super) enum Part {
    /// Lines to answer, and the durable state for the query that ends them.
    Lines {
        lines: Box<Lines>,
        state: Option<Box<DurableState>>,
        place: Place,
    },
    /// Number of bytes of formatted replies that found no room.
    Rest(usize),
}

impl Part {
    /// About how many bytes of memory it takes until it is written.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Lines { lines, state, .. } => {
                lines.bytes() + state.as_ref().map_or(0, |_| QUERY_BYTES)
            }
            Self::Rest(bytes) => *bytes,
        }
    }
}

/// Writes a part without waiting, or keeps it back for a part that follows at once. Returns what is
/// left to write.
pub(super) type Direct = Box<dyn Fn(Part) -> Option<Part> + Send + Sync>;

/// The sending end of an outbox. The outbox's thread ends when the last sender is dropped.
pub(super) struct Outbox {
    parts: Sender<Part>,
    backlog: Arc<Backlog>,
    /// Writes parts in place of the outbox's thread while none wait.
    direct: Option<Direct>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox")
    }
}

impl Outbox {
    /// Makes an outbox and its receiving end. No requests of its sender are read while more than
    /// `enough_bytes` wait.
    pub(super) fn new(enough_bytes: usize) -> (Self, Receiver<Part>, Arc<Backlog>) {
        let (parts, to_write) = unbounded();
        let backlog = Arc::new(Backlog {
            state: Mutex::default(),
            changed: Condvar::new(),
            enough_bytes,
        });
        let outbox = Self {
            parts,
            backlog: Arc::clone(&backlog),
            direct: None,
        };
        (outbox, to_write, backlog)
    }

    /// Sets how parts are written while none wait.
    pub(super) fn with_direct(self, direct: Direct) -> Self {
        Self {
            direct: Some(direct),
            ..self
        }
    }

    /// Passes a part on to be written; never waits for the reader. Only one thread may call it.
    pub(super) fn push(&self, part: Part) {
        let part = match &self.direct {
            Some(direct) if self.is_idle() => match direct(part) {
                None => return,
                Some(left) => left,
            },
            _ => part,
        };
        let mut waiting = self.backlog.lock();
        if !waiting.is_gone {
            waiting.bytes += part.bytes();
            // If the writing thread has ended, the backlog says so.
            self.parts.send(part).unwrap_or_default();
        }
    }

    fn is_idle(&self) -> bool {
        let waiting = self.backlog.lock();
        waiting.bytes == 0 && !waiting.is_gone
    }

    /// True if nothing more is written to the reader.
    pub(super) fn is_gone(&self) -> bool {
        self.backlog.lock().is_gone
    }

    /// True if no large reply may be added, as many bytes wait.
    pub(super) fn is_full(&self, stop: &Stop) -> bool {
        self.backlog.is_full(&self.backlog.lock(), stop)
    }

    /// Waits until everything is written, unless the reader leaves no room. Does nothing for a
    /// client.
    pub(super) fn wait_until_written(&self) {
        if self.direct.is_none() {
            return;
        }
        let mut waiting = self.backlog.lock();
        while waiting.bytes > 0 && !waiting.is_gone && !waiting.has_no_room {
            let woken = self.backlog.changed.wait_timeout(waiting, LOOK_EVERY);
            let timeout;
            (waiting, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
            let since = waiting.writing_since;
            if timeout.timed_out() && since.is_some_and(|since| since.elapsed() > LOOK_EVERY) {
                break;
            }
        }
    }

    /// Waits until a large reply may be added.
    pub(super) fn wait_for_room(&self, stop: &Stop) {
        let mut waiting = self.backlog.lock();
        while self.backlog.is_full(&waiting, stop) {
            let woken = self.backlog.changed.wait_timeout(waiting, LOOK_EVERY);
            (waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until few replies wait; false if the reader is gone or a stop is requested.
    pub(super) fn wait_until_taken(&self, stop: &Stop) -> bool {
        let mut waiting = self.backlog.lock();
        loop {
            if waiting.is_gone || stop.is_requested() {
                return false;
            }
            if waiting.bytes <= self.backlog.enough_bytes {
                return true;
            }
            let woken = self.backlog.changed.wait_timeout(waiting, LOOK_EVERY);
            (waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// How much waits in an outbox, and if the reader takes it.
#[derive(Debug)]
pub(super) struct Backlog {
    state: Mutex<Waiting>,
    changed: Condvar,
    enough_bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: usize,
    /// True if nothing more is written to the reader.
    is_gone: bool,
    /// True if the reader is dropped because another client needs its place.
    is_dropped: bool,
    /// When the present write began, or the reader last took a part of it.
    writing_since: Option<Instant>,
    /// True if the present write found no room.
    has_no_room: bool,
}

/// After a signal or a failure, an ending node waits this long for an output that takes nothing.
pub(super) const PATIENCE_AFTER_A_SIGNAL: Duration = Duration::from_secs(10);

impl Waiting {
    fn is_given_up(&self, stop: &Stop) -> bool {
        let Some((since, writing_since)) = stop.waits_limited_since().zip(self.writing_since)
        else {
            return false;
        };
        stop.is_requested_again() || since.max(writing_since).elapsed() > PATIENCE_AFTER_A_SIGNAL
    }
}

impl Backlog {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self, waiting: &Waiting, stop: &Stop) -> bool {
        waiting.bytes > self.enough_bytes && !waiting.is_gone && !waiting.is_given_up(stop)
    }

    /// Notes that a write begins, or that the reader has taken a part of it.
    pub(super) fn taken(&self) {
        let mut waiting = self.lock();
        waiting.writing_since = Some(Instant::now());
        waiting.has_no_room = false;
    }

    /// Notes that the present write finds no room.
    pub(super) fn has_no_room(&self) {
        let was_told = std::mem::replace(&mut self.lock().has_no_room, true);
        if !was_told {
            self.changed.notify_all();
        }
    }

    /// Notes that a write has ended.
    pub(super) fn written(&self) {
        self.lock().writing_since = None;
    }

    /// Notes that parts of this size are written.
    pub(super) fn answered(&self, bytes: usize) {
        let mut waiting = self.lock();
        waiting.bytes -= bytes;
        let has_room = waiting.bytes <= self.enough_bytes;
        drop(waiting);
        if has_room {
            self.changed.notify_all();
        }
    }

    /// Notes that nothing more is written.
    pub(super) fn end(&self) {
        self.lock().is_gone = true;
        self.changed.notify_all();
    }

    /// How long the reader has taken nothing of the present write.
    pub(super) fn blocked_for(&self) -> Duration {
        let since = self.lock().writing_since;
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// True if the node no longer waits for the output, though replies are left.
    pub(super) fn is_given_up(&self, stop: &Stop) -> bool {
        self.lock().is_given_up(stop)
    }

    /// Drops the reader, because another client needs its place.
    pub(super) fn drop_reader(&self) {
        self.lock().is_dropped = true;
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.lock().is_dropped
    }
}
