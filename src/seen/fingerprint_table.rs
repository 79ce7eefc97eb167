//! The part of the index that is held in memory: a hash table from fingerprint to position.

use hashbrown::HashTable;

use crate::seen::Fingerprint;
use crate::state::position::Position;

/// Fingerprints in memory, 17 bytes a slot; a slot in use costs 20 to 39 bytes with the empty
/// ones beside it, as the table doubles when it is seven eighths full.
#[derive(Debug, Default)]
pub(super) struct FingerprintTable {
    slots: HashTable<(u64, Position)>,
}

impl FingerprintTable {
    /// Adds a position under a fingerprint that may be there already.
    pub(super) fn insert(&mut self, fingerprint: Fingerprint, position: Position) {
        let slot = (fingerprint.0, position);
        self.slots
            .insert_unique(fingerprint.0, slot, |&(hash, _)| hash);
    }

    /// The positions under a fingerprint.
    pub(super) fn positions(&self, wanted: Fingerprint) -> impl Iterator<Item = Position> + '_ {
        let slots = self.slots.iter_hash(wanted.0);
        slots
            .filter(move |&&(hash, _)| hash == wanted.0)
            .map(|&(_, position)| position)
    }

    /// Bytes of memory that the table takes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.allocation_size()
    }
}
