//! The stage after persisting: the replies of a durable group go to their outboxes.

use std::ops::Range;
use std::sync::Arc;

use crate::driver::{Deliver, Place, Replies};
use crate::inspect::ProcessStats;
use crate::node::lines::Lines;
use crate::node::outbox::{Outbox, Part};
use crate::protocol::Batch;
use crate::store::DurableState;

/// Lines of a batch that wait for their replies, and the outbox for these.
pub(super) struct LinesTicket {
    pub(super) batch: Arc<Batch>,
    /// About how many bytes the whole batch takes.
    pub(super) batch_bytes: usize,
    pub(super) lines: Range<usize>,
    /// Figures of the process when the last line was applied, if that line is a query.
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
            // The next group begins only after these replies are written, unless the output has no
            // room.
            outbox.wait_until_written();
        }
    }
}
