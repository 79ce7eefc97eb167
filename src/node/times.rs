//! How long each stage of the pipeline has worked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::driver::Figures;

/// How long each stage has worked. The stages overlap, so their sum may exceed the time that has
/// passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageTimes {
    /// Reading the input, and waiting for it.
    pub read: Duration,
    /// Splitting the input into lines and decoding them.
    pub decode: Duration,
    /// Deduplicating, counting and encoding for the journal.
    pub apply: Duration,
    /// Writing groups to sled.
    pub store: Duration,
    /// Waiting for fdatasync.
    pub sync: Duration,
    /// How many times fdatasync has returned.
    pub syncs: u64,
    /// Formatting and writing the replies.
    pub reply: Duration,
    /// Opening sled again, while groups wait; not counted for a clean end.
    pub reopen: Duration,
    /// The longest single reopening.
    pub longest_reopen: Duration,
    /// Number of reopenings.
    pub reopened: u64,
}

/// Counts the time of the node's own stages, each on its own thread.
#[derive(Debug, Default)]
pub(super) struct StageClock {
    read: AtomicU64,
    /// Includes the time of reading.
    decode: AtomicU64,
    reply: AtomicU64,
}

impl StageClock {
    /// The times of all stages, with those of the pipeline.
    pub(super) fn times(&self, pipeline: &Figures) -> StageTimes {
        let time = |stage: &AtomicU64| Duration::from_nanos(stage.load(Ordering::Relaxed));
        let read = time(&self.read);
        let store = pipeline.store_times();
        StageTimes {
            read,
            decode: time(&self.decode).saturating_sub(read),
            apply: pipeline.applied(),
            store: store.write,
            sync: store.sync,
            syncs: store.syncs,
            reply: time(&self.reply),
            reopen: store.reopen,
            longest_reopen: store.longest_reopen,
            reopened: store.reopened,
        }
    }

    /// Adds the time since reading and decoding a batch began.
    pub(super) fn decoded(&self, since: Instant) {
        add(&self.decode, since.elapsed());
    }

    /// Adds the time since a read of the input began.
    pub(super) fn read(&self, since: Instant) {
        add(&self.read, since.elapsed());
    }

    /// Adds the time since formatting and writing replies began.
    pub(super) fn replied(&self, since: Instant) {
        add(&self.reply, since.elapsed());
    }
}

fn add(stage: &AtomicU64, time: Duration) {
    stage.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
}
