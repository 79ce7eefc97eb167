//! The index of event ids: which positions carry an id.
//!
//! It knows every position that was ever accepted, whether the present state has it or not: a
//! restore changes which positions count, and nothing here. It answers with candidates: a
//! fingerprint may be shared by two ids, so the caller compares the id in the journal before it
//! believes a hit.
//!
//! The positions are cut into runs. The newest are found exactly in memory ([`exact_index`]). All
//! are stored, sorted by fingerprint, each run once and for ever ([`run_writer`]). A table
//! in memory says which runs to look into ([`run_table`]), and so that an id is certainly new. At
//! a start it is made again, in the background ([`loading`]): an id whose part of the table is not
//! there yet has that part completed first.

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

use crate::error::StorageError;
use crate::state::look_ahead::touch;
use crate::state::position::Position;
use crate::store::bytes::fingerprint::{Fingerprint, Fingerprints};
use crate::store::{Reader, RunHeader, RunNumber, RunWrites, SpaceFloor};
use exact_index::MAX_SORTED;
pub(crate) use exact_index::{ExactIndex, Positions};
use run_table::RunTable;
use run_writer::RunWriter;
use table_fill::TableFill;
pub(crate) use table_fill::TablePart;

/// A run has at least this part of all positions before it, as far as it can be sorted, so that the
/// number of runs stays in the hundreds.
const SMALLEST_PART: u64 = 128;

/// So many of the stored runs are still found in memory, the newest ones: what is sent again is
/// most often not that old, and then a look-up reads nothing of the store.
const STORED_IN_MEMORY: usize = 4;

/// A run that has all its positions, which are found in memory.
#[derive(Debug)]
struct RecentRun {
    number: RunNumber,
    positions: Arc<ExactIndex>,
}

/// The run that takes events.
#[derive(Debug)]
struct OpenRun {
    number: RunNumber,
    /// How many positions it takes.
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
    /// Until all positions are in the table that were there at the start.
    loading: Option<TableFill>,
    stored: Vec<RunHeader>,
    /// The newest of the runs that are full, oldest first: some of the stored ones, and all that
    /// are not stored yet.
    recent: VecDeque<RecentRun>,
    /// The run behind them, once it has a position.
    open: Option<OpenRun>,
    writer: RunWriter,
    reader: Reader,
}

impl Index {
    /// Opens the stored index of a journal that ends at `head`. What it does not cover, from the
    /// position that is returned on, must be added with [`Index::push`], and then
    /// [`Index::take_in_pushed`] be called.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a stored part of the index cannot be read, or no thread be started.
    pub(crate) fn open(
        reader: Reader,
        fingerprints: Fingerprints,
        run_events: u64,
        head: Position,
    ) -> Result<(Self, Position), StorageError> {
        let (stored, left) = reader.runs()?;
        let next = RunHeader::next_position(&stored);
        let has_events = head >= Position::FIRST;
        let loading = has_events.then(|| TableFill::start(&reader, &stored, head.0));
        let index = Self {
            fingerprints,
            run_events,
            table: RunTable::new(),
            loading: loading.transpose()?,
            stored,
            recent: VecDeque::new(),
            open: None,
            writer: RunWriter::new(left),
            reader,
        };
        Ok((index, next))
    }

    /// How event ids become fingerprints.
    pub(crate) fn fingerprints(&self) -> Fingerprints {
        self.fingerprints
    }

    /// The fingerprint of an event id.
    pub(crate) fn fingerprint(&self, event_id: &str) -> Fingerprint {
        self.fingerprints.of(event_id)
    }

    /// Has what the index knows of a few fingerprints brought into the CPU's cache.
    pub(crate) fn touch(&self, fingerprints: impl Iterator<Item = Fingerprint> + Clone) {
        self.table.touch(fingerprints.clone());
        if let Some(run) = &self.open {
            touch(fingerprints.map(|fingerprint| run.positions.head(fingerprint)));
        }
    }

    /// Records that the event at `position`, the one after the last, has this fingerprint. Unless
    /// the journal was empty at the start, [`Index::candidates`] or [`Index::positions_with`] must
    /// have been asked for it before.
    pub(crate) fn insert(&mut self, fingerprint: Fingerprint, position: Position) {
        let run = self.push(fingerprint, position);
        self.table.insert(fingerprint, run);
    }

    /// As [`Index::insert`], but leaves the table as it is. Returns the run of the position.
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
        let wanted = self.run_events.max(first.0 / SMALLEST_PART);
        let capacity = wanted.min(MAX_SORTED);
        OpenRun {
            number: RunNumber(last.unwrap_or(self.stored.len() as u32)),
            capacity,
            positions: ExactIndex::new(first, capacity),
        }
    }

    fn close_run(&mut self) {
        self.recent.extend(self.open.take().map(|run| RecentRun {
            number: run.number,
            positions: Arc::new(run.positions),
        }));
    }

    /// The runs whose positions are found in memory, oldest first.
    fn in_memory(&self) -> impl Iterator<Item = (RunNumber, &ExactIndex)> {
        let recent = self.recent.iter();
        let recent = recent.map(|run| (run.number, &*run.positions));
        recent.chain(self.open.iter().map(|run| (run.number, &run.positions)))
    }

    /// Has the positions that were pushed taken into the table with the stored ones.
    pub(crate) fn take_in_pushed(&mut self) {
        if let Some(mut loading) = self.loading.take() {
            for (run, positions) in self.in_memory() {
                loading.add(run, positions.fingerprints().collect());
            }
            self.loading = Some(loading);
        }
    }

    /// How many positions have a fingerprint. Once the table is complete, this reads nothing of the
    /// store.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when a stored part of the index cannot be read.
    pub(crate) fn positions_with(&mut self, wanted: Fingerprint) -> Result<u64, StorageError> {
        self.complete(wanted)?;
        Ok(self.table.matches(wanted).positions)
    }

    /// Every position whose event has this fingerprint, and so every position that may carry
    /// the id it was made from, in no particular order.
    ///
    /// # Errors
    ///
    /// [`StorageError`] when a stored part of the index cannot be read.
    pub(crate) fn candidates(&mut self, wanted: Fingerprint) -> Result<Positions, StorageError> {
        let mut found = Positions::new();
        self.complete(wanted)?;
        if self.table.is_surely_new(wanted) {
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
        let oldest = self.in_memory().next();
        let oldest = oldest.map_or(RunNumber(u32::MAX), |(run, _)| run);
        let not_in_memory = self.stored.iter().take_while(|stored| stored.run < oldest);
        for run in not_in_memory.filter(|stored| is_named(stored.run)) {
            self.reader
                .walk_run(run, (wanted, wanted), |_, position| found.push(position))?;
        }
        Ok(found)
    }

    /// Has the part of the table completed that knows of a fingerprint.
    #[inline]
    fn complete(&mut self, wanted: Fingerprint) -> Result<(), StorageError> {
        let Some(loading) = &mut self.loading else {
            return Ok(());
        };
        loading.complete(wanted, &mut self.table)?;
        self.end_loading();
        Ok(())
    }

    /// The parts of the table that have been made in the background, until all are there.
    pub(crate) fn loading(&self) -> Option<&Receiver<TablePart>> {
        self.loading.as_ref().map(TableFill::slices)
    }

    /// Takes a part of what was there at the start into the table, if any is at hand.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if it could not be read.
    pub(crate) fn load(&mut self) -> Result<(), StorageError> {
        if let Some(loading) = &mut self.loading {
            loading.take_in(&mut self.table)?;
            self.end_loading();
        }
        Ok(())
    }

    fn end_loading(&mut self) {
        if self.loading.as_ref().is_some_and(TableFill::is_complete) {
            self.loading = None;
        }
    }

    /// What group `group` carries of the index.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the free space cannot be found out.
    pub(crate) fn take_writes(
        &mut self,
        floor: &SpaceFloor,
        group: u64,
    ) -> Result<RunWrites, StorageError> {
        if let Some(header) = self.writer.take_durable(self.reader.durable_group()) {
            self.stored.push(header);
            let first_kept = self.stored.len().saturating_sub(STORED_IN_MEMORY) as u32;
            while self.recent[0].number.0 < first_kept {
                self.recent.pop_front();
            }
        }
        let next = RunNumber(self.stored.len() as u32);
        if let Some(run) = self.recent.iter().find(|run| run.number == next) {
            self.writer.begin(run.number, run.positions.clone());
        }
        self.writer.take_writes(floor, group)
    }

    /// Waits until a run in work can be written.
    pub(crate) fn wait(&mut self) {
        self.writer.wait();
    }

    /// Whether there is nothing left to write.
    pub(crate) fn is_idle(&self) -> bool {
        self.writer.is_idle()
    }

    /// Bytes of memory that the index takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let in_memory = self.in_memory();
        let in_memory = in_memory.map(|(_, positions)| positions.memory_bytes());
        self.table.memory_bytes() + in_memory.sum::<usize>()
    }
}
