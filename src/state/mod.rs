//! The present state, in memory and pure: no disk, no wire, no clock.

pub(crate) mod counts;
pub(crate) mod limits;
pub(crate) mod look_ahead;
pub(crate) mod position;
pub(crate) mod position_set;
pub(crate) mod settled;
pub(crate) mod timeline;

use counts::Counts;
use settled::Settled;
use timeline::Timeline;

/// What the processor knows of the state. What is in the timeline and not settled is pending.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) timeline: Timeline,
    pub(crate) settled: Settled,
    pub(crate) counts: Counts,
    /// How many positions are pending.
    pub(crate) pending: u64,
    /// The number of the last commit; 0 if there is none.
    pub(crate) last_commit: u64,
    /// When it was made, in milliseconds since 1970; 0 if there is none.
    pub(crate) last_committed_at_ms: u64,
    /// Whether outputs are released as their events are accepted. While none is pending, the
    /// released positions have an open end then.
    pub(crate) autocommit: bool,
    /// How many outputs have been released.
    pub(crate) outputs: u64,
    /// How many restores and rollbacks there have been.
    pub(crate) switches: u64,
    /// The source position of the state.
    pub(crate) source: Option<Vec<u8>>,
    /// The source position that the last commit of this timeline held.
    pub(crate) committed_source: Option<Vec<u8>>,
}
