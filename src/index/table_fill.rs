//! Making the table again at a start, while the first events are served.
//!
//! It is made slice by slice, as the CPU's cache has room for one: every stored run is walked in
//! turn, as far as it belongs there. A thread makes one slice after the other; a slice that an
//! event needs before is made at once. So nobody waits for the thread, at the worst the slice that
//! it had in hand is made twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use crate::error::StorageError;
use crate::index::run_table::{RunTable, SHARDS, Slice, shard_of};
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::threads;
use crate::store::{Reader, RunHeader, RunNumber};

/// About so many positions of each run are in a slice: half of what a page of sled holds, as such a
/// page is read for it. With fewer of them more would be read in vain at both ends; with more, the
/// first events would wait longer, and a slice would not fit into the cache.
const SLICE_POSITIONS_A_RUN: u64 = 1 << 11;

/// What the thread hands over.
pub(crate) type TablePart = Result<FilledSlice, StorageError>;

/// What slices are made of.
#[derive(Debug, Clone)]
struct Maker {
    reader: Reader,
    stored: Arc<[RunHeader]>,
    /// How many positions the table is going to have.
    positions: u64,
    /// Which slices are in the table.
    is_there: Arc<[AtomicBool]>,
}

impl Maker {
    fn slice_of(&self, fingerprint: Fingerprint) -> usize {
        shard_of(fingerprint) / self.shards_a_slice()
    }

    fn shards_a_slice(&self) -> usize {
        SHARDS / self.is_there.len()
    }

    fn is_there(&self, number: usize) -> bool {
        self.is_there[number].load(Ordering::Relaxed)
    }

    /// Makes a slice of what the stored runs have of it.
    fn make(&self, number: usize) -> TablePart {
        let shards = self.shards_a_slice();
        let shards = number * shards..(number + 1) * shards;
        let mut slice = Slice::with_room_for(self.positions, shards);
        let mut positions = vec![0; self.stored.len()];
        let bounds = slice.fingerprints();
        for (header, positions) in self.stored.iter().zip(&mut positions) {
            self.reader.walk_run(header, bounds, |fingerprint, _| {
                *positions += 1;
                slice.insert(fingerprint, header.run);
            })?;
        }
        Ok(FilledSlice {
            number,
            slice,
            positions,
        })
    }
}

/// A slice of the table with all that is stored of it.
#[derive(Debug)]
pub(crate) struct FilledSlice {
    number: usize,
    slice: Slice,
    /// How many positions it has of each stored run.
    positions: Vec<u64>,
}

/// A table on its way into memory.
#[derive(Debug)]
pub(super) struct TableFill {
    maker: Maker,
    /// Positions that are not stored in the index, by run, and their fingerprints sorted.
    pushed: Vec<(RunNumber, Vec<Fingerprint>)>,
    /// How many slices are not in the table yet.
    left: usize,
    /// How many positions of each stored run are in the table.
    loaded: Vec<u64>,
    /// There until this is dropped.
    slices: Option<Receiver<TablePart>>,
    thread: Option<JoinHandle<()>>,
}

impl TableFill {
    /// Starts to make the table of a journal of so many positions.
    ///
    /// # Errors
    ///
    /// [`StorageError::Thread`] if the thread cannot be started.
    pub(super) fn start(
        reader: &Reader,
        stored: &[RunHeader],
        positions: u64,
    ) -> Result<Self, StorageError> {
        // What is not stored yet is like another run.
        let positions_a_run = positions / (stored.len() as u64 + 1);
        let slices = (positions_a_run / SLICE_POSITIONS_A_RUN).next_power_of_two();
        let slices = slices.min(SHARDS as u64) as usize;
        let maker = Maker {
            reader: reader.clone(),
            stored: stored.into(),
            positions,
            is_there: (0..slices).map(|_| AtomicBool::new(false)).collect(),
        };
        let (loaded, receiver) = bounded(1);
        let in_thread = maker.clone();
        let thread = threads::start("index", move || {
            for number in 0..slices {
                if !in_thread.is_there(number) && loaded.send(in_thread.make(number)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self {
            loaded: vec![0; stored.len()],
            maker,
            pushed: Vec::new(),
            left: slices,
            slices: Some(receiver),
            thread: Some(thread),
        })
    }

    /// Has the positions of a run taken in that are not stored in the index. No slice may be in the
    /// table yet.
    pub(super) fn add(&mut self, run: RunNumber, mut fingerprints: Vec<Fingerprint>) {
        fingerprints.sort_unstable();
        self.pushed.push((run, fingerprints));
    }

    /// The slices that have been made.
    pub(super) fn slices(&self) -> &Receiver<TablePart> {
        self.slices.as_ref().expect("only dropping this takes them")
    }

    /// Whether all is in the table.
    pub(super) fn is_complete(&self) -> bool {
        self.left == 0
    }

    /// Takes a slice in, if one has been made.
    pub(super) fn take_in(&mut self, table: &mut RunTable) -> Result<(), StorageError> {
        match self.slices().try_recv() {
            Ok(loaded) => self.put(loaded?, table),
            Err(TryRecvError::Empty) => Ok(()),
            Err(TryRecvError::Disconnected) => {
                self.tell_of_a_panic();
                Ok(())
            }
        }
    }

    /// Has the slice of a fingerprint in the table.
    pub(super) fn complete(
        &mut self,
        wanted: Fingerprint,
        table: &mut RunTable,
    ) -> Result<(), StorageError> {
        let number = self.maker.slice_of(wanted);
        if !self.maker.is_there(number) {
            // The thread is not to wait meanwhile.
            self.take_in(table)?;
        }
        if self.maker.is_there(number) {
            return Ok(());
        }
        self.put(self.maker.make(number)?, table)
    }

    fn put(&mut self, loaded: FilledSlice, table: &mut RunTable) -> Result<(), StorageError> {
        let FilledSlice {
            number,
            mut slice,
            positions,
        } = loaded;
        if self.maker.is_there[number].swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let (first, last) = slice.fingerprints();
        for (run, fingerprints) in &self.pushed {
            let from = fingerprints.partition_point(|&fingerprint| fingerprint < first);
            let to = fingerprints.partition_point(|&fingerprint| fingerprint <= last);
            for &fingerprint in &fingerprints[from..to] {
                slice.insert(fingerprint, *run);
            }
        }
        table.put(slice);
        self.left -= 1;
        for (loaded, positions) in self.loaded.iter_mut().zip(positions) {
            *loaded += positions;
        }
        if self.is_complete() {
            self.check()?;
        }
        Ok(())
    }

    /// Checks that the runs have held all their positions.
    fn check(&self) -> Result<(), StorageError> {
        for (header, &found) in self.maker.stored.iter().zip(&self.loaded) {
            let expected = header.last.0 - header.first.0 + 1;
            if found != expected {
                let what = format!("run {} of the index", header.run.0);
                let positions = |number: u64| format!("{number} positions");
                return Err(StorageError::damaged(
                    what,
                    positions(expected),
                    positions(found),
                ));
            }
        }
        Ok(())
    }

    /// The thread ends before every slice is there only if it panics.
    fn tell_of_a_panic(&mut self) {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for TableFill {
    /// The thread has a reader, which may keep the database open.
    fn drop(&mut self) {
        self.slices = None;
        if let Some(thread) = self.thread.take() {
            // What it was making matters to nobody any more.
            thread.join().unwrap_or_default();
        }
    }
}
