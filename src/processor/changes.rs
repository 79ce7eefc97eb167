//! Changes that requests make to the store, except new entries.

use std::collections::BTreeMap;

use crate::store::{Checkpoint, Release, Switch};

/// Changes since the last group, except new entries. Each flag is true if that part of the state
/// must be written.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) scalars: bool,
    pub(super) closed: bool,
    pub(super) released: bool,
    pub(super) absorbed: bool,
    /// Saved checkpoints; `None` for deleted ones.
    pub(super) checkpoints: BTreeMap<String, Option<Checkpoint>>,
    pub(super) releases: Vec<Release>,
    pub(super) switches: Vec<Switch>,
    /// About how many bytes the position sets of the checkpoints and releases take.
    pub(super) set_bytes: usize,
}

impl Changes {
    /// Number of checkpoints, releases and switches to write.
    pub(super) fn controls(&self) -> usize {
        self.checkpoints.len() + self.releases.len() + self.switches.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.controls() == 0 && !(self.scalars || self.closed || self.released || self.absorbed)
    }
}
