//! Batches of the input that wait to be applied. While they need much of the store, windows of them
//! are read ahead: the next window is read while the present one is applied.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::driver::{Planned, ReadAhead, ReadAheadLimits};
use crate::error::StorageError;
use crate::node::decoded::Decoded;
use crate::node::service::Service;
use crate::store::cache::Excerpts;
use crate::store::threads;

/// One window in this many begins with a few requests that are not read ahead. They show if the
/// next ones still need reads: duplicates in the order of the journal need none, and only what is
/// not read ahead shows that order.
const PROBE_EVERY: u64 = 16;

/// The number of requests that are not read ahead then.
const PROBE_REQUESTS: usize = 256;

/// The batches that wait.
pub(super) struct Ahead<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    batches: &'env Receiver<Decoded>,
    service: &'env Service<'env>,
    /// Batches that were taken from the channel: those of the present window, those of the window
    /// that is being read, and others.
    taken: VecDeque<Decoded>,
    lines: usize,
    bytes: usize,
    limits: ReadAheadLimits,
    /// The number of batches of the present window.
    present: usize,
    /// What was read ahead for the present window.
    excerpts: Option<Arc<Excerpts>>,
    /// The next window.
    reading: Option<Reading<'scope>>,
    /// True if further windows should be read ahead.
    reads_ahead: bool,
    /// Number of windows that were planned.
    windows: u64,
    /// True if the next batch is a probe.
    is_probe: bool,
}

/// A batch, and what was read ahead for its window.
pub(super) type ReadyBatch = (Decoded, Option<Arc<Excerpts>>);

/// A window that is being read.
struct Reading<'scope> {
    thread: ScopedJoinHandle<'scope, Result<ReadAhead, Arc<StorageError>>>,
    /// Disconnected when it is read.
    end: Receiver<()>,
    is_probe: bool,
}

impl<'scope, 'env> Ahead<'scope, 'env> {
    /// Takes the batches of a channel.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        batches: &'env Receiver<Decoded>,
        service: &'env Service<'env>,
    ) -> Self {
        Self {
            scope,
            batches,
            service,
            taken: VecDeque::new(),
            lines: 0,
            bytes: 0,
            limits: service.pipeline.read_ahead_limits(),
            present: 0,
            excerpts: None,
            reading: None,
            reads_ahead: false,
            windows: 0,
            is_probe: false,
        }
    }

    /// Returns the next batch, once there is one; `None` after the last.
    ///
    /// # Errors
    ///
    /// The first [`StorageError`] that the pipeline has met.
    pub(super) fn next(&mut self) -> Result<Option<ReadyBatch>, Arc<StorageError>> {
        if self.taken.is_empty() {
            match self.batches.recv() {
                Ok(next) => self.take(next),
                Err(_) => return Ok(None),
            }
        }
        if self.present == 0 {
            self.begin_window()?;
        }
        if self.reads_ahead {
            self.take_waiting();
            if self.reading.is_none() && self.taken.len() > self.present {
                self.start_reading()?;
            }
        }
        self.present -= 1;
        let next = self.taken.pop_front();
        if let Some(next) = &next {
            self.lines -= next.preparations().len();
            self.bytes -= next.bytes();
        }
        Ok(next.map(|next| (next, self.excerpts.clone())))
    }

    /// Notes whether the last batch needed much of the store, although it was perhaps read ahead.
    pub(super) fn applied(&mut self, is_worth_it: bool) {
        let was_probe = std::mem::take(&mut self.is_probe);
        self.reads_ahead = is_worth_it || self.reads_ahead && !was_probe;
    }

    /// True if the next batch waits and can be applied at once.
    pub(super) fn is_next_ready(&self) -> bool {
        if self.present > 0 {
            // A window may have to be planned first.
            return !self.reads_ahead || self.reading.is_some();
        }
        let waits = !self.taken.is_empty() || !self.batches.is_empty();
        waits && !self.reads_ahead && self.reading.is_none()
    }

    /// Begins the window that was read last. If there is none, reads one now, or begins with the
    /// next batch as it is.
    fn begin_window(&mut self) -> Result<(), Arc<StorageError>> {
        self.excerpts = None;
        let read = if let Some(reading) = self.reading.take() {
            self.is_probe = reading.is_probe;
            self.take_until(&reading.end);
            let joined = reading.thread.join();
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?
        } else if self.reads_ahead {
            self.take_waiting();
            let (planned, is_probe) = self.plan()?;
            self.is_probe = is_probe;
            self.service.pipeline.read_planned(planned)?
        } else {
            self.present = 1;
            return Ok(());
        };
        self.reads_ahead &= read.is_worth_it();
        self.present = read.batches;
        self.excerpts = read.excerpts;
        Ok(())
    }

    /// Starts to read what the batches after the present window need.
    fn start_reading(&mut self) -> Result<(), Arc<StorageError>> {
        let (planned, is_probe) = self.plan()?;
        let (service, (until, end)) = (self.service, bounded(0));
        let read = move || {
            let _until: Sender<()> = until;
            service.pipeline.read_planned(planned)
        };
        // Without a thread, the window is read when it begins.
        let thread = threads::start_scoped(self.scope, "read", read).ok();
        self.reading = thread.map(|thread| Reading {
            thread,
            end,
            is_probe,
        });
        Ok(())
    }

    /// Plans the next window. Also returns if it begins with a probe.
    fn plan(&mut self) -> Result<(Planned, bool), Arc<StorageError>> {
        self.windows += 1;
        let is_probe = self.windows.is_multiple_of(PROBE_EVERY);
        let mut left_out = if is_probe { PROBE_REQUESTS } else { 0 };
        let mut bytes = 0;
        let waiting = self.taken.iter().skip(self.present);
        let window = waiting.take_while(|batch| {
            let has_room = bytes == 0 || bytes < self.limits.bytes;
            bytes += batch.bytes();
            has_room
        });
        let batches = window.map(|batch| {
            let all = batch.preparations();
            &all[std::mem::take(&mut left_out).min(all.len())..]
        });
        let planned = self.service.pipeline.plan_ahead(batches)?;
        Ok((planned, is_probe))
    }

    /// Takes the batches that wait, as far as there is room.
    fn take_waiting(&mut self) {
        while self.has_room()
            && let Ok(next) = self.batches.try_recv()
        {
            self.take(next);
        }
    }

    /// Takes batches that come before the end of a reading, as far as there is room.
    fn take_until(&mut self, end: &Receiver<()>) {
        while self.has_room() {
            select! {
                recv(self.batches) -> next => match next {
                    Ok(next) => self.take(next),
                    Err(_) => return,
                },
                recv(end) -> _ => return,
            }
        }
    }

    /// True if there is room for more batches: two windows are taken.
    fn has_room(&self) -> bool {
        self.lines < 2 * self.limits.requests && self.bytes < 2 * self.limits.bytes
    }

    fn take(&mut self, next: Decoded) {
        self.lines += next.preparations().len();
        self.bytes += next.bytes();
        self.taken.push_back(next);
    }
}
