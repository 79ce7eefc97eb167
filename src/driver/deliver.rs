//! Delivering replies to the callers that wait for them.

use crate::driver::Replies;
use crate::store::DurableState;

/// Receives replies once they are durable.
pub(crate) trait Deliver: Send {
    /// True if a view of what is durable with the group is to be delivered too.
    fn wants_view(&self) -> bool {
        false
    }

    /// Identifies the receiver, for example by its pointer, if it may get several parts of a group.
    fn receiver(&self) -> Option<usize> {
        None
    }

    /// Takes the replies. This must be quick, as the persister waits for it.
    fn deliver(self: Box<Self>, replies: Replies, view: Option<DurableState>, place: Place);
}

/// The place of replies among those of a group for the same receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Others follow at once.
    Within,
    /// These replies are the last.
    Last,
}

/// Delivers replies to their receiver.
pub(crate) type Ticket = Box<dyn Deliver>;
