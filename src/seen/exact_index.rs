//! Consecutive positions whose fingerprints are held in memory, found exactly.
//!
//! A hash table of chains through the positions, the newest first: adding one touches the head of
//! its chain and otherwise only the ends of lists, and few are ever looked for.

use crate::fingerprint::{FINGERPRINT_BITS, Fingerprint};
use crate::seen::Positions;
use crate::state::position::Position;

/// The end of a chain.
const NONE: u32 = u32::MAX;
/// How many positions a chain has on average, when all are there.
const CHAIN_POSITIONS: u64 = 4;

/// At most 2^32 - 1 consecutive positions and their fingerprints.
#[derive(Debug)]
pub(crate) struct ExactIndex {
    first: Position,
    /// Of each position, from the first on.
    fingerprints: Vec<Fingerprint>,
    /// For each position the one before in its chain, as offsets from the first.
    earlier: Vec<u32>,
    /// The last position of each chain.
    heads: Vec<u32>,
}

impl ExactIndex {
    /// No positions yet; the next one is `first`, and about so many are expected.
    pub(crate) fn new(first: Position, expected: u64) -> Self {
        let chains = (expected / CHAIN_POSITIONS).next_power_of_two();
        let chains = chains.min(1 << FINGERPRINT_BITS.min(30)) as usize;
        // Memory that is not used yet costs nothing, and lists that grow leave holes behind.
        let room = || usize::try_from(expected).unwrap_or_default();
        Self {
            first,
            fingerprints: Vec::with_capacity(room()),
            earlier: Vec::with_capacity(room()),
            heads: vec![NONE; chains],
        }
    }

    /// The first position, also where there is none yet.
    pub(crate) fn first(&self) -> Position {
        self.first
    }

    /// The fingerprints of the positions, in order.
    pub(crate) fn fingerprints(&self) -> &[Fingerprint] {
        &self.fingerprints
    }

    /// The fingerprint of a position; `None` if it is not among them.
    pub(crate) fn fingerprint_of(&self, position: Position) -> Option<Fingerprint> {
        let offset = position.0.checked_sub(self.first.0)?;
        self.fingerprints
            .get(usize::try_from(offset).ok()?)
            .copied()
    }

    /// Adds the next position.
    pub(crate) fn push(&mut self, fingerprint: Fingerprint) {
        let offset = self.fingerprints.len() as u32;
        assert!(offset != NONE, "who pushes keeps to the limit");
        let chain = self.chain(fingerprint);
        let earlier = std::mem::replace(&mut self.heads[chain], offset);
        self.fingerprints.push(fingerprint);
        self.earlier.push(earlier);
    }

    /// The head of a fingerprint's chain, for those who want it in the CPU's cache.
    pub(crate) fn head(&self, fingerprint: Fingerprint) -> &u32 {
        &self.heads[self.chain(fingerprint)]
    }

    /// Adds the positions that have a fingerprint to those that were found, the last one first.
    pub(crate) fn find(&self, fingerprint: Fingerprint, found: &mut Positions) {
        let mut next = self.heads[self.chain(fingerprint)];
        while next != NONE {
            if self.fingerprints[next as usize] == fingerprint {
                found.push(Position(self.first.0 + u64::from(next)));
            }
            next = self.earlier[next as usize];
        }
    }

    fn chain(&self, fingerprint: Fingerprint) -> usize {
        fingerprint.0 as usize & (self.heads.len() - 1)
    }

    /// Bytes of memory that the positions take.
    pub(crate) fn memory_bytes(&self) -> usize {
        let offsets = self.earlier.capacity() + self.heads.capacity();
        self.fingerprints.capacity() * size_of::<Fingerprint>() + offsets * size_of::<u32>()
    }
}
