//! When and how far a sender's requests are read ahead.

use crate::processor::Preparation;
use crate::store::ReadPlan;
use crate::store::cache::Cache;

/// Requests that are planned before the next check whether the plan is full. No other sender has a
/// turn meanwhile.
const PLANNED_TOGETHER: usize = 1024;

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
    /// The number of whole batches.
    pub(crate) batches: usize,
    /// The number of requests, with those of a batch of which only a part was read ahead.
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

/// Plans what batches of requests need, up to `most` requests and as far as the cache has room.
/// `add` adds to the plan what a few of them need.
///
/// # Errors
///
/// Those of `add`.
pub(super) fn plan_ahead<'a, E>(
    batches: impl IntoIterator<Item = &'a [Preparation]>,
    most: usize,
    cache: &Cache,
    mut add: impl FnMut(&[Preparation], &mut ReadPlan) -> Result<(), E>,
) -> Result<(ReadPlan, ReadAhead), E> {
    let (mut plan, mut ahead) = (ReadPlan::default(), ReadAhead::default());
    for batch in batches {
        for together in batch.chunks(PLANNED_TOGETHER) {
            let next = &together[..together.len().min(most - ahead.requests)];
            add(next, &mut plan)?;
            ahead.requests += next.len();
            if next.len() < together.len() || plan.is_full(cache) {
                return Ok((plan, ahead));
            }
        }
        ahead.batches += 1;
    }
    Ok((plan, ahead))
}
