//! A group with what it is answered, before and after the group is durable.
//!
//! Invariant 1 as types: what was answered cannot be read before the group is persisted, because
//! only [`Store::persist`](crate::store::Store::persist) opens an [`Unpersisted`] group.

use crate::store::group::Group;

/// A group that is not durable, together with its replies. Neither can be read.
#[derive(Debug)]
#[must_use = "a group that is not persisted is lost with its replies, and no later one can follow"]
pub(crate) struct Unpersisted<R> {
    pub(super) group: Box<Group>,
    pub(super) replies: R,
}

impl<R> Unpersisted<R> {
    /// Closes replies up with the group that they belong to.
    pub(crate) fn new(group: Group, replies: R) -> Self {
        let group = Box::new(group);
        Self { group, replies }
    }
}

/// The replies of a group that is durable, and the receipt for it.
#[derive(Debug)]
pub(crate) struct Persisted<R> {
    pub(crate) replies: R,
    pub(crate) receipt: Receipt,
}

/// Proof that a group and all groups before it are durable. Only the store makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Receipt {
    pub(super) group: u64,
}

impl Receipt {
    /// The number of the last durable group.
    pub(crate) fn group(self) -> u64 {
        self.group
    }
}
