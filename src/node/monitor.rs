//! What a node tells others of itself while it runs, and after it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::inspect::ProcessStats;
use crate::node::stages::{StageClock, StageTimes};
use crate::statistics::Statistics;
use crate::store::Durable;

/// Rates are over at least so long.
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
    /// Each client of the control socket has one.
    clients: Arc<()>,
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

    /// Figures of this process as of the last requests that were read together.
    pub(super) fn process(&self) -> ProcessStats {
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
        }
    }

    pub(super) fn clock(&self) -> &StageClock {
        &self.0.clock
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
