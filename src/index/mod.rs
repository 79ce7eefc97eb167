//! The index of event ids: it finds the positions that carry an id.
//!
//! It has the position of every event that was ever accepted, whether or not it is in the timeline,
//! so a restore changes nothing here. It returns candidates: two ids may share a fingerprint, so
//! the caller compares the id in the journal.
//!
//! The positions are cut into runs. The positions of the newest runs are found in memory
//! ([`exact_index`]). A full run is stored, sorted by fingerprint, and never changes
//! ([`run_writer`]); parts of it are in the cache. A table in memory says which runs to read, and
//! proves most new ids new ([`run_table`]). A start builds the table again in the background
//! ([`table_fill`]). If an event needs a part of the table that is not built yet, that part is
//! built first.

mod cache_line;
mod cache_lines;
mod exact_index;
mod run_table;
mod run_writer;
mod shard;
mod table_fill;

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use smallvec::SmallVec;

use crate::error::StorageError;
use crate::state::look_ahead::{LOOK_AHEAD, touch};
use crate::state::position::{Position, Positions};
use crate::store::bytes::fingerprint::{Fingerprint, Fingerprints};
use crate::store::cache::{Cache, RunParts};
use crate::store::{MAX_CANDIDATES, ReadPlan, Reader, RunHeader, RunNumber, RunWrites, SpaceFloor};
pub(crate) use exact_index::ExactIndex;
use exact_index::MAX_SORTED;
use run_table::RunTable;
use run_writer::RunWriter;
use table_fill::TableFill;
pub(crate) use table_fill::TablePart;

/// A run takes at least one part in this many of the positions before it, and at most
/// [`MAX_SORTED`]. This keeps the number of runs in the hundreds.
const MAX_RUN_DIVISOR: u64 = 128;

/// The newest stored runs stay in memory as long as they take at most one part in this many of the
/// engine's share of the memory budget: by default five runs. Most events that are sent again soon
/// are in these.
const RECENT_SHARE: u64 = 6;

/// With this many lookups in stored runs for events that were looked ahead at together, the next
/// ones probably need more of them.
const MANY_LOOKUPS: u64 = LOOK_AHEAD as u64 / 8;

/// A full run that is in memory.
#[derive(Debug)]
struct RecentRun {
    number: RunNumber,
    positions: Arc<ExactIndex>,
}

/// The run that takes the next events.
#[derive(Debug)]
struct OpenRun {
    number: RunNumber,
    /// The number of positions it takes.
    capacity: u64,
    positions: ExactIndex,
}

impl OpenRun {
    fn is_full(&self) -> bool {
        self.positions.fingerprints().len() as u64 >= self.capacity
    }
}

/// The index of every accepted event id.
#[derive(Debug)]
pub(crate) struct Index {
    fingerprints: Fingerprints,
    run_events: u64,
    table: RunTable,
    /// Fills the table with the positions that were there at the start; `None` once all are in it.
    filling: Option<TableFill>,
    stored: Vec<RunHeader>,
    /// Full runs, oldest first: the newest of the stored runs, and all that are not stored yet.
    recent: VecDeque<RecentRun>,
    /// The run after them, once it has a position.
    open: Option<OpenRun>,
    writer: RunWriter,
    cache: Cache,
    reader: Reader,
    /// Number of lookups in runs that are only stored.
    lookups: u64,
    /// This number when events were last looked ahead at.
    lookups_before: u64,
}

impl Index {
    /// Opens the stored index of a journal that ends at `head`. Returns the first position that it
    /// does not have. The caller must add the positions from there on with [`Index::push`] and then
    /// call [`Index::take_in_pushed`].
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the stored index cannot be read, or if no thread can be started.
    pub(crate) fn open(
        reader: Reader,
        cache: Cache,
        fingerprints: Fingerprints,
        run_events: u64,
        head: Position,
    ) -> Result<(Self, Position), StorageError> {
        let (stored, left) = reader.runs()?;
        let next = RunHeader::next_position(&stored);
        let has_events = head >= Position::FIRST;
        let filling = has_events.then(|| TableFill::start(&reader, &cache, &stored, head.0));
        let index = Self {
            fingerprints,
            run_events,
            table: RunTable::new(),
            filling: filling.transpose()?,
            stored,
            recent: VecDeque::new(),
            open: None,
            writer: RunWriter::new(left, cache.clone()),
            cache,
            reader,
            lookups: 0,
            lookups_before: 0,
        };
        Ok((index, next))
    }

    pub(crate) fn fingerprints(&self) -> Fingerprints {
        self.fingerprints
    }

    pub(crate) fn fingerprint(&self, event_id: &str) -> Fingerprint {
        self.fingerprints.of(event_id)
    }

    /// Reads into the CPU's cache what the index has about a few fingerprints.
    pub(crate) fn touch(&self, fingerprints: impl Iterator<Item = Fingerprint> + Clone) {
        self.table.touch(fingerprints.clone());
        if let Some(run) = &self.open {
            touch(fingerprints.map(|fingerprint| run.positions.head(fingerprint)));
        }
    }

    /// If many of the last events were in runs that are only stored, reads into the CPU's cache the
    /// entries that these fingerprints lead to, as far as they are in the cache of stored blocks.
    pub(crate) fn touch_found(&mut self, fingerprints: impl Iterator<Item = Fingerprint>) {
        let before = std::mem::replace(&mut self.lookups_before, self.lookups);
        if self.lookups - before < MANY_LOOKUPS {
            return;
        }
        let only_stored = self.only_stored();
        let mut wanted: SmallVec<[(RunParts, Fingerprint); LOOK_AHEAD]> = SmallVec::new();
        for fingerprint in fingerprints.take(LOOK_AHEAD) {
            if self.table.is_surely_absent(fingerprint) {
                continue;
            }
            let mut matches = self.table.matches(fingerprint);
            if matches.positions > MAX_CANDIDATES as u64 {
                continue;
            }
            matches.runs.dedup();
            for run in matches.runs {
                let run = only_stored.get(run.0 as usize);
                wanted.extend(run.map(|run| (RunParts::of(run), fingerprint)));
            }
        }
        if !wanted.is_empty() {
            self.cache.touch(&wanted);
        }
    }

    /// Adds a position, the one after the last, with the fingerprint of its event. The slice of the
    /// fingerprint must be in the table: the caller first calls [`Index::candidates`] or
    /// [`Index::positions_with`].
    pub(crate) fn insert(&mut self, fingerprint: Fingerprint, position: Position) {
        let run = self.push(fingerprint, position);
        self.table.insert(fingerprint, run);
    }

    /// Like [`Index::insert`], but does not change the table. Returns the run of the position.
    pub(crate) fn push(&mut self, fingerprint: Fingerprint, position: Position) -> RunNumber {
        if self.open.is_none() {
            self.open = Some(self.new_run(position));
        }
        let run = self.open.as_mut().expect("there is one now");
        run.positions.push(fingerprint);
        let number = run.number;
        if run.is_full() {
            self.close_run();
        }
        number
    }

    fn new_run(&self, first: Position) -> OpenRun {
        let last = self.recent.back().map(|run| run.number.0 + 1);
        let wanted = self.run_events.max(first.0 / MAX_RUN_DIVISOR);
        let capacity = wanted.min(MAX_SORTED);
        OpenRun {
            number: RunNumber(last.unwrap_or(self.stored.len() as u32)),
            capacity,
            positions: ExactIndex::new(first, capacity),
        }
    }

    /// Forgets stored runs that take too much memory, the oldest first. Tells the cache how much
    /// the others take.
    fn forget_stored(&mut self) {
        let bytes = |run: &RecentRun| run.positions.memory_bytes() as u64;
        let stored = self.stored.len() as u32;
        let is_stored = |run: &&RecentRun| run.number.0 < stored;
        let mut stored_bytes: u64 = self.recent.iter().filter(is_stored).map(bytes).sum();
        let most = self.cache.share_of_engine(RECENT_SHARE);
        while stored_bytes > most
            && let Some(oldest) = self.recent.pop_front()
        {
            stored_bytes -= bytes(&oldest);
        }
        self.cache.set_held(stored_bytes);
    }

    fn close_run(&mut self) {
        self.recent.extend(self.open.take().map(|run| RecentRun {
            number: run.number,
            positions: Arc::new(run.positions),
        }));
    }

    /// Returns the runs that are in memory, oldest first.
    fn in_memory(&self) -> impl Iterator<Item = (RunNumber, &ExactIndex)> {
        let recent = self.recent.iter();
        let recent = recent.map(|run| (run.number, &*run.positions));
        recent.chain(self.open.iter().map(|run| (run.number, &run.positions)))
    }

    /// Returns the stored runs that are not in memory.
    fn only_stored(&self) -> &[RunHeader] {
        let oldest = self.in_memory().next();
        let oldest = oldest.map_or(self.stored.len(), |(run, _)| run.0 as usize);
        &self.stored[..oldest.min(self.stored.len())]
    }

    /// Hands over the positions pushed since `open`, to be put into the table.
    pub(crate) fn take_in_pushed(&mut self) {
        if let Some(mut filling) = self.filling.take() {
            for (run, positions) in self.in_memory() {
                filling.add(run, positions.fingerprints().collect());
            }
            self.filling = Some(filling);
        }
    }

    /// Returns the number of positions with a fingerprint. Reads nothing from the store once the
    /// table is complete.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a stored part of the index cannot be read.
    pub(crate) fn positions_with(&mut self, wanted: Fingerprint) -> Result<u64, StorageError> {
        self.complete(wanted)?;
        Ok(self.table.matches(wanted).positions)
    }

    /// Returns every position whose event has this fingerprint, in no particular order. Every
    /// position of an id with this fingerprint is among them.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a stored part of the index cannot be read.
    pub(crate) fn candidates(&mut self, wanted: Fingerprint) -> Result<Positions, StorageError> {
        self.complete(wanted)?;
        let mut lookups = 0;
        let found = self.search(wanted, &mut lookups, |run, found| {
            let parts = RunParts::of(run);
            let number = parts.number(wanted);
            let part = self.reader.run_part(run, number)?;
            parts.find(&part, wanted, |position| found.push(position));
            self.cache.keep_parts(run.run, [(number, part)]);
            self.cache.note_read();
            Ok(())
        });
        self.lookups += lookups;
        found
    }

    /// Adds to a plan what [`Index::candidates`] would read from the store. Returns the candidates
    /// that can be found without.
    ///
    /// # Errors
    ///
    /// Those of [`Index::candidates`].
    pub(crate) fn plan(
        &mut self,
        wanted: Fingerprint,
        plan: &mut ReadPlan,
    ) -> Result<Positions, StorageError> {
        self.complete(wanted)?;
        plan.set_runs(&self.stored);
        self.search(wanted, &mut 0, |run, _| {
            plan.add_part(run.run, RunParts::of(run).number(wanted), wanted);
            Ok(())
        })
    }

    /// Finds candidates in memory, and counts the lookups in runs that are only stored. Calls
    /// `on_missing` with each stored run that may have more of them, and with those found yet.
    fn search(
        &self,
        wanted: Fingerprint,
        lookups: &mut u64,
        mut on_missing: impl FnMut(&RunHeader, &mut Positions) -> Result<(), StorageError>,
    ) -> Result<Positions, StorageError> {
        let mut found = Positions::new();
        if self.table.is_surely_absent(wanted) {
            return Ok(found);
        }
        let matches = self.table.matches(wanted);
        if matches.positions == 0 {
            return Ok(found);
        }
        let is_named = |run| matches.are_partly_unknown || matches.runs.contains(&run);
        for (_, positions) in self.in_memory().filter(|&(run, _)| is_named(run)) {
            positions.find(wanted, &mut found);
        }
        for run in self.only_stored().iter().filter(|run| is_named(run.run)) {
            *lookups += 1;
            if !self
                .cache
                .find_in_run(RunParts::of(run), wanted, &mut found)
            {
                on_missing(run, &mut found)?;
            }
        }
        Ok(found)
    }

    /// Completes the part of the table that has this fingerprint.
    #[inline]
    fn complete(&mut self, wanted: Fingerprint) -> Result<(), StorageError> {
        let Some(filling) = &mut self.filling else {
            return Ok(());
        };
        filling.complete(wanted, &mut self.table)?;
        self.end_filling();
        Ok(())
    }

    /// Returns the channel of parts of the table built in the background, until all are in the
    /// table.
    pub(crate) fn index_parts(&self) -> Option<&Receiver<TablePart>> {
        self.filling.as_ref().map(TableFill::slices)
    }

    /// Takes one part that was built in the background into the table, if any is ready.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the part could not be read.
    pub(crate) fn take_index_part(&mut self) -> Result<(), StorageError> {
        if let Some(filling) = &mut self.filling {
            filling.take_in(&mut self.table)?;
            self.end_filling();
        }
        Ok(())
    }

    fn end_filling(&mut self) {
        if self.filling.as_ref().is_some_and(TableFill::is_complete) {
            self.filling = None;
        }
    }

    /// Returns the part of the stored index that group `group` writes.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the free space of the disk cannot be read.
    pub(crate) fn take_writes(
        &mut self,
        floor: &SpaceFloor,
        group: u64,
    ) -> Result<RunWrites, StorageError> {
        if let Some(header) = self.writer.take_durable(self.reader.durable_group()) {
            self.stored.push(header);
        }
        let next = RunNumber(self.stored.len() as u32);
        if let Some(run) = self.recent.iter().find(|run| run.number == next) {
            self.writer.begin(run.number, run.positions.clone());
        }
        self.forget_stored();
        self.writer.take_writes(floor, group)
    }

    /// Waits until a run that is being packed can be written.
    pub(crate) fn wait(&mut self) -> Result<(), StorageError> {
        self.writer.wait()
    }

    /// True if nothing is left to write that the disk has room for.
    pub(crate) fn is_idle(&self) -> bool {
        self.writer.is_idle()
    }

    /// Bytes of memory of the table, which grows with the state.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.table.memory_bytes()
    }
}
