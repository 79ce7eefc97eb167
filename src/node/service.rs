//! What every sender of lines is served with.

use parking_lot::Mutex;
use tracing::warn;

use crate::driver::Pipeline;
use crate::node::{Monitor, Stop};
use crate::store::LowSpace;

/// What the senders of lines are served with, the input and the clients of the control socket.
#[derive(Debug, Clone)]
pub(super) struct Service<'scope> {
    /// Not for those that only write: when all senders have ended, the pipeline ends.
    pub(super) pipeline: Pipeline,
    pub(super) monitor: &'scope Monitor,
    pub(super) stop: &'scope Stop,
    pub(super) low_space: &'scope Mutex<Option<LowSpace>>,
}

impl Service<'_> {
    /// Says where the free space of the disk goes below the floor, and where it is above again.
    pub(super) fn tell_space(&self, low: Option<LowSpace>) {
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
