//! When and how far a sender's requests are read ahead.

use std::sync::Arc;

use crate::error::StorageError;
use crate::processor::Preparation;
use crate::store::cache::{Cache, Excerpts};
use crate::store::{PlanRead, ReadPlan, Reader};

/// Requests that are planned in one turn: no other sender has a turn meanwhile.
const PLANNED_TOGETHER: usize = 1024;

/// Fewer reads than this in a batch are not worth a plan.
const MIN_READS: u64 = 8;

/// The next batch is read ahead if one event in at most this many needed a read.
const EVENTS_A_READ: u64 = 64;

/// The requests of a window take at most one part in this many of an engine's share of the memory
/// budget, on top of it. With more of them fewer pages are read twice.
const WINDOW_SHARE: u64 = 16;

/// What the next requests of a sender need of the store.
#[derive(Debug)]
pub(crate) struct Planned {
    plan: ReadPlan,
    /// The number of batches. If there is only one, perhaps not all its requests are planned.
    batches: usize,
    /// The number of planned requests.
    requests: usize,
}

impl Planned {
    /// Reads what is planned.
    ///
    /// # Errors
    ///
    /// Those of [`ReadPlan::read`].
    pub(super) fn read(self, reader: &Reader, cache: &Cache) -> Result<ReadAhead, StorageError> {
        let PlanRead { reads, excerpts } = self.plan.read(reader, cache)?;
        Ok(ReadAhead {
            batches: self.batches,
            excerpts: Some(excerpts),
            reads,
            requests: self.requests,
        })
    }
}

/// What was read ahead.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    /// The number of batches. If there is only one, perhaps not all its requests were read ahead.
    pub(crate) batches: usize,
    /// The excerpts to be used when the batches are applied.
    pub(crate) excerpts: Option<Arc<Excerpts>>,
    /// The number of parts and blocks that were read.
    pub(crate) reads: u64,
    requests: usize,
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

/// The most that a window has.
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
            bytes: cache.share_of_engine(WINDOW_SHARE) as usize,
        }
    }
}

/// Plans what batches of requests need: as many batches as have at most `most` requests, or a part
/// of the first, and as the plan has room for. `add` adds to the plan what a few requests need,
/// until it is full, and returns for how many it did.
///
/// # Errors
///
/// Those of `add`.
pub(super) fn plan_ahead<'a, E>(
    batches: impl IntoIterator<Item = &'a [Preparation]>,
    most: usize,
    cache: &Cache,
    mut add: impl FnMut(&[Preparation], &mut ReadPlan) -> Result<usize, E>,
) -> Result<Planned, E> {
    let mut planned = Planned {
        plan: ReadPlan::new(cache),
        batches: 0,
        requests: 0,
    };
    for batch in batches {
        let left = most - planned.requests;
        let has_room = || planned.plan.has_room_for(batch.len(), planned.requests);
        if planned.batches > 0 && (batch.len() > left || !has_room()) {
            break;
        }
        planned.batches += 1;
        for together in batch[..batch.len().min(left)].chunks(PLANNED_TOGETHER) {
            let added = add(together, &mut planned.plan)?;
            planned.requests += added;
            if added < together.len() {
                return Ok(planned);
            }
        }
    }
    Ok(planned)
}
