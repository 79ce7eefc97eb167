//! How long each stage of the pipeline has been at work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::driver::Figures;

/// How long each stage has been at work. They overlap, so that together they may be longer than
/// the time that has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageTimes {
    /// Reading the input, and waiting for it.
    pub read: Duration,
    /// Cutting it into lines and decoding them.
    pub decode: Duration,
    /// Deduplicating, counting and encoding for the journal.
    pub apply: Duration,
    /// Writing groups to sled.
    pub store: Duration,
    /// Waiting for fdatasync.
    pub sync: Duration,
    /// How many times fdatasync has returned.
    pub syncs: u64,
    /// Spelling and writing the replies.
    pub reply: Duration,
    /// Opening sled again, which has groups wait; that of a clean end is not counted.
    pub reopen: Duration,
    /// The longest of these pauses.
    pub longest_reopen: Duration,
    /// How many of them there were.
    pub reopened: u64,
}

/// Counts the time of the stages that are the node's own, each on its own thread.
#[derive(Debug, Default)]
pub(super) struct StageClock {
    read: AtomicU64,
    /// That of reading included.
    decode: AtomicU64,
    reply: AtomicU64,
}

impl StageClock {
    /// With the times of the pipeline.
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

    /// Notes how long a batch took to be read and decoded.
    pub(super) fn decoded(&self, since: Instant) {
        add(&self.decode, since.elapsed());
    }

    /// Notes how long a read of the input took.
    pub(super) fn read(&self, since: Instant) {
        add(&self.read, since.elapsed());
    }

    /// Notes how long replies took to be written.
    pub(super) fn replied(&self, since: Instant) {
        add(&self.reply, since.elapsed());
    }
}

fn add(stage: &AtomicU64, time: Duration) {
    stage.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
}
