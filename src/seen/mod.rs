//! The index of event ids: which positions carry an id.
//!
//! It knows every position that was ever accepted, whether the present state has it or not: a
//! restore changes which positions count, and nothing here. It answers with candidates: a
//! fingerprint may be shared by two ids, so the caller compares the id in the journal before it
//! believes a hit.

mod fingerprint_table;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::StorageError;
use crate::state::position::Position;
use fingerprint_table::FingerprintTable;

/// A 64-bit seeded hash of an event id: XXH3 (Collet, `XXH3_64bits_withSeed`), whose output is
/// fixed by its publication and so can be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

/// A few positions: those that carry one event id. More than one is rare.
pub(crate) type Positions = SmallVec<[Position; 2]>;

/// The index of every accepted event id.
#[derive(Debug)]
pub(crate) struct Index {
    seed: u64,
    known: FingerprintTable,
}

impl Index {
    /// An empty index whose fingerprints use this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            known: FingerprintTable::default(),
        }
    }

    /// The fingerprint of an event id.
    pub(crate) fn fingerprint(&self, event_id: &str) -> Fingerprint {
        Fingerprint(xxh3_64_with_seed(event_id.as_bytes(), self.seed))
    }

    /// Records that the event at `position` has this fingerprint.
    pub(crate) fn insert(&mut self, fingerprint: Fingerprint, position: Position) {
        self.known.insert(fingerprint, position);
    }

    /// Every position whose event has this fingerprint, and so every position that may carry
    /// the id it was made from, in no particular order.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when a stored part of the index cannot be read.
    pub(crate) fn candidates(&self, fingerprint: Fingerprint) -> Result<Positions, StorageError> {
        Ok(self.known.positions(fingerprint).collect())
    }

    /// Bytes of memory that the index takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.known.memory_bytes()
    }
}
