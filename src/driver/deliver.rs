//! Delivering answers to who is waiting for them.

use crate::driver::Answers;
use crate::store::DurableState;

/// Who gets answers once they are durable.
pub(crate) trait Deliver: Send {
    /// True if a view of what is durable with the group is to be delivered too.
    fn wants_view(&self) -> bool {
        false
    }

    /// The number of who gets the answers, if it gets others too: an address, for example.
    fn receiver(&self) -> Option<usize> {
        None
    }

    /// Takes the answers. To be quick, as the persister waits for it.
    fn deliver(self: Box<Self>, answers: Answers, view: Option<DurableState>, place: Place);
}

/// Where answers are among those of a group for the same receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Others follow at once.
    Within,
    /// They are the last.
    Last,
}

/// Says whose answers they are.
pub(crate) type Ticket = Box<dyn Deliver>;
