//! Figures of a node, while it runs and after it has ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::driver::Figures;
use crate::engine::Handle;
use crate::inspect::{ProcessStats, Stats};
use crate::node::times::{StageClock, StageTimes};
use crate::processor::statistics::Statistics;
use crate::protocol::ErrorCounts;

/// Figures of a node, for any thread, while it runs and after it has ended.
#[derive(Debug, Clone)]
pub struct Monitor(Arc<MonitorState>);

#[derive(Debug)]
struct MonitorState {
    pipeline: Arc<Figures>,
    clock: StageClock,
    /// Cloned once for each client of the control socket, except this process itself.
    clients: Arc<()>,
    errors: ErrorCounts,
    keeps_last_state: AtomicBool,
    last_state: OnceLock<Stats>,
}

impl Monitor {
    /// Makes the monitor of a node that will be served over a handle.
    #[must_use]
    pub fn new(handle: &Handle) -> Self {
        Self(Arc::new(MonitorState {
            pipeline: Arc::clone(handle.pipeline().figures()),
            clock: StageClock::default(),
            clients: Arc::default(),
            errors: ErrorCounts::default(),
            keeps_last_state: AtomicBool::new(false),
            last_state: OnceLock::new(),
        }))
    }

    /// Figures as of the last batch of requests; the durable position is that of now.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.0.pipeline.statistics()
    }

    /// How long each stage has worked until now.
    #[must_use]
    pub fn stage_times(&self) -> StageTimes {
        self.0.clock.times(&self.0.pipeline)
    }

    /// Makes the node keep the figures of its last state, for [`Monitor::last_stats`].
    pub fn keep_last_state(&self) {
        self.0.keeps_last_state.store(true, Ordering::Relaxed);
    }

    pub(super) fn keeps_last_state(&self) -> bool {
        self.0.keeps_last_state.load(Ordering::Relaxed)
    }

    pub(super) fn set_last_state(&self, stats: Stats) {
        // The node is served once.
        self.0.last_state.set(stats).unwrap_or_default();
    }

    /// Figures of the last state, with those of the process now. `None` without
    /// [`Monitor::keep_last_state`], or if the node has not ended well.
    #[must_use]
    pub fn last_stats(&self) -> Option<Stats> {
        let state = self.0.last_state.get().cloned()?;
        Some(Stats {
            process: Some(self.process()),
            ..state
        })
    }

    /// Figures of this process as of the last batch of requests.
    #[must_use]
    pub fn process(&self) -> ProcessStats {
        let times = self.stage_times();
        let statistics = self.statistics();
        ProcessStats {
            pid: std::process::id(),
            uptime_seconds: self.0.pipeline.uptime().as_secs_f64(),
            accepted: statistics.accepted,
            duplicates: statistics.duplicates,
            conflicts: statistics.conflicts,
            events_per_second: self.0.pipeline.events_per_second(),
            index_bytes: statistics.index_bytes,
            memory_bytes: statistics.memory_bytes,
            cache_bytes: statistics.cache_bytes,
            reads: statistics.reads,
            reads_ahead: statistics.reads_ahead,
            clients: Arc::strong_count(&self.0.clients) as u64 - 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            errors: self.0.errors.by_code().collect(),
            syncs: times.syncs,
            sync_seconds: times.sync.as_secs_f64(),
        }
    }

    pub(super) fn clock(&self) -> &StageClock {
        &self.0.clock
    }

    /// Counts the errors in replies.
    pub(super) fn errors(&self) -> &ErrorCounts {
        &self.0.errors
    }

    /// Counts the clients of the control socket: each has a clone.
    pub(super) fn clients(&self) -> &Arc<()> {
        &self.0.clients
    }
}
