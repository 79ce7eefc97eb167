//! What a node tells others of itself while it runs, and after it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::inspect::{ProcessStats, Stats};
use crate::node::stages::{StageClock, StageTimes};
use crate::protocol::ErrorCounts;
use crate::statistics::Statistics;
use crate::store::Durable;

/// Rates are over at least this long.
const RATE_OVER: Duration = Duration::from_secs(2);

/// What a node tells others of itself while it runs, and after it.
#[derive(Debug, Clone)]
pub struct Monitor(Arc<MonitorState>);

#[derive(Debug)]
struct MonitorState {
    figures: Mutex<Figures>,
    durable: Durable,
    started: Instant,
    clock: StageClock,
    /// Each client of the control socket has one, but for this process itself.
    clients: Arc<()>,
    errors: ErrorCounts,
    keeps_last_state: AtomicBool,
    last_state: OnceLock<Stats>,
}

#[derive(Debug)]
struct Figures {
    statistics: Statistics,
    /// How many events there had been when, at two times that are [`RATE_OVER`] apart.
    rated: [(Instant, u64); 2],
}

impl Monitor {
    /// A monitor of an engine that is about to be served.
    #[must_use]
    pub fn new(engine: &Engine) -> Self {
        let started = Instant::now();
        let figures = Figures {
            statistics: engine.statistics(),
            rated: [(started, 0); 2],
        };
        Self(Arc::new(MonitorState {
            figures: Mutex::new(figures),
            durable: engine.durable(),
            started,
            clock: StageClock::default(),
            clients: Arc::default(),
            errors: ErrorCounts::default(),
            keeps_last_state: AtomicBool::new(false),
            last_state: OnceLock::new(),
        }))
    }

    /// The figures as of the last requests that were read together; the durable position as of
    /// now.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            durable_position: self.0.durable.position().0,
            ..self.figures().statistics
        }
    }

    /// How long each stage has been at work until now.
    #[must_use]
    pub fn stage_times(&self) -> StageTimes {
        self.0.clock.times()
    }

    /// Has the node keep the figures of its last state, for [`Monitor::last_stats`].
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

    /// Figures of the last state, if they were to be kept and the node has ended well, with those
    /// of the process now.
    #[must_use]
    pub fn last_stats(&self) -> Option<Stats> {
        let state = self.0.last_state.get().cloned()?;
        Some(Stats {
            process: Some(self.process()),
            ..state
        })
    }

    /// Figures of this process as of the last requests that were read together.
    #[must_use]
    pub fn process(&self) -> ProcessStats {
        let times = self.stage_times();
        let Figures { statistics, rated } = &*self.figures();
        let (since, before) = rated[0];
        let events = statistics.accepted + statistics.duplicates - before;
        ProcessStats {
            pid: std::process::id(),
            uptime_seconds: self.0.started.elapsed().as_secs_f64(),
            accepted: statistics.accepted,
            duplicates: statistics.duplicates,
            conflicts: statistics.conflicts,
            events_per_second: events as f64 / since.elapsed().as_secs_f64(),
            index_bytes: statistics.index_bytes,
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

    /// What counts the errors that are answered.
    pub(super) fn errors(&self) -> &ErrorCounts {
        &self.0.errors
    }

    /// What counts the clients of the control socket: each holds one.
    pub(super) fn clients(&self) -> &Arc<()> {
        &self.0.clients
    }

    pub(super) fn set(&self, statistics: Statistics) {
        let mut figures = self.figures();
        figures.statistics = statistics;
        if figures.rated[1].0.elapsed() >= RATE_OVER {
            let now = (Instant::now(), statistics.accepted + statistics.duplicates);
            figures.rated = [figures.rated[1], now];
        }
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.0
            .figures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
