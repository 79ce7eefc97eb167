//! What is kept in memory of stored blocks, so that sled need not be asked again.
//!
//! It has blocks of the journal, and parts of runs of the index. Neither ever changes, so what was
//! dropped can be read again, and what is found is never out of date. What is read ahead while the
//! cache is full is kept as [`excerpts`].
//!
//! The engines of a process share one budget: the largest that one of them asks for. It also covers
//! the stored runs that they hold in memory ([`Cache::set_held`]). When it is used up, what was not
//! used for the longest time is dropped ([`clock`]), whichever engine it belongs to. Excerpts are
//! dropped by the sender for which they were read.

mod block_places;
mod clock;
mod contents;
mod excerpts;
mod run_part;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::state::look_ahead::{LOOK_AHEAD, touch};
use crate::state::position::{Position, Positions};
use crate::store::bytes::block::Block;
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::bytes::run::RunNumber;
use clock::Item;
use contents::{Contents, EngineNumber, Entry, What};
pub(crate) use excerpts::Excerpts;
pub(crate) use run_part::{RunPart, RunParts};

/// The cache of all engines that do not ask for one of their own.
static OF_PROCESS: LazyLock<Arc<Mutex<Contents>>> = LazyLock::new(Arc::default);

/// The number of new blocks that are kept for each earlier block that was looked for. A stream of
/// new ids needs nearly none, and goes faster in memory that is used again and again.
const NEW_BLOCKS_A_LOOKUP: u32 = 16;

/// The most new blocks that are kept after the last lookup.
const MAX_NEW_BLOCKS: u32 = 4096;

/// The share of one engine in a cache. Clones are of the same engine. The last one takes all that
/// belongs to the engine out of the cache.
#[derive(Debug, Clone)]
pub(crate) struct Cache(Arc<Share>);

#[derive(Debug)]
struct Share {
    contents: Arc<Mutex<Contents>>,
    engine: EngineNumber,
    /// The excerpts for the requests that are being applied.
    excerpts: Mutex<Option<Arc<Excerpts>>>,
    reads: AtomicU64,
    reads_ahead: AtomicU64,
}

/// How full a cache is, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheBytes {
    pub(crate) budget: u64,
    pub(crate) used: u64,
}

impl Cache {
    /// Joins the engines of this process that share a cache, and asks for a budget.
    pub(crate) fn shared(budget_bytes: u64) -> Self {
        Self::join(Arc::clone(&OF_PROCESS), budget_bytes)
    }

    /// Makes a cache for one engine.
    pub(crate) fn alone(budget_bytes: u64) -> Self {
        Self::join(Arc::default(), budget_bytes)
    }

    fn join(contents: Arc<Mutex<Contents>>, budget: u64) -> Self {
        let engine = contents.lock().add_engine(budget);
        Self(Arc::new(Share {
            contents,
            engine,
            excerpts: Mutex::default(),
            reads: AtomicU64::new(0),
            reads_ahead: AtomicU64::new(0),
        }))
    }

    /// Returns the block that has a position.
    pub(crate) fn block(&self, position: Position) -> Option<Block> {
        let mut contents = self.0.contents.lock();
        let entries = contents.of(self.0.engine);
        let kept = entries.new_blocks_kept + NEW_BLOCKS_A_LOOKUP;
        entries.new_blocks_kept = kept.min(MAX_NEW_BLOCKS);
        let place = entries.blocks.find(position)?;
        let What::Block(block) = &contents.clock.get(place).what else {
            return None;
        };
        let block = (block.last() >= position).then(|| block.clone())?;
        contents.clock.note_use(place);
        Some(block)
    }

    /// Keeps a block. It replaces a shorter one that begins at the same position.
    pub(crate) fn keep_block(&self, block: Block) {
        let (engine, what) = (self.0.engine, What::Block(block));
        let mut contents = self.0.contents.lock();
        contents.insert(Entry { engine, what });
        contents.shrink();
    }

    /// Keeps a block that was just made, if earlier ones were looked for lately.
    pub(crate) fn keep_new_block(&self, block: Block) {
        let mut contents = self.0.contents.lock();
        let entries = contents.of(self.0.engine);
        if let Some(left) = entries.new_blocks_kept.checked_sub(1) {
            entries.new_blocks_kept = left;
            drop(contents);
            self.keep_block(block);
        }
    }

    /// Keeps blocks, like [`Cache::keep_block`].
    pub(crate) fn keep_blocks(&self, blocks: impl IntoIterator<Item = Block>) {
        self.keep(blocks.into_iter().map(What::Block), true);
    }

    /// Keeps blocks that were read for another purpose, but drops nothing for them.
    pub(crate) fn fill_with_blocks(&self, blocks: impl IntoIterator<Item = Block>) {
        self.keep(blocks.into_iter().map(What::Block), false);
    }

    /// True if a twentieth of the budget is free, beside room for as many excerpts as there were.
    pub(crate) fn has_room(&self) -> bool {
        let contents = self.0.contents.lock();
        let used = contents.clock.bytes() + contents.held + contents.most_excerpts;
        used < contents.budget - contents.budget / 20
    }

    /// Makes an empty list of excerpts.
    pub(crate) fn excerpts(&self) -> Arc<Excerpts> {
        Arc::new(Excerpts::new(Arc::clone(&self.0.contents)))
    }

    /// Finds these excerpts too, until what is returned is dropped. Only the thread that has its
    /// turn may call this.
    pub(crate) fn using(&self, excerpts: Option<&Arc<Excerpts>>) -> UsedExcerpts<'_> {
        let before = std::mem::replace(&mut *self.0.excerpts.lock(), excerpts.cloned());
        debug_assert!(before.is_none(), "one thread has the turn");
        UsedExcerpts(self)
    }

    /// Returns an excerpt with the entry at a position.
    pub(crate) fn excerpt(&self, position: Position) -> Option<Block> {
        let excerpts = self.0.excerpts.lock();
        excerpts.as_ref()?.block(position)
    }

    /// Adds the positions of a run with a fingerprint to `found`; false if this is not known here.
    pub(crate) fn find_in_run(
        &self,
        parts: RunParts,
        wanted: Fingerprint,
        found: &mut Positions,
    ) -> bool {
        let mut contents = self.0.contents.lock();
        let place = contents
            .of(self.0.engine)
            .part(parts.run, parts.number(wanted));
        if let Some(place) = place {
            contents.clock.note_use(place);
            if let What::Part(_, _, part) = &contents.clock.get(place).what {
                parts.find(part, wanted, |position| found.push(position));
            }
            return true;
        }
        drop(contents);
        let excerpts = self.0.excerpts.lock();
        let mut excerpts = excerpts.iter();
        excerpts.any(|excerpts| excerpts.find_in_run(parts.run, wanted, found))
    }

    /// Reads into the CPU's cache what is needed to find the entries with a few fingerprints, each
    /// in a run.
    pub(crate) fn touch(&self, wanted: &[(RunParts, Fingerprint)]) {
        let contents = self.0.contents.lock();
        let Contents { clock, engines, .. } = &*contents;
        let Some(entries) = &engines[self.0.engine] else {
            return;
        };
        let here = wanted.iter().filter_map(|&(parts, wanted)| {
            Some((
                entries.part(parts.run, parts.number(wanted))?,
                (parts, wanted),
            ))
        });
        let (places, here): (SmallVec<_>, SmallVec<[_; LOOK_AHEAD]>) = here.unzip();
        let found = clock.get_all(places);
        let parts = found.iter().zip(&here);
        let parts = parts.filter_map(|(entry, &(parts, wanted))| match &entry.what {
            What::Part(_, _, part) => Some((parts, part, wanted)),
            _ => None,
        });
        touch(
            parts
                .clone()
                .filter_map(|(parts, part, wanted)| parts.place(part, wanted)),
        );
        let mut positions: SmallVec<[Position; LOOK_AHEAD]> = SmallVec::new();
        for (parts, part, wanted) in parts {
            parts.find(part, wanted, |position| positions.push(position));
        }
        let here = positions
            .iter()
            .filter_map(|&position| Some((entries.blocks.find(position)?, position)));
        let (places, positions): (SmallVec<_>, SmallVec<[_; LOOK_AHEAD]>) = here.unzip();
        let found = clock.get_all(places);
        let blocks = found
            .iter()
            .zip(&positions)
            .filter_map(|(entry, &position)| match &entry.what {
                What::Block(block) => Some((block, position)),
                _ => None,
            });
        touch(blocks.clone().filter_map(|(block, _)| block.bytes.first()));
        touch(
            blocks
                .clone()
                .filter_map(|(block, position)| block.mark_near(position)),
        );
        touch(blocks.filter_map(|(block, position)| {
            let at = *block.mark_near(position)?;
            block.bytes.get(usize::from(at))
        }));
    }

    /// Keeps parts of a run.
    pub(crate) fn keep_parts(
        &self,
        run: RunNumber,
        parts: impl IntoIterator<Item = (u32, RunPart)>,
    ) {
        let parts = parts.into_iter();
        self.keep(
            parts.map(|(number, part)| What::Part(run, number, part)),
            true,
        );
    }

    /// Keeps parts of a run that were read for another purpose, but drops nothing for them.
    pub(crate) fn fill_with_parts(
        &self,
        run: RunNumber,
        parts: impl IntoIterator<Item = (u32, RunPart)>,
    ) {
        let parts = parts.into_iter();
        self.keep(
            parts.map(|(number, part)| What::Part(run, number, part)),
            false,
        );
    }

    /// Keeps entries. If `may_drop` is false, keeps only those for which there is room.
    fn keep(&self, entries: impl Iterator<Item = What>, may_drop: bool) {
        let engine = self.0.engine;
        let entries: Vec<_> = entries.map(|what| Entry { engine, what }).collect();
        let mut contents = self.0.contents.lock();
        for entry in entries {
            if may_drop || contents.used() + entry.bytes() <= contents.budget {
                contents.insert(entry);
            }
        }
        contents.shrink();
    }

    /// Returns one part in this many of the budget, divided by the number of engines: what one of
    /// them may take for itself.
    pub(crate) fn share_of_engine(&self, parts: u64) -> u64 {
        let contents = self.0.contents.lock();
        let engines = contents.engines.iter().flatten().count() as u64;
        contents.budget / (parts * engines)
    }

    /// Sets how many bytes of runs the engine holds beside the cache, which count too.
    pub(crate) fn set_held(&self, bytes: u64) {
        let mut contents = self.0.contents.lock();
        contents.of(self.0.engine).held = bytes;
        contents.add_up();
    }

    /// Notes that something had to be read that was not here.
    pub(crate) fn note_read(&self) {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of reads that were noted.
    pub(crate) fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    /// Notes that this many blocks and parts were read ahead.
    pub(crate) fn note_reads_ahead(&self, reads: u64) {
        self.0.reads_ahead.fetch_add(reads, Ordering::Relaxed);
    }

    /// Number of blocks and parts that were read ahead.
    pub(crate) fn reads_ahead(&self) -> u64 {
        self.0.reads_ahead.load(Ordering::Relaxed)
    }

    /// How full the cache is, with the entries of all engines.
    pub(crate) fn bytes(&self) -> CacheBytes {
        let contents = self.0.contents.lock();
        CacheBytes {
            budget: contents.budget,
            used: contents.used(),
        }
    }
}

/// See [`Cache::using`].
#[must_use = "the excerpts are no longer found when this is dropped"]
pub(crate) struct UsedExcerpts<'a>(&'a Cache);

impl Drop for UsedExcerpts<'_> {
    fn drop(&mut self) {
        let used = self.0.0.excerpts.lock().take();
        // Dropped without the lock, as this may lock the contents.
        drop(used);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.contents.lock().remove_engine(self.engine);
    }
}
