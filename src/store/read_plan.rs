//! What many events need of the store, read into the cache in the order of its keys.
//!
//! To read one entry, sled reads a page of many. Events in any order need the same pages again and
//! again; in the order of the keys each page is read once. Nothing is ever answered from a plan. It
//! only fills the cache, and the index and the journal are asked again when an event is applied. So
//! a plan may be out of date, and an error in it is left to the event that meets it too.

use std::thread::scope;

use tracing::debug;

use crate::error::StorageError;
use crate::state::position::{Position, Positions};
use crate::store::bytes::block::Block;
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::bytes::run::{RunHeader, RunNumber};
use crate::store::cache::{Cache, RunParts};
use crate::store::reader::{BlocksInOrder, Reader};
use crate::store::threads;

/// Fewer reads than this are not worth another thread.
const READS_A_THREAD: usize = 64;

/// The most threads that read a plan.
const MAX_THREADS: usize = 4;

/// The number of positions whose blocks are put into the cache together.
const KEPT_TOGETHER: usize = 128;

/// The excerpts of a plan take at most one part in this many of an engine's share of the budget:
/// half of all excerpts.
const PLAN_SHARE: u64 = 4;

/// About the memory that the excerpts for one event take in the cache.
const EXCERPTS_BYTES: u64 = 500;

/// If two blocks are at most this many blocks apart, and there is room in the cache, those between
/// them are read too: a page of sled has about nine blocks.
const FAR_BLOCKS: usize = 16;

/// Parts of runs and blocks of the journal to read.
#[derive(Debug, Default)]
pub(crate) struct ReadPlan {
    /// The stored runs, by their numbers.
    runs: Vec<RunHeader>,
    parts: Vec<WantedPart>,
    positions: Vec<Position>,
}

/// A part of a run that may have positions with a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct WantedPart {
    run: RunNumber,
    number: u32,
    fingerprint: Fingerprint,
}

impl ReadPlan {
    /// Tells the plan which runs there are.
    pub(crate) fn set_runs(&mut self, runs: &[RunHeader]) {
        if self.runs.len() < runs.len() {
            self.runs = runs.to_vec();
        }
    }

    /// Adds the part of a run that has a fingerprint, and the blocks of all positions there.
    pub(crate) fn add_part(&mut self, run: RunNumber, number: u32, fingerprint: Fingerprint) {
        self.parts.push(WantedPart {
            run,
            number,
            fingerprint,
        });
    }

    /// Adds the block of a durable position.
    pub(crate) fn add_position(&mut self, position: Position) {
        self.positions.push(position);
    }

    /// The number of blocks that will be read, or a few more.
    pub(crate) fn len(&self) -> usize {
        self.parts.len() + self.positions.len()
    }

    /// True if the engine's share of the cache has room for no more excerpts.
    pub(crate) fn is_full(&self, cache: &Cache) -> bool {
        self.len() as u64 * EXCERPTS_BYTES > cache.share_of_engine(PLAN_SHARE)
    }

    /// Reads all that is not in the cache.
    pub(crate) fn read(self, reader: &Reader, cache: &Cache) {
        let Self {
            runs,
            mut parts,
            mut positions,
        } = self;
        parts.sort_unstable();
        let read_parts = |parts: &[WantedPart]| read_parts(reader, cache, &runs, parts);
        positions.extend(in_threads(&parts, read_parts).into_iter().flatten());
        positions.sort_unstable();
        positions.dedup();
        in_threads(&positions, |positions| {
            read_blocks(reader, cache, positions)
        });
    }
}

/// Calls `f` with consecutive pieces of a list, on several threads if it is long.
fn in_threads<T: Sync, R: Send>(
    list: &[T],
    f: impl Fn(&[T]) -> Result<R, StorageError> + Sync,
) -> Vec<R> {
    let threads = match list.len() / READS_A_THREAD {
        0 | 1 => 1,
        pieces => {
            let cores = std::thread::available_parallelism();
            pieces.min(cores.map_or(1, usize::from)).min(MAX_THREADS)
        }
    };
    let read = |piece: &[T]| {
        let result = f(piece);
        result.inspect_err(|error| debug!("reading ahead failed: {error}"))
    };
    scope(|scope| {
        let mut pieces = list.chunks(list.len().div_ceil(threads).max(1));
        let first = pieces.next();
        let others: Vec<_> = pieces
            .map(|piece| threads::start_scoped(scope, "read", move || read(piece)))
            .collect();
        let first = first.map(read);
        let others = others.into_iter().filter_map(Result::ok);
        let others = others.map(|thread| {
            let joined = thread.join();
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        first
            .into_iter()
            .chain(others)
            .filter_map(Result::ok)
            .collect()
    })
}

/// Reads parts of runs, sorted. Returns the positions there that have the wanted fingerprints.
fn read_parts(
    reader: &Reader,
    cache: &Cache,
    runs: &[RunHeader],
    wanted: &[WantedPart],
) -> Result<Vec<Position>, StorageError> {
    let mut positions = Vec::new();
    for of_part in wanted.chunk_by(|one, next| (one.run, one.number) == (next.run, next.number)) {
        let WantedPart { run, number, .. } = of_part[0];
        let header = &runs[run.0 as usize];
        let (parts, is_whole) = (RunParts::of(header), cache.has_room());
        let part = reader.run_part(header, number)?;
        cache.note_reads_ahead(1);
        let found = of_part.iter().map(|wanted| {
            let mut found = Positions::new();
            parts.find(&part, wanted.fingerprint, |position| found.push(position));
            positions.extend_from_slice(&found);
            (wanted.fingerprint, found)
        });
        let found: Vec<_> = found.collect();
        if is_whole {
            cache.keep_parts(run, [(number, part)]);
        } else {
            cache.keep_found(run, found);
        }
    }
    Ok(positions)
}

/// Reads the blocks of positions, sorted.
fn read_blocks(reader: &Reader, cache: &Cache, positions: &[Position]) -> Result<(), StorageError> {
    for together in positions.chunks(KEPT_TOGETHER) {
        // The database is not reopened while this lives.
        let mut stored = reader.in_order();
        if cache.has_room() {
            read_whole_blocks(&mut stored, cache, together)?;
        } else {
            read_excerpts(&mut stored, cache, together)?;
        }
    }
    Ok(())
}

/// Reads the blocks of positions, and those between them if they are near: there is room for them.
fn read_whole_blocks(
    stored: &mut BlocksInOrder<'_>,
    cache: &Cache,
    positions: &[Position],
) -> Result<(), StorageError> {
    let (mut read, mut passed) = (Vec::new(), Vec::new());
    let mut until = Position::NONE;
    for &position in positions
        .iter()
        .filter(|&&position| cache.block(position).is_none())
    {
        if position > until {
            let block = stored.block_near(position, FAR_BLOCKS, |block| passed.push(block))?;
            until = block.last();
            read.push(block);
        }
    }
    cache.note_reads_ahead(read.len() + passed.len());
    cache.keep_blocks(marked(read)?);
    cache.fill_with_blocks(marked(passed)?);
    Ok(())
}

fn read_excerpts(
    stored: &mut BlocksInOrder<'_>,
    cache: &Cache,
    positions: &[Position],
) -> Result<(), StorageError> {
    let wanted = positions
        .iter()
        .filter(|&&position| cache.block(position).is_none());
    let excerpts = wanted.map(|&position| stored.block_at(position)?.excerpt(position));
    let excerpts = excerpts.collect::<Result<Vec<_>, _>>()?;
    cache.note_reads_ahead(excerpts.len());
    cache.keep_excerpts(excerpts);
    Ok(())
}

fn marked(blocks: impl IntoIterator<Item = Block>) -> Result<Vec<Block>, StorageError> {
    blocks.into_iter().map(Block::marked).collect()
}
