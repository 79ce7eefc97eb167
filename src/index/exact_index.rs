//! Finds positions exactly, among consecutive ones whose fingerprints are in memory.
//!
//! A hash table chains the positions, newest first. Adding a position writes the head of its chain
//! and appends to a list; few positions are ever looked for.

use crate::state::position::{Position, Positions};
use crate::store::bytes::fingerprint::{FINGERPRINT_BITS, Fingerprint};

/// The end of a chain. As it is 0, a table of chains takes no memory before it is used.
const NONE: u32 = 0;
/// The average number of positions in a chain of a full index.
const CHAIN_POSITIONS: u64 = 2;

/// Heads in a page of memory, all of which the first of them takes.
const HEADS_A_PAGE: usize = 1024;

/// The most positions that can be sorted by fingerprint.
pub(super) const MAX_SORTED: u64 = 1 << OFFSET_BITS;
/// Bits that are left for an offset beside a fingerprint in 64 bits.
const OFFSET_BITS: u32 = u64::BITS - FINGERPRINT_BITS;

/// A position in its chain. The parts lie together as they are read together.
#[derive(Debug, Clone, Copy)]
struct Link {
    /// The low bits of its fingerprint.
    low: u32,
    /// The higher bits of its fingerprint.
    high: u16,
    /// The number of the position before it in the chain, or [`NONE`].
    earlier: u32,
}

const _: () = assert!(size_of::<Link>() == 12 && FINGERPRINT_BITS <= 48);

impl Link {
    fn new(fingerprint: Fingerprint, earlier: u32) -> Self {
        Self {
            low: fingerprint.0 as u32,
            high: (fingerprint.0 >> 32) as u16,
            earlier,
        }
    }

    fn fingerprint(self) -> Fingerprint {
        Fingerprint(u64::from(self.high) << 32 | u64::from(self.low))
    }
}

/// At most 2^32 - 1 consecutive positions and their fingerprints.
#[derive(Debug)]
pub(crate) struct ExactIndex {
    first: Position,
    /// One link for each position, in order.
    links: Vec<Link>,
    /// The number of the newest position of each chain, or [`NONE`].
    heads: Vec<u32>,
}

impl ExactIndex {
    /// Returns an empty index that begins at position `first`, with room for `expected` positions.
    pub(crate) fn new(first: Position, expected: u64) -> Self {
        let chains = (expected / CHAIN_POSITIONS).next_power_of_two();
        let chains = chains.min(1 << FINGERPRINT_BITS.min(30)) as usize;
        // Unused memory costs nothing, while a growing list would leave holes in memory.
        let room = usize::try_from(expected).unwrap_or_default();
        Self {
            first,
            links: Vec::with_capacity(room),
            heads: vec![NONE; chains],
        }
    }

    /// Returns the first position, or the next one if the index is empty.
    pub(crate) fn first(&self) -> Position {
        self.first
    }

    /// Returns the fingerprints of the positions, in order.
    pub(crate) fn fingerprints(&self) -> impl ExactSizeIterator<Item = Fingerprint> {
        self.links.iter().map(|link| link.fingerprint())
    }

    /// Returns the fingerprint of a position, or `None` if the index does not have the position.
    pub(crate) fn fingerprint_of(&self, position: Position) -> Option<Fingerprint> {
        let offset = position.0.checked_sub(self.first.0)?;
        let link = self.links.get(usize::try_from(offset).ok()?)?;
        Some(link.fingerprint())
    }

    /// Adds the next position.
    pub(crate) fn push(&mut self, fingerprint: Fingerprint) {
        // The first position has the number 1.
        let number = u32::try_from(self.links.len() + 1).unwrap_or(NONE);
        assert!(number != NONE, "the index is full");
        let chain = self.chain(fingerprint);
        let earlier = std::mem::replace(&mut self.heads[chain], number);
        self.links.push(Link::new(fingerprint, earlier));
    }

    /// Returns the head of a fingerprint's chain, to read it into the CPU's cache.
    pub(crate) fn head(&self, fingerprint: Fingerprint) -> &u32 {
        &self.heads[self.chain(fingerprint)]
    }

    /// Adds the positions with this fingerprint to `found`, the newest first.
    pub(crate) fn find(&self, fingerprint: Fingerprint, found: &mut Positions) {
        let mut next = self.heads[self.chain(fingerprint)];
        while next != NONE {
            let offset = next - 1;
            let link = self.links[offset as usize];
            if link.fingerprint() == fingerprint {
                found.push(Position(self.first.0 + u64::from(offset)));
            }
            next = link.earlier;
        }
    }

    /// Returns the positions, at most [`MAX_SORTED`], sorted by fingerprint and then by position.
    pub(crate) fn sorted(&self) -> Sorted {
        assert!(
            self.links.len() as u64 <= MAX_SORTED,
            "too many positions to sort"
        );
        let fingerprints = self.fingerprints().zip(0..);
        let numbers =
            fingerprints.map(|(fingerprint, offset)| fingerprint.0 << OFFSET_BITS | offset);
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.sort_unstable();
        Sorted {
            first: self.first,
            numbers,
        }
    }

    fn chain(&self, fingerprint: Fingerprint) -> usize {
        fingerprint.0 as usize & (self.heads.len() - 1)
    }

    /// About the memory that the positions take; room for later ones takes none yet.
    pub(crate) fn memory_bytes(&self) -> usize {
        let used_heads = self.heads.len().min(self.links.len() * HEADS_A_PAGE);
        self.links.len() * size_of::<Link>() + used_heads * size_of::<u32>()
    }
}

/// Positions sorted by fingerprint and then by position.
#[derive(Debug)]
pub(crate) struct Sorted {
    first: Position,
    /// Each a fingerprint above an offset: sorting numbers takes half the time of sorting pairs.
    numbers: Vec<u64>,
}

impl Sorted {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Fingerprint, Position)> {
        self.numbers.iter().map(|number| {
            let offset = number & (MAX_SORTED - 1);
            let position = Position(self.first.0 + offset);
            (Fingerprint(number >> OFFSET_BITS), position)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_are_found_and_put_in_order_by_their_fingerprints(
            fingerprints in prop::collection::vec(
                prop_oneof![0..4_u64, 0..=Fingerprint::MAX.0].prop_map(Fingerprint),
                0..200,
            ),
            first in 1..u64::MAX / 2,
            expected in 0..300_u64,
        ) {
            let mut index = ExactIndex::new(Position(first), expected);
            fingerprints.iter().for_each(|&fingerprint| index.push(fingerprint));
            let positions = (first..).map(Position);
            let mut pairs: Vec<_> = fingerprints.iter().copied().zip(positions).collect();
            for &(wanted, _) in &pairs {
                let mut found = Positions::new();
                index.find(wanted, &mut found);
                let alike = pairs.iter().rev().filter(|&&(fingerprint, _)| fingerprint == wanted);
                prop_assert!(found.into_iter().eq(alike.map(|&(_, position)| position)));
            }
            pairs.sort();
            prop_assert!(index.sorted().iter().eq(pairs));
        }
    }
}
