//! Builds the table again at a start, while the first events are already processed.
//!
//! The table is built in slices that fit into the CPU's cache: for each slice, every stored run is
//! walked over the slice's fingerprints. A thread builds one slice after another. A slice that an
//! event needs earlier is built at once, so no event waits for the thread. At worst a slice is
//! built twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use crate::error::StorageError;
use crate::index::run_table::{RunTable, SHARDS, Slice, shard_of};
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::cache::{Cache, RunParts};
use crate::store::threads;
use crate::store::{Reader, RunHeader, RunNumber};

/// About how many positions of each run a slice has: half a page of sled. Smaller slices would read
/// more in vain at their ends, as sled reads whole pages. With larger slices the first events would
/// wait longer, and a slice would not fit into the cache.
const SLICE_POSITIONS_A_RUN: u64 = 1 << 11;

/// A built slice of the table, or the error of building it.
pub(crate) type TablePart = Result<FilledSlice, StorageError>;

#[derive(Debug, Clone)]
struct Maker {
    reader: Reader,
    cache: Cache,
    stored: Arc<[RunHeader]>,
    /// The number of positions that the whole table will have.
    positions: u64,
    /// For each slice, true if it is in the table.
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

    /// Builds a slice from the stored runs.
    fn make(&self, number: usize) -> TablePart {
        let shards = self.shards_a_slice();
        let shards = number * shards..(number + 1) * shards;
        let mut slice = Slice::with_room_for(self.positions, shards);
        let mut positions = vec![0; self.stored.len()];
        let bounds = slice.fingerprints();
        for (header, positions) in self.stored.iter().zip(&mut positions) {
            let mut found = Vec::new();
            self.reader
                .walk_run(header, bounds, |fingerprint, position| {
                    found.push((fingerprint, position));
                    slice.insert(fingerprint, header.run);
                })?;
            *positions = found.len() as u64;
            let parts = RunParts::of(header).cut(bounds, found);
            self.cache.fill_with_parts(header.run, parts);
        }
        Ok(FilledSlice {
            number,
            slice,
            positions,
        })
    }
}

/// A slice of the table with all stored positions that belong to it.
#[derive(Debug)]
pub(crate) struct FilledSlice {
    number: usize,
    slice: Slice,
    /// For each stored run, the number of its positions in the slice.
    positions: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct TableFill {
    maker: Maker,
    /// The sorted fingerprints of positions that the stored index does not have, by run.
    pushed: Vec<(RunNumber, Vec<Fingerprint>)>,
    /// The number of slices that are not in the table yet.
    left: usize,
    /// For each stored run, the number of its positions in the table.
    loaded: Vec<u64>,
    slices: Receiver<TablePart>,
    thread: Option<JoinHandle<()>>,
}

impl TableFill {
    /// Starts to build the table for a journal with this many positions.
    ///
    /// # Errors
    ///
    /// [`StorageError::Thread`] if the thread cannot be started.
    pub(super) fn start(
        reader: &Reader,
        cache: &Cache,
        stored: &[RunHeader],
        positions: u64,
    ) -> Result<Self, StorageError> {
        // The positions that are not stored yet count as one more run.
        let positions_a_run = positions / (stored.len() as u64 + 1);
        let slices = (positions_a_run / SLICE_POSITIONS_A_RUN).next_power_of_two();
        let slices = slices.min(SHARDS as u64) as usize;
        let maker = Maker {
            reader: reader.clone(),
            cache: cache.clone(),
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
            slices: receiver,
            thread: Some(thread),
        })
    }

    /// Adds positions of a run that the stored index does not have. The table must not have any
    /// slice yet.
    pub(super) fn add(&mut self, run: RunNumber, mut fingerprints: Vec<Fingerprint>) {
        fingerprints.sort_unstable();
        self.pushed.push((run, fingerprints));
    }

    /// Returns the channel of the slices that have been built.
    pub(super) fn slices(&self) -> &Receiver<TablePart> {
        &self.slices
    }

    /// True if all slices are in the table.
    pub(super) fn is_complete(&self) -> bool {
        self.left == 0
    }

    /// Takes one slice into the table, if one has been built.
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

    /// Puts the slice of a fingerprint into the table, if it is not there.
    pub(super) fn complete(
        &mut self,
        wanted: Fingerprint,
        table: &mut RunTable,
    ) -> Result<(), StorageError> {
        let number = self.maker.slice_of(wanted);
        if !self.maker.is_there(number) {
            // This takes a finished slice, so that the thread goes on with the next one meanwhile.
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

    /// Checks that the stored runs had all their positions.
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

    /// Passes on a panic of the thread, which otherwise ends only after the last slice.
    fn tell_of_a_panic(&mut self) {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for TableFill {
    /// Waits for the thread, whose reader could keep the database open.
    fn drop(&mut self) {
        for is_there in &*self.maker.is_there {
            is_there.store(true, Ordering::Relaxed);
        }
        // The thread may be waiting for room in the channel, of which others have receivers too.
        self.slices.iter().for_each(drop);
        if let Some(thread) = self.thread.take() {
            // The slice that it was building is not needed any more.
            thread.join().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::{Engine, Options};

    /// The pipeline has a receiver too, and waits for the thread that drops the filling.
    #[test]
    fn a_filling_that_events_complete_ends_while_another_has_a_receiver() {
        let directory = tempfile::tempdir().expect("there is room");
        let engine = Engine::open(directory.path(), &Options::default()).expect("it is new");
        let (_applier, store) = engine.into_halves();
        let reader = store.reader();
        let (ended, end) = mpsc::channel();
        let run = move || {
            let mut table = RunTable::new();
            let mut filling =
                TableFill::start(&reader, &Cache::alone(0), &[], 1 << 21).expect("it starts");
            let receiver = filling.slices().clone();
            // The thread has put one slice into the channel, and waits with the next.
            while !filling.slices().is_full() {
                std::thread::yield_now();
            }
            for number in 0..filling.left {
                let made = filling.maker.make(number).expect("nothing is stored");
                filling.put(made, &mut table).expect("nothing is stored");
            }
            assert!(filling.is_complete());
            drop(filling);
            drop(receiver);
            ended.send(()).expect("the test waits");
        };
        let thread = threads::start("test", run).expect("it starts");
        end.recv_timeout(Duration::from_secs(60)).expect("it ends");
        thread.join().expect("it does not panic");
    }
}
