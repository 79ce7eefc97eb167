//! A hash table in memory that says which runs have a fingerprint. A slot takes three bytes; from
//! seven million positions on, the table takes four to five bytes a position.
//!
//! Every position has a slot. The slot holds the number of the position's run, and those bits of
//! the fingerprint that the slot's line does not give (quotienting: Knuth, TAOCP 6.4, exercise 13).
//! So proving an id new costs one cache line, whatever the number of runs, and a part of the table
//! grows without reading the store.

use std::ops::Range;

use crate::index::cache_line::CacheLine;
use crate::index::shard::{Matches, PLACE_BITS, Shard};
use crate::state::look_ahead::touch;
use crate::store::RunNumber;
use crate::store::bytes::fingerprint::{FINGERPRINT_BITS, Fingerprint};

/// Bits of a fingerprint that select its shard. Shards grow one by one, so each pause is too short
/// to notice.
const SHARD_BITS: u32 = FINGERPRINT_BITS - PLACE_BITS;
pub(super) const SHARDS: usize = 1 << SHARD_BITS;

pub(super) fn shard_of(fingerprint: Fingerprint) -> usize {
    (fingerprint.0 >> PLACE_BITS) as usize
}

fn place(fingerprint: Fingerprint) -> u32 {
    fingerprint.0 as u32 & ((1 << PLACE_BITS) - 1)
}

/// Consecutive shards that are being built.
#[derive(Debug)]
pub(super) struct Slice {
    first: usize,
    shards: Vec<Shard>,
}

impl Slice {
    /// Returns empty shards with room for their share of this many positions.
    pub(super) fn with_room_for(positions: u64, shards: Range<usize>) -> Self {
        let positions = positions as usize / SHARDS;
        Self {
            first: shards.start,
            shards: shards.map(|_| Shard::with_room_for(positions)).collect(),
        }
    }

    /// Returns the first and the last fingerprint that belong to the slice.
    pub(super) fn fingerprints(&self) -> (Fingerprint, Fingerprint) {
        let first = |shard: usize| (shard as u64) << PLACE_BITS;
        let end = self.first + self.shards.len();
        (Fingerprint(first(self.first)), Fingerprint(first(end) - 1))
    }

    /// Adds a position, by its fingerprint and its run.
    pub(super) fn insert(&mut self, fingerprint: Fingerprint, run: RunNumber) {
        let shard = &mut self.shards[shard_of(fingerprint) - self.first];
        shard.insert(place(fingerprint), run.0);
    }
}

/// The table of all positions that were added to it.
#[derive(Debug)]
pub(super) struct RunTable {
    shards: Vec<Shard>,
    /// The number of lines in all shards.
    lines: usize,
}

impl RunTable {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            lines: 0,
        }
    }

    /// Takes in a slice. The table must not have anything in its shards yet.
    pub(super) fn put(&mut self, slice: Slice) {
        self.lines += slice.shards.iter().map(Shard::line_count).sum::<usize>();
        let shards = &mut self.shards[slice.first..];
        for (shard, made) in shards.iter_mut().zip(slice.shards) {
            assert!(shard.is_empty(), "the shard already has positions");
            *shard = made;
        }
    }

    /// Adds a position, by its fingerprint and its run.
    pub(super) fn insert(&mut self, fingerprint: Fingerprint, run: RunNumber) {
        let shard = &mut self.shards[shard_of(fingerprint)];
        let before = shard.line_count();
        shard.insert(place(fingerprint), run.0);
        self.lines += shard.line_count() - before;
    }

    /// True if one lookup proves the fingerprint absent; may rarely be false for an absent one.
    pub(super) fn is_surely_absent(&self, fingerprint: Fingerprint) -> bool {
        self.shards[shard_of(fingerprint)].is_surely_absent(place(fingerprint))
    }

    /// Returns the runs of the positions with a fingerprint, and their number.
    pub(super) fn matches(&self, fingerprint: Fingerprint) -> Matches {
        self.shards[shard_of(fingerprint)].matches(place(fingerprint))
    }

    /// Reads the lines of a few fingerprints into the CPU's cache.
    pub(super) fn touch(&self, fingerprints: impl Iterator<Item = Fingerprint>) {
        touch(fingerprints.filter_map(|fingerprint| {
            self.shards[shard_of(fingerprint)].header(place(fingerprint))
        }));
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.lines * size_of::<CacheLine>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    /// Fingerprints of which some share a shard, a line or all bits.
    fn fingerprint() -> impl Strategy<Value = Fingerprint> {
        prop_oneof![
            (0..4_u64).prop_map(|n| Fingerprint(n << PLACE_BITS | n)),
            (0..60_u64).prop_map(Fingerprint),
            // These are spread over one shard, so that it grows.
            (0..1_000_u64).prop_map(|n| Fingerprint(n << (PLACE_BITS - 10))),
            (0..=Fingerprint::MAX.0).prop_map(Fingerprint),
        ]
    }

    proptest! {
        #[test]
        fn every_position_is_found_in_its_run(
            inserts in prop::collection::vec((fingerprint(), 0..300_u32), 0..6_000),
        ) {
            let mut table = RunTable::new();
            let mut model = BTreeMap::<Fingerprint, Vec<u32>>::new();
            for &(fingerprint, run) in &inserts {
                table.insert(fingerprint, RunNumber(run));
                model.entry(fingerprint).or_default().push(run);
            }
            for (fingerprint, runs) in model {
                let found = table.matches(fingerprint);
                prop_assert_eq!(found.positions, runs.len() as u64);
                let missed = runs.iter().filter(|&&run| !found.runs.contains(&RunNumber(run)));
                prop_assert!(found.are_partly_unknown || missed.count() == 0);
            }
        }
    }

    #[test]
    fn a_table_of_many_positions_knows_their_runs_in_four_to_five_bytes_each() {
        const POSITIONS: u64 = 2_000_000;
        let mut table = RunTable::new();
        // These go to a quarter of the shards, which become as full as with eight million in all
        // shards.
        let fingerprint = |n: u64| Fingerprint(xxh3_64(&n.to_le_bytes()) >> 28);
        for n in 0..POSITIONS {
            table.insert(fingerprint(n), RunNumber(n as u32 / 917_504));
        }
        let mut strangers = 0;
        for n in 0..POSITIONS {
            let found = table.matches(fingerprint(n));
            assert!(found.runs.contains(&RunNumber(n as u32 / 917_504)));
            assert!(!found.are_partly_unknown);
            strangers += table.matches(fingerprint(n + POSITIONS)).positions;
        }
        assert!(strangers < POSITIONS / 10_000, "{strangers} false matches");
        let overflow: usize = table.shards.iter().map(|shard| shard.overflow_len()).sum();
        let most = POSITIONS as usize / 300;
        assert!(overflow < most, "{overflow} positions had no room");
        let bytes = table.memory_bytes() as f64 / POSITIONS as f64;
        assert!((4.0..5.0).contains(&bytes), "{bytes} bytes a position");
    }
}
