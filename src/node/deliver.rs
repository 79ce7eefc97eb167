//! The stage after persisting: the replies of a durable group are handed to their outboxes.

use std::ops::Range;
use std::sync::Arc;

use crate::driver::{Deliver, Place, Replies};
use crate::inspect::ProcessStats;
use crate::node::lines::Lines;
use crate::node::outbox::{Outbox, Part};
use crate::protocol::Batch;
use crate::store::DurableState;

/// Some lines of a batch that wait for their replies, and the outbox that these go into.
pub(super) struct LinesTicket {
    pub(super) batch: Arc<Batch>,
    /// Bytes that the whole batch takes, about.
    pub(super) batch_bytes: usize,
    pub(super) lines: Range<usize>,
    /// Figures of the process when the query came that the lines end with, if they do.
    pub(super) process: Option<ProcessStats>,
    pub(super) outbox: Arc<Outbox>,
}

impl Deliver for LinesTicket {
    fn wants_view(&self) -> bool {
        self.process.is_some() && !self.outbox.is_gone()
    }

    fn receiver(&self) -> Option<usize> {
        Some(Arc::as_ptr(&self.outbox).addr())
    }

    fn deliver(self: Box<Self>, replies: Replies, view: Option<DurableState>, place: Place) {
        let Self {
            batch,
            batch_bytes,
            lines,
            process,
            outbox,
        } = *self;
        let lines = Lines {
            batch,
            batch_bytes,
            lines,
            replies,
            process,
        };
        let part = Part::Lines {
            lines: Box::new(lines),
            state: view.map(Box::new),
            place,
        };
        outbox.push(part);
        if place == Place::Last {
            // While there is room, no group is begun before the replies to this one have left.
            outbox.wait_until_written();
        }
    }
}
