//! A group with its replies, before and after the group is durable.
//!
//! The types enforce invariant 1: replies cannot be read before their group is persisted, because
//! only [`Store::persist`](crate::store::Store::persist) opens an [`Unpersisted`] group.

use crate::store::group::Group;

/// A group that is not durable yet, with its replies. Neither can be read.
#[derive(Debug)]
#[must_use = "a group that is not persisted is lost with its replies, and no later one can follow"]
pub(crate) struct Unpersisted<R> {
    pub(super) group: Box<Group>,
    pub(super) replies: R,
}

impl<R> Unpersisted<R> {
    /// Seals replies with their group.
    pub(crate) fn new(group: Group, replies: R) -> Self {
        let group = Box::new(group);
        Self { group, replies }
    }
}

/// The replies of a durable group, and the receipt for it.
#[derive(Debug)]
pub(crate) struct Persisted<R> {
    pub(crate) replies: R,
    pub(crate) receipt: Receipt,
}

/// Proof that a group and all groups before it are durable. Only the store makes receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Receipt {
    pub(super) group: u64,
}

impl Receipt {
    /// Returns the number of the last group that it proves durable.
    pub(crate) fn group(self) -> u64 {
        self.group
    }
}
