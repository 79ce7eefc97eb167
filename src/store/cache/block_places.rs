//! Finds the block that has a position, among blocks of the journal that lie anywhere.

use hashbrown::{HashTable, hash_table};
use xxhash_rust::xxh3::xxh3_64;

use crate::state::position::Position;
use crate::store::bytes::block::MAX_BLOCK_ENTRIES;

/// The places of blocks, by the positions at which they begin.
#[derive(Debug, Default)]
pub(super) struct BlockPlaces {
    /// A bit for each position; it is set where a block begins.
    firsts: Vec<u64>,
    places: HashTable<(Position, u32)>,
}

fn hash(first: Position) -> u64 {
    xxh3_64(&first.0.to_le_bytes())
}

/// The word of a position's bit, and the bit.
fn bit(first: Position) -> (usize, u64) {
    ((first.0 / 64) as usize, 1 << (first.0 % 64))
}

impl BlockPlaces {
    /// Returns the place of the last block that begins at most at a position, if it can have the
    /// position.
    pub(super) fn find(&self, position: Position) -> Option<u32> {
        self.at(self.last_first(position)?)
    }

    /// Returns the place of the block that begins at a position.
    pub(super) fn at(&self, first: Position) -> Option<u32> {
        let found = self.places.find(hash(first), |(at, _)| *at == first);
        found.map(|&(_, place)| place)
    }

    /// Returns the last position up to this one at which a block begins, if that is near enough.
    fn last_first(&self, position: Position) -> Option<Position> {
        let (last, bit) = bit(position);
        let first = last.saturating_sub(MAX_BLOCK_ENTRIES / 64 + 1);
        (first..=last).rev().find_map(|word| {
            let bits = self.firsts.get(word).copied().unwrap_or(0);
            let bits = if word == last {
                bits & (bit | (bit - 1))
            } else {
                bits
            };
            let highest = u64::from(bits.checked_ilog2()?);
            Some(Position(word as u64 * 64 + highest))
        })
    }

    /// Notes the place of a block that begins at a position, where none is noted.
    pub(super) fn insert(&mut self, first: Position, place: u32) {
        let (word, bit) = bit(first);
        if self.firsts.len() <= word {
            self.firsts.resize((word + 1).next_power_of_two(), 0);
        }
        self.firsts[word] |= bit;
        self.places
            .insert_unique(hash(first), (first, place), |&(first, _)| hash(first));
    }

    /// Forgets the block that begins at a position.
    pub(super) fn remove(&mut self, first: Position) {
        let found = self
            .places
            .entry(hash(first), |(at, _)| *at == first, |&(at, _)| hash(at));
        if let hash_table::Entry::Occupied(found) = found {
            found.remove();
            let (word, bit) = bit(first);
            self.firsts[word] &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_last_block_before_a_position_is_found_as_in_an_ordered_map(
            changes in prop::collection::vec((any::<bool>(), 1..20_000_u64), 0..400),
            wanted in prop::collection::vec(1..25_000_u64, 100),
        ) {
            let (mut places, mut model) = (BlockPlaces::default(), BTreeMap::new());
            for (place, &(is_insertion, first)) in changes.iter().enumerate() {
                let (first, place) = (Position(first), place as u32);
                if is_insertion {
                    let noted = places.at(first);
                    prop_assert_eq!(noted, model.get(&first).copied());
                    if noted.is_none() {
                        places.insert(first, place);
                        model.insert(first, place);
                    }
                } else {
                    places.remove(first);
                    model.remove(&first);
                }
            }
            for wanted in wanted.into_iter().map(Position) {
                let last = model.range(..=wanted).next_back();
                let found = places.find(wanted);
                match last {
                    Some((first, &place)) if wanted.0 - first.0 < MAX_BLOCK_ENTRIES as u64 => {
                        prop_assert_eq!(found, Some(place));
                    }
                    _ => {
                        let last = last.map(|(_, &place)| place);
                        prop_assert!(found.is_none() || found == last);
                    }
                }
            }
        }
    }
}
