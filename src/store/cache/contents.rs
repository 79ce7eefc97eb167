//! What a cache has, of all its engines.

use crate::store::bytes::block::Block;
use crate::store::bytes::run::RunNumber;
use crate::store::cache::block_places::BlockPlaces;
use crate::store::cache::clock::{Clock, Item};
use crate::store::cache::run_part::RunPart;

/// Memory that an entry takes beside its bytes: its places in the clock and in a map, and what the
/// allocator adds.
const ENTRY_BYTES: u64 = 200;

/// All excerpts together take at most one part in this many of the budget.
const EXCERPTS_SHARE: u64 = 2;

/// The number of an engine of this process. It is used again when the engine is closed.
pub(super) type EngineNumber = usize;

/// What a cache has, and how much memory that takes.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) clock: Clock<Entry>,
    /// By number; `None` for those that are closed.
    pub(super) engines: Vec<Option<EngineEntries>>,
    /// Bytes of all excerpts.
    excerpts: u64,
    /// The most bytes that all excerpts have taken.
    pub(super) most_excerpts: u64,
    pub(super) budget: u64,
    pub(super) held: u64,
}

/// The places of an engine's entries in the clock.
#[derive(Debug, Default)]
pub(super) struct EngineEntries {
    budget: u64,
    pub(super) held: u64,
    /// How many more new blocks are kept.
    pub(super) new_blocks_kept: u32,
    pub(super) blocks: BlockPlaces,
    /// By the numbers of the run and the part; [`NOWHERE`] for parts that are not here.
    pub(super) parts: Vec<Vec<u32>>,
}

/// Stands for the place of a part that is not here.
const NOWHERE: u32 = u32::MAX;

/// What is kept of an engine's store.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) engine: EngineNumber,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Block(Block),
    Part(RunNumber, u32, RunPart),
}

impl Entry {
    /// The number of entries of a block; 0 for a part.
    fn entries(&self) -> u16 {
        match &self.what {
            What::Block(block) => block.entries,
            What::Part(..) => 0,
        }
    }
}

impl Item for Entry {
    fn bytes(&self) -> u64 {
        let bytes = match &self.what {
            What::Block(block) => block.memory_bytes() as u64,
            What::Part(_, _, part) => part.bytes(),
        };
        bytes + ENTRY_BYTES
    }
}

impl EngineEntries {
    pub(super) fn part(&self, run: RunNumber, number: u32) -> Option<u32> {
        let parts = self.parts.get(run.0 as usize)?;
        let place = *parts.get(number as usize)?;
        (place != NOWHERE).then_some(place)
    }

    /// Where the place of a part is noted.
    fn part_mut(&mut self, run: RunNumber, number: u32) -> &mut u32 {
        let (run, number) = (run.0 as usize, number as usize);
        if self.parts.len() <= run {
            self.parts.resize_with(run + 1, Vec::new);
        }
        let parts = &mut self.parts[run];
        if parts.len() <= number {
            parts.resize((number + 1).next_power_of_two(), NOWHERE);
        }
        &mut parts[number]
    }
}

impl Contents {
    pub(super) fn add_engine(&mut self, budget: u64) -> EngineNumber {
        let free = self.engines.iter().position(Option::is_none);
        let engine = free.unwrap_or(self.engines.len());
        if engine == self.engines.len() {
            self.engines.push(None);
        }
        self.engines[engine] = Some(EngineEntries {
            budget,
            ..EngineEntries::default()
        });
        self.most_excerpts = self.excerpts;
        self.add_up();
        engine
    }

    pub(super) fn remove_engine(&mut self, engine: EngineNumber) {
        self.engines[engine] = None;
        self.clock.retain(|entry| entry.engine != engine);
        self.most_excerpts = self.excerpts;
        self.add_up();
    }

    pub(super) fn of(&mut self, engine: EngineNumber) -> &mut EngineEntries {
        let entries = self.engines[engine].as_mut();
        entries.expect("an engine is open as long as its share lives")
    }

    /// Works out the budget and what is held from those of the engines.
    pub(super) fn add_up(&mut self) {
        let engines = || self.engines.iter().flatten();
        self.budget = engines().map(|engine| engine.budget).max().unwrap_or(0);
        self.held = engines().map(|engine| engine.held).sum();
        self.shrink();
    }

    pub(super) fn used(&self) -> u64 {
        self.clock.bytes() + self.excerpts + self.held
    }

    /// Adds an entry, unless it is there.
    pub(super) fn insert(&mut self, entry: Entry) {
        let Self { clock, engines, .. } = self;
        let Some(entries) = &mut engines[entry.engine] else {
            return;
        };
        match &entry.what {
            What::Block(block) => match entries.blocks.at(block.first) {
                None => {
                    let first = block.first;
                    entries.blocks.insert(first, clock.insert(entry));
                }
                // The last block of the journal may have grown since it was read.
                Some(place) if clock.get(place).entries() < block.entries => {
                    clock.replace(place, entry);
                }
                Some(_) => {}
            },
            &What::Part(run, number, _) => {
                let place = entries.part_mut(run, number);
                if *place == NOWHERE {
                    *place = clock.insert(entry);
                }
            }
        }
    }

    /// Makes room for excerpts; false if there are too many.
    pub(super) fn reserve(&mut self, bytes: u64) -> bool {
        if self.excerpts + bytes > self.budget / EXCERPTS_SHARE {
            return false;
        }
        self.excerpts += bytes;
        self.most_excerpts = self.most_excerpts.max(self.excerpts);
        self.shrink();
        true
    }

    pub(super) fn give_back(&mut self, bytes: u64) {
        self.excerpts -= bytes;
    }

    pub(super) fn shrink(&mut self) {
        while self.used() > self.budget
            && let Some(dropped) = self.clock.drop_one()
        {
            let entries = self.of(dropped.engine);
            match dropped.what {
                What::Block(block) => entries.blocks.remove(block.first),
                What::Part(run, number, _) => *entries.part_mut(run, number) = NOWHERE,
            }
        }
    }
}
