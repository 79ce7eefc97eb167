//! What the threads need that serve a sender of lines.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::warn;

use crate::driver::Pipeline;
use crate::node::outbox::LOOK_EVERY;
use crate::node::{Monitor, Stop};
use crate::store::LowSpace;

/// What the threads need that serve the input or a client of the control socket.
#[derive(Debug, Clone)]
pub(super) struct Service<'scope> {
    /// Not for threads that only write: the pipeline ends when all senders have dropped it.
    pub(super) pipeline: Pipeline,
    pub(super) monitor: &'scope Monitor,
    pub(super) stop: &'scope Stop,
    pub(super) low_space: &'scope Mutex<Option<LowSpace>>,
}

impl Service<'_> {
    /// Waits until more than this many outputs are released, the time is over, or the node ends.
    pub(super) fn wait_for_outputs(&self, known: u64, time: Duration) {
        let until = Instant::now() + time;
        let figures = self.pipeline.figures();
        while !self.stop.is_requested()
            && figures.statistics().outputs <= known
            && Instant::now() < until
        {
            figures.wait_for_outputs(known, until.min(Instant::now() + LOOK_EVERY));
        }
    }

    /// Logs when the free space of the disk falls below the floor, and when it is above it again.
    pub(super) fn log_space(&self, low: Option<LowSpace>) {
        match (std::mem::replace(&mut *self.low_space.lock(), low), low) {
            (None, Some(low)) => warn!(
                "requests are refused: {} bytes are free on the disk, and {} are kept free; make \
                 room, or start with a lower --min-free-bytes",
                low.free_bytes, low.floor_bytes
            ),
            (Some(low), None) => warn!(
                "requests are taken again: {} bytes or more are free on the disk",
                low.floor_bytes
            ),
            _ => {}
        }
    }
}
