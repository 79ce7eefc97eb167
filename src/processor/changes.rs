//! What requests change in the store, beside events.

use std::collections::BTreeMap;

use crate::store::{Checkpoint, Release, Switch};

/// What the requests since the last group have changed, beside events. The flags say which parts of
/// the state have to be written.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) scalars: bool,
    pub(super) closed: bool,
    pub(super) released: bool,
    pub(super) absorbed: bool,
    /// Saved ones; `None` for those that are deleted.
    pub(super) checkpoints: BTreeMap<String, Option<Checkpoint>>,
    pub(super) releases: Vec<Release>,
    pub(super) switches: Vec<Switch>,
    /// Bytes that the sets of the checkpoints and releases take, about.
    pub(super) set_bytes: usize,
}

impl Changes {
    /// How many records they write beside events.
    pub(super) fn controls(&self) -> usize {
        self.checkpoints.len() + self.releases.len() + self.switches.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.controls() == 0 && !(self.scalars || self.closed || self.released || self.absorbed)
    }
}
