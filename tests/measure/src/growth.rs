//! One state directory that grows, and at each size what an open, a replay, a lone request, a
//! checkpoint and a byte of it cost.
//!
//! Phases use a process each, so that each has its own peak of memory. What is sent beside the
//! main ids is accounted for in the [`Ledger`], against which the counts of a restore are held.

mod checkpoints;
mod files;
mod ledger;
mod lone;
mod openings;
mod picture;
mod size;

use std::path::PathBuf;

use crate::disk;
use crate::machine::Machine;
use crate::node::Binary;
pub use ledger::Ledger;
pub use picture::picture;
pub use size::{Answering, Checkpoints, Lone, Opening, Restore, Size};

/// How much is done at each size.
#[derive(Debug, Clone)]
pub struct Plan {
    /// At most so many events are prepared in a file at a time.
    pub slice: u64,
    /// How many old ids are sent again in any order.
    pub random: u64,
    /// How many requests are sent one at a time.
    pub lone: u64,
    /// How many events a restore goes back, at most half of the size.
    pub restore_back: u64,
    /// How many different words there are.
    pub words: u32,
}

/// A state directory and what was sent to it.
#[derive(Debug)]
pub struct Growth {
    binary: Binary,
    /// For the state and, one at a time, the files of requests and replies.
    directory: PathBuf,
    plan: Plan,
    ledger: Ledger,
}

impl Growth {
    /// A directory that is empty, to begin with.
    #[must_use]
    pub fn new(binary: Binary, directory: PathBuf, plan: Plan) -> Self {
        Self {
            binary,
            directory,
            plan,
            ledger: Ledger::default(),
        }
    }

    /// Lets the directory grow to `ids` main ids, and measures all there.
    ///
    /// # Errors
    ///
    /// If a file or the node fails, or a reply is not what it must be.
    pub fn measure(&mut self, ids: u64) -> anyhow::Result<Size> {
        let ingest = self.ingest(ids)?;
        let ids_ingested = self.ledger.ids();
        let disk_bytes_ingested = disk::apparent_bytes(&self.state())?;
        let [after_kill, after_clean_end] = self.openings()?;
        let replay = self.replay()?;
        let random = self.random()?;
        let lone = self.lone()?;
        let checkpoints = self.checkpoints()?;
        let size = Size {
            ids,
            ids_ingested,
            disk_bytes_ingested,
            bytes_an_id: disk_bytes_ingested as f64 / ids_ingested as f64,
            ingest,
            after_kill,
            after_clean_end,
            replay,
            random,
            lone,
            checkpoints,
            ids_at_end: self.ledger.ids(),
            disk_bytes_at_end: disk::apparent_bytes(&self.state())?,
            peak_memory_bytes: 0,
            version: self.binary.version()?,
            machine: Machine::of(&self.directory),
        };
        Ok(size.with_peak())
    }

    fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Progress goes to standard error.
    fn say(&self, what: &str) {
        eprintln!("{} ids: {what}", self.ledger.ids());
    }
}
