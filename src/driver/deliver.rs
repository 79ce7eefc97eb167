//! Delivering replies to who is waiting for them.

use crate::driver::Replies;
use crate::store::DurableState;

/// Who gets replies once they are durable.
pub(crate) trait Deliver: Send {
    /// True if a view of what is durable with the group is to be delivered too.
    fn wants_view(&self) -> bool {
        false
    }

    /// The number of who gets the replies, if it gets others too: an address, for example.
    fn receiver(&self) -> Option<usize> {
        None
    }

    /// Takes the replies. To be quick, as the persister waits for it.
    fn deliver(self: Box<Self>, replies: Replies, view: Option<DurableState>, place: Place);
}

/// Where replies are among those of a group for the same receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Others follow at once.
    Within,
    /// They are the last.
    Last,
}

/// Says whose replies they are.
pub(crate) type Ticket = Box<dyn Deliver>;
