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

/// The number of an engine of this process. It is used again when the engine is closed.
pub(super) type EngineNumber = usize;

/// The excerpts of all engines.
#[derive(Debug, Default)]
pub(super) struct Excerpts {
    present: Generation,
    previous: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    /// Blocks of one entry, by the engine and the entry's position.
    blocks: HashMap<(EngineNumber, Position), Block>,
    /// All positions of a run of an engine that have a fingerprint.
    found: HashMap<(EngineNumber, RunNumber, Fingerprint), Positions>,
    bytes: u64,
}

impl Excerpts {
    /// About the memory that they take.
    pub(super) fn bytes(&self) -> u64 {
        self.present.bytes + self.previous.bytes
    }

    pub(super) fn block(&self, engine: EngineNumber, position: Position) -> Option<&Block> {
        let wanted = (engine, position);
        let generations = [&self.present, &self.previous];
        generations.iter().find_map(|one| one.blocks.get(&wanted))
    }

    pub(super) fn found(
        &self,
        engine: EngineNumber,
        run: RunNumber,
        wanted: Fingerprint,
    ) -> Option<&Positions> {
        let wanted = (engine, run, wanted);
        let generations = [&self.present, &self.previous];
        generations.iter().find_map(|one| one.found.get(&wanted))
    }

    pub(super) fn add_block(&mut self, engine: EngineNumber, block: Block, max_bytes: u64) {
        let bytes = block_bytes(&block);
        let generation = self.room_for(bytes, max_bytes);
        generation.blocks.insert((engine, block.first), block);
    }

    pub(super) fn add_found(
        &mut self,
        engine: EngineNumber,
        run: RunNumber,
        wanted: Fingerprint,
        found: Positions,
        max_bytes: u64,
    ) {
        let generation = self.room_for(found_bytes(&found), max_bytes);
        generation.found.insert((engine, run, wanted), found);
    }

    /// Removes all excerpts of an engine.
    pub(super) fn remove_engine(&mut self, removed: EngineNumber) {
        for generation in [&mut self.present, &mut self.previous] {
            let Generation {
                blocks,
                found,
                bytes,
            } = generation;
            blocks.retain(|&(engine, _), _| engine != removed);
            found.retain(|&(engine, ..), _| engine != removed);
            blocks.shrink_to_fit();
            found.shrink_to_fit();
            let blocks = blocks.values().map(block_bytes);
            *bytes = blocks.chain(found.values().map(found_bytes)).sum();
        }
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

fn block_bytes(block: &Block) -> u64 {
    block.memory_bytes() as u64 + EXCERPT_BYTES
}

fn found_bytes(found: &Positions) -> u64 {
    (found.len() * size_of::<Position>()) as u64 + EXCERPT_BYTES
}
