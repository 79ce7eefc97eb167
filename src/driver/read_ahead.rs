//! When and how far a sender's requests are read ahead.

use crate::store::cache::Cache;

/// Fewer reads than this in a batch are not worth a plan.
const MIN_READS: u64 = 8;

/// The next batch is read ahead if one event in at most this many needed a read.
const EVENTS_A_READ: u64 = 64;

/// Requests that wait to be read ahead take at most one part in this many of an engine's share of
/// the memory budget, on top of it. With more of them fewer pages are read twice.
const WAITING_SHARE: u64 = 16;

/// What was read ahead.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReadAhead {
    /// The number of batches. Of the last one, perhaps only a part.
    pub(crate) batches: usize,
    /// The number of their requests.
    pub(crate) requests: usize,
    /// The number of parts and blocks that were read.
    pub(crate) reads: u64,
}

impl ReadAhead {
    /// True if this much was read that the next batches of the sender should be read ahead too.
    pub(crate) fn is_worth_it(&self) -> bool {
        is_worth_it(self.reads, self.requests)
    }
}

/// True if this many reads were needed for this many requests that the next batches of the same
/// sender should be read ahead.
pub(crate) fn is_worth_it(reads: u64, requests: usize) -> bool {
    reads >= MIN_READS && reads * EVENTS_A_READ >= requests as u64
}

/// What a sender may take at most to be read ahead together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadAheadLimits {
    pub(crate) requests: usize,
    /// Bytes of memory of the requests.
    pub(crate) bytes: usize,
}

impl ReadAheadLimits {
    pub(super) fn new(requests: usize, cache: &Cache) -> Self {
        Self {
            requests,
            bytes: cache.share_of_engine(WAITING_SHARE) as usize,
        }
    }
}
