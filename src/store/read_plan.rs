//! What a window of events needs of the store, read in the order of its keys.
//!
//! To read one entry, sled reads a page of many. Events in any order need the same pages again and
//! again; in the order of the keys each page is read once. Nothing is ever answered from a plan. It
//! only brings blocks into memory, and the index and the journal are asked again when an event is
//! applied. So a plan may be out of date, and damage that it meets is left to the event that meets
//! it too.

use std::sync::Arc;
use std::thread::scope;

use tracing::debug;

use crate::error::StorageError;
use crate::state::position::{Position, Positions};
use crate::store::blocks_in_order::BlocksInOrder;
use crate::store::bytes::block::Block;
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::bytes::run::{RunHeader, RunNumber};
use crate::store::cache::{Cache, Excerpts, RunParts};
use crate::store::reader::Reader;
use crate::store::threads;

/// If an id has more candidates than this, its event was processed and rolled back again and again,
/// and most of them are never compared with the journal. So they are not read ahead.
pub(crate) const MAX_CANDIDATES: usize = 4;

/// Fewer reads than this are not worth another thread.
const READS_A_THREAD: usize = 64;

/// The most threads that read a plan. There are at least two, as they wait for the disk too.
const MAX_THREADS: usize = 4;

/// The number of positions whose blocks are put into the cache together.
const KEPT_TOGETHER: usize = 128;

/// The excerpts of a plan take at most one part in this many of an engine's share of the budget. A
/// sender that is read ahead for without a pause has those of two plans. So some room is left for
/// other senders, even if that one does not take its replies.
const PLAN_SHARE: u64 = 5;

/// About the memory that the excerpts for one event take in the cache.
const EXCERPTS_BYTES: u64 = 500;

/// If this many events need a part, the part takes no more memory than what they need of it.
const MANY_IN_PART: usize = 8;

/// If two blocks are at most this many blocks apart, and there is room in the cache, those between
/// them are read too: a page of sled has about nine blocks.
const FAR_BLOCKS: usize = 16;

/// Parts of runs and blocks of the journal to read.
#[derive(Debug)]
pub(crate) struct ReadPlan {
    /// The most parts and positions that are added, about.
    most: usize,
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
    /// Makes an empty plan, with as much room as the cache has for excerpts for one sender.
    pub(crate) fn new(cache: &Cache) -> Self {
        Self {
            most: (cache.share_of_engine(PLAN_SHARE) / EXCERPTS_BYTES) as usize,
            runs: Vec::new(),
            parts: Vec::new(),
            positions: Vec::new(),
        }
    }

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

    /// True if there is room for no more parts and positions.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    /// True if there is probably room for what more requests need, as it has what `planned` others
    /// need.
    pub(crate) fn has_room_for(&self, requests: usize, planned: usize) -> bool {
        let needed = self.len() * requests / planned.max(1);
        self.len() + needed <= self.most
    }

    /// The number of parts and positions that were added.
    fn len(&self) -> usize {
        self.parts.len() + self.positions.len()
    }

    /// Reads all that is not in the cache.
    ///
    /// # Errors
    ///
    /// The first [`StorageError`] that is not about damage.
    pub(crate) fn read(self, reader: &Reader, cache: &Cache) -> Result<PlanRead, StorageError> {
        let Self {
            runs,
            mut parts,
            mut positions,
            ..
        } = self;
        parts.sort_unstable();
        parts.dedup();
        let (mut reads, excerpts) = (0, cache.excerpts());
        let to = Destination {
            cache,
            excerpts: &excerpts,
        };
        let read_parts = |parts: &[WantedPart]| read_parts(reader, to, &runs, parts);
        for (read, found) in in_threads(&parts, read_parts)? {
            reads += read;
            positions.extend(found);
        }
        positions.sort_unstable();
        positions.dedup();
        let read_blocks = |positions: &[Position]| read_blocks(reader, to, positions);
        reads += in_threads(&positions, read_blocks)?.iter().sum::<u64>();
        cache.note_reads_ahead(reads);
        Ok(PlanRead { reads, excerpts })
    }
}

/// What a plan has read.
#[derive(Debug)]
pub(crate) struct PlanRead {
    /// The number of parts and blocks.
    pub(crate) reads: u64,
    /// What found no room in the cache.
    pub(crate) excerpts: Arc<Excerpts>,
}

/// Where what is read goes: whole blocks and parts to the cache while there is room or if they take
/// no more memory, excerpts of them otherwise.
#[derive(Debug, Clone, Copy)]
struct Destination<'a> {
    cache: &'a Cache,
    excerpts: &'a Excerpts,
}

/// Calls `f` with consecutive pieces of a list, on several threads if it is long. Damage only ends
/// the piece that has met it.
///
/// # Errors
///
/// Another error of `f`.
fn in_threads<T: Sync, R: Send>(
    list: &[T],
    f: impl Fn(&[T]) -> Result<R, StorageError> + Sync,
) -> Result<Vec<R>, StorageError> {
    let threads = match list.len() / READS_A_THREAD {
        0 | 1 => 1,
        pieces => {
            let cores = std::thread::available_parallelism();
            pieces.min(cores.map_or(1, usize::from).clamp(2, MAX_THREADS))
        }
    };
    let read = |piece: &[T]| match f(piece) {
        Err(damage @ StorageError::Damaged { .. }) => {
            debug!("reading ahead met damage: {damage}");
            Ok(None)
        }
        result => result.map(Some),
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
        let all = first.into_iter().chain(others);
        all.filter_map(Result::transpose).collect()
    })
}

/// Reads parts of runs, sorted. Returns the number of parts, and the positions there that have the
/// wanted fingerprints.
fn read_parts(
    reader: &Reader,
    Destination { cache, excerpts }: Destination<'_>,
    runs: &[RunHeader],
    wanted: &[WantedPart],
) -> Result<(u64, Vec<Position>), StorageError> {
    let (mut reads, mut positions) = (0, Vec::new());
    for of_part in wanted.chunk_by(|one, next| (one.run, one.number) == (next.run, next.number)) {
        let WantedPart { run, number, .. } = of_part[0];
        let header = &runs[run.0 as usize];
        let wanted = of_part.iter().map(|wanted| wanted.fingerprint);
        let mut found: Vec<_> = wanted.map(|wanted| (wanted, Positions::new())).collect();
        reads += 1;
        if cache.has_room() || of_part.len() >= MANY_IN_PART {
            let (parts, part) = (RunParts::of(header), reader.run_part(header, number)?);
            for (wanted, found) in &mut found {
                parts.find(&part, *wanted, |position| found.push(position));
            }
            cache.keep_parts(run, [(number, part)]);
            add_followed(&mut positions, &found);
        } else {
            let range = (found[0].0, found[found.len() - 1].0);
            reader.walk_run(header, range, |fingerprint, position| {
                let found = found.iter_mut().find(|(wanted, _)| *wanted == fingerprint);
                if let Some((_, found)) = found {
                    found.push(position);
                }
            })?;
            add_followed(&mut positions, &found);
            excerpts.keep_found(run, found);
        }
    }
    Ok((reads, positions))
}

/// Adds the positions of each fingerprint that has few.
fn add_followed(positions: &mut Vec<Position>, found: &[(Fingerprint, Positions)]) {
    let few = found
        .iter()
        .filter(|(_, found)| found.len() <= MAX_CANDIDATES);
    positions.extend(few.flat_map(|(_, found)| found));
}

/// Reads the blocks of positions, sorted. Returns the number of blocks.
fn read_blocks(
    reader: &Reader,
    to: Destination<'_>,
    positions: &[Position],
) -> Result<u64, StorageError> {
    let mut reads = 0;
    for together in positions.chunks(KEPT_TOGETHER) {
        reader.let_reopen();
        // The database is not reopened while this lives.
        let mut stored = reader.in_order();
        reads += if to.cache.has_room() {
            read_whole_blocks(&mut stored, to.cache, together)?
        } else {
            read_excerpts(&mut stored, to, together)?
        };
    }
    Ok(reads)
}

/// Reads the blocks of positions, and those between them if they are near: there is room for them.
/// Returns the number of blocks.
fn read_whole_blocks(
    stored: &mut BlocksInOrder<'_>,
    cache: &Cache,
    positions: &[Position],
) -> Result<u64, StorageError> {
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
    let reads = (read.len() + passed.len()) as u64;
    cache.keep_blocks(marked(read)?);
    cache.fill_with_blocks(marked(passed)?);
    Ok(reads)
}

/// Reads the entries at positions. Returns the number of their blocks.
fn read_excerpts(
    stored: &mut BlocksInOrder<'_>,
    Destination { cache, excerpts }: Destination<'_>,
    positions: &[Position],
) -> Result<u64, StorageError> {
    let (mut reads, mut whole, mut all_found) = (0, Vec::new(), Vec::new());
    let wanted = positions.iter().copied();
    let mut wanted = wanted
        .filter(|&position| cache.block(position).is_none())
        .peekable();
    while let Some(position) = wanted.next() {
        let block = stored.block_at(position)?;
        reads += 1;
        let mut found = vec![block.excerpt(position)?];
        while let Some(next) = wanted.next_if(|&next| next <= block.last()) {
            found.push(block.excerpt(next)?);
        }
        if Excerpts::bytes_of_blocks(&found) >= block.memory_bytes() as u64 {
            whole.push(block);
        } else {
            all_found.extend(found);
        }
    }
    cache.keep_blocks(marked(whole)?);
    excerpts.keep_blocks(all_found);
    Ok(reads)
}

fn marked(blocks: impl IntoIterator<Item = Block>) -> Result<Vec<Block>, StorageError> {
    blocks.into_iter().map(Block::marked).collect()
}
