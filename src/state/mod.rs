//! The present state in memory, without disk, protocol or clock.

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

/// The state as the processor knows it. A position of the timeline that is not settled is pending.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) timeline: Timeline,
    pub(crate) settled: Settled,
    pub(crate) counts: Counts,
    /// The number of pending positions.
    pub(crate) pending: u64,
    /// The number of the last commit; 0 if there is none.
    pub(crate) last_commit: u64,
    /// The time of the last commit, in milliseconds since 1970; 0 if there is none.
    pub(crate) last_committed_at_ms: u64,
    /// True if outputs are released as their events are accepted. The released positions then have
    /// an open end, unless an output is pending.
    pub(crate) autocommit: bool,
    /// The number of released outputs.
    pub(crate) outputs: u64,
    /// The number of switches.
    pub(crate) switches: u64,
    /// The source position of the state.
    pub(crate) source: Option<Vec<u8>>,
    /// The source position at the last commit of this timeline.
    pub(crate) committed_source: Option<Vec<u8>>,
}
