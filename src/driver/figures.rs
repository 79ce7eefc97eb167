//! Figures of a pipeline, while it runs and after it has ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::processor::statistics::Statistics;
use crate::store::{Durable, StoreTimes};

/// Rates are over at least this long, except just after the start.
const RATE_OVER: Duration = Duration::from_secs(2);

/// Figures of a pipeline, for any thread.
#[derive(Debug)]
pub(crate) struct Figures {
    latest: Mutex<Latest>,
    /// Notified when outputs were released.
    released: Condvar,
    durable: Durable,
    started: Instant,
    applied_ns: AtomicU64,
    store: Mutex<StoreTimes>,
}

#[derive(Debug)]
struct Latest {
    statistics: Statistics,
    /// Number of events at two times that are at least [`RATE_OVER`] apart.
    rated: [(Instant, u64); 2],
}

impl Figures {
    pub(super) fn new(statistics: Statistics, durable: Durable) -> Self {
        let started = Instant::now();
        Self {
            latest: Mutex::new(Latest {
                statistics,
                rated: [(started, 0); 2],
            }),
            released: Condvar::new(),
            durable,
            started,
            applied_ns: AtomicU64::new(0),
            store: Mutex::default(),
        }
    }

    /// Figures as of the last batch; the durable position is that of now.
    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            durable_position: self.durable.position().0,
            ..self.latest.lock().statistics
        }
    }

    /// Accepted and duplicate events per second, since a time at least `RATE_OVER` ago.
    pub(crate) fn events_per_second(&self) -> f64 {
        let Latest { statistics, rated } = &*self.latest.lock();
        let (since, before) = rated[0];
        let events = statistics.accepted + statistics.duplicates - before;
        events as f64 / since.elapsed().as_secs_f64()
    }

    /// Time since the start.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Time spent on applying batches, without the waits for the persister.
    pub(crate) fn applied(&self) -> Duration {
        Duration::from_nanos(self.applied_ns.load(Ordering::Relaxed))
    }

    /// Times that the store has spent until now.
    pub(crate) fn store_times(&self) -> StoreTimes {
        *self.store.lock()
    }

    /// Sets the figures after a batch, or within it.
    pub(super) fn set(&self, statistics: Statistics) {
        let mut latest = self.latest.lock();
        if statistics.outputs > latest.statistics.outputs {
            self.released.notify_all();
        }
        latest.statistics = statistics;
        if latest.rated[1].0.elapsed() >= RATE_OVER {
            let now = (Instant::now(), statistics.accepted + statistics.duplicates);
            latest.rated = [latest.rated[1], now];
        }
    }

    /// Waits until more than this many outputs were ever released, which may not be durable yet, or
    /// until the time is over.
    pub(crate) fn wait_for_outputs(&self, known: u64, until: Instant) {
        let mut latest = self.latest.lock();
        let is_known = |latest: &mut Latest| latest.statistics.outputs <= known;
        self.released.wait_while_until(&mut latest, is_known, until);
    }

    pub(super) fn add_applied(&self, time: Duration) {
        let time = time.as_nanos() as u64;
        self.applied_ns.fetch_add(time, Ordering::Relaxed);
    }

    pub(super) fn set_store_times(&self, times: StoreTimes) {
        *self.store.lock() = times;
    }
}
