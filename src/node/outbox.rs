//! What waits to be written to one reader: the one of the output, or a client.
//!
//! The thread that persists fills an outbox and never waits for its reader. A thread of the
//! outbox's own spells the replies and writes them; where that surely needs no waiting, the thread
//! that persists does it at once. While much waits, requests of that sender are not read.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::driver::Place;
use crate::node::Stop;
use crate::node::lines::Lines;
use crate::store::DurableState;

/// What a query that waits counts for.
const QUERY_BYTES: usize = 64 << 10;

/// How often a wait looks whether it should go on.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is to be written.
pub(super) enum Part {
    /// Lines that can be answered now, and the durable state that the last of them asks about.
    Lines {
        lines: Box<Lines>,
        state: Option<Box<DurableState>>,
        place: Place,
    },
    /// Replies of this many bytes that are spelled, and found no room.
    Rest(usize),
}

impl Part {
    /// Bytes of memory that it takes until it is written, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Lines { lines, state, .. } => {
                lines.bytes() + state.as_ref().map_or(0, |_| QUERY_BYTES)
            }
            Self::Rest(bytes) => *bytes,
        }
    }
}

/// Writes a part at once, or with the next one if another follows at once, and gives back what
/// cannot be written without waiting, if anything.
pub(super) type Direct = Box<dyn Fn(Part) -> Option<Part> + Send + Sync>;

/// The sending end of an outbox. Its thread ends when the last sender lets go of it.
pub(super) struct Outbox {
    parts: Sender<Part>,
    backlog: Arc<Backlog>,
    /// How a part is written while nothing waits, if not by the outbox's thread.
    direct: Option<Direct>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox")
    }
}

impl Outbox {
    /// An outbox, whose sender is not read while more bytes than this wait, and the end to write
    /// from.
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

    /// Has parts written in this way while nothing waits.
    pub(super) fn with_direct(self, direct: Direct) -> Self {
        Self {
            direct: Some(direct),
            ..self
        }
    }

    /// Has a part written, and never waits for the reader. Only one thread does so.
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
            // The thread that writes says in the backlog that it has ended.
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

    /// True if too much waits for anything large to be added.
    pub(super) fn is_full(&self, stop: &Stop) -> bool {
        self.backlog.is_full(&self.backlog.lock(), stop)
    }

    /// Waits until all is written, but not for a reader that leaves no room, nor for a client.
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

    /// Waits until something large may be added.
    pub(super) fn wait_for_room(&self, stop: &Stop) {
        let mut waiting = self.backlog.lock();
        while self.backlog.is_full(&waiting, stop) {
            let woken = self.backlog.changed.wait_timeout(waiting, LOOK_EVERY);
            (waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until little waits; false if the reader is gone or a stop is requested.
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

/// How much waits in an outbox, and how the writing goes.
#[derive(Debug)]
pub(super) struct Backlog {
    state: Mutex<Waiting>,
    changed: Condvar,
    enough_bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: usize,
    /// Whether nothing more is written to the reader.
    is_gone: bool,
    /// Whether the reader is dropped because another client needs its place.
    is_dropped: bool,
    /// When the reader last took something of what is being written, or that began.
    writing_since: Option<Instant>,
    /// Whether what is being written found no room.
    has_no_room: bool,
}

/// How long the end of the node waits for an output that takes nothing, once it does not wait for
/// as long as it takes: after a signal or a failure.
pub(super) const PATIENCE_AFTER_A_SIGNAL: Duration = Duration::from_secs(10);

impl Waiting {
    fn is_given_up(&self, stop: &Stop) -> bool {
        let Some((since, writing_since)) = stop.hurries_since().zip(self.writing_since) else {
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

    /// Notes that what is being written finds no room.
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

    /// Notes that parts of this size wait no longer.
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

    /// How long the reader has taken nothing of what is being written to it.
    pub(super) fn blocked_for(&self) -> Duration {
        let since = self.lock().writing_since;
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// True if the wait for the reader of the output is over, though it has not taken everything.
    pub(super) fn is_given_up(&self, stop: &Stop) -> bool {
        self.lock().is_given_up(stop)
    }

    /// Has the reader dropped for the sake of another client.
    pub(super) fn drop_reader(&self) {
        self.lock().is_dropped = true;
    }

    /// True if the reader is dropped for the sake of another client.
    pub(super) fn is_dropped(&self) -> bool {
        self.lock().is_dropped
    }
}
