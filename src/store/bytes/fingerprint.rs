//! Fingerprints of event ids, which the index compares before the ids themselves.
//!
//! A fingerprint is the upper bits of XXH3 (Collet, `XXH3_64bits_withSeed`), whose output is fixed
//! by its publication and so can be stored. Two ids may have the same fingerprint, so when two are
//! equal, the caller compares the ids in the journal.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Number of bits of a fingerprint. Among 100 million ids, one new id in 2,700 meets an equal
/// fingerprint. More bits would leave fewer for the number of the run in the index's slots.
pub(crate) const FINGERPRINT_BITS: u32 = 38;

/// The fingerprint of an event id, below 2^[`FINGERPRINT_BITS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fingerprint(pub(crate) u64);

impl Fingerprint {
    pub(crate) const MAX: Self = Self((1 << FINGERPRINT_BITS) - 1);
}

/// Computes the fingerprints of one database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprints {
    seed: u64,
    /// The bits in use; the others are 0.
    mask: u64,
}

impl Fingerprints {
    /// Uses this seed, and only the upper `bits` bits: fewer than [`FINGERPRINT_BITS`] force
    /// collisions.
    pub(crate) fn new(seed: u64, bits: u32) -> Self {
        let unused = FINGERPRINT_BITS - bits.clamp(1, FINGERPRINT_BITS);
        Self {
            seed,
            mask: Fingerprint::MAX.0 >> unused << unused,
        }
    }

    pub(crate) fn of(&self, event_id: &str) -> Fingerprint {
        let hash = xxh3_64_with_seed(event_id.as_bytes(), self.seed);
        Fingerprint(hash >> (u64::BITS - FINGERPRINT_BITS) & self.mask)
    }
}
