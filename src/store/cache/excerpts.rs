//! What was read ahead while the cache was full: only the entries that are wanted, without the rest
//! of their blocks and parts. This way many more events can be read ahead at a time, and nothing
//! else is dropped for them.
//!
//! Each is probably used once, soon. So they are kept in two generations: when the present one is
//! full, it replaces the one before it.

use std::collections::HashMap;

use crate::state::position::{Position, Positions};
use crate::store::bytes::block::Block;
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::bytes::run::RunNumber;

/// Memory that an excerpt takes beside its bytes.
const EXCERPT_BYTES: u64 = 160;

/// The excerpts of one engine.
#[derive(Debug, Default)]
pub(super) struct Excerpts {
    present: Generation,
    previous: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    /// Blocks of one entry, by its position.
    blocks: HashMap<Position, Block>,
    /// All positions of a run that have a fingerprint.
    found: HashMap<(RunNumber, Fingerprint), Positions>,
    bytes: u64,
}

impl Excerpts {
    /// About the memory that they take.
    pub(super) fn bytes(&self) -> u64 {
        self.present.bytes + self.previous.bytes
    }

    pub(super) fn block(&self, position: Position) -> Option<&Block> {
        let generations = [&self.present, &self.previous];
        generations.iter().find_map(|one| one.blocks.get(&position))
    }

    pub(super) fn found(&self, run: RunNumber, wanted: Fingerprint) -> Option<&Positions> {
        let generations = [&self.present, &self.previous];
        generations
            .iter()
            .find_map(|one| one.found.get(&(run, wanted)))
    }

    pub(super) fn add_block(&mut self, block: Block, max_bytes: u64) {
        let bytes = block.memory_bytes() as u64 + EXCERPT_BYTES;
        self.room_for(bytes, max_bytes)
            .blocks
            .insert(block.first, block);
    }

    pub(super) fn add_found(
        &mut self,
        run: RunNumber,
        wanted: Fingerprint,
        found: Positions,
        max_bytes: u64,
    ) {
        let bytes = (found.len() * size_of::<Position>()) as u64 + EXCERPT_BYTES;
        let generation = self.room_for(bytes, max_bytes);
        generation.found.insert((run, wanted), found);
    }

    /// Returns the generation that takes this many bytes more. Both together take at most
    /// `max_bytes`.
    fn room_for(&mut self, bytes: u64, max_bytes: u64) -> &mut Generation {
        if self.present.bytes + bytes > max_bytes / 2 {
            self.previous = std::mem::take(&mut self.present);
        }
        self.present.bytes += bytes;
        &mut self.present
    }
}
