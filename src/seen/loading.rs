//! Making the table again at a start, while the first events are served.
//!
//! A thread reads one stored run after the other. An event that comes before all are there has the
//! shard of its fingerprint completed first, from the runs that are still missing: quick for a few
//! events, and for many it is quicker to wait for the thread.

use std::cmp::Ordering;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, RecvError, TryRecvError, bounded};

use crate::error::StorageError;
use crate::fingerprint::Fingerprint;
use crate::seen::LOOK_AHEAD;
use crate::seen::run_table::{RunTable, SHARDS};
use crate::store::{Reader, RunHeader, RunNumber};

/// So many fingerprints are taken in at a time, in a few tenths of a millisecond: a request may
/// have to wait for that.
const AT_A_TIME: usize = 1 << 12;

/// When so many shards have been completed one by one, completing all has taken about as long as
/// waiting for them would have.
const MAX_COMPLETED: usize = SHARDS / 8;

/// A stored run as it was read: the fingerprints of its positions, sorted.
#[derive(Debug)]
pub(crate) struct LoadedRun {
    run: RunNumber,
    fingerprints: Result<Vec<Fingerprint>, StorageError>,
}

/// Stored runs on their way into the table.
#[derive(Debug)]
pub(super) struct Loading {
    /// How many runs are in every shard.
    taken: usize,
    total: usize,
    /// The run that is being taken in, and how much of it has been.
    current: Option<(RunNumber, Vec<Fingerprint>, usize)>,
    /// Which shards have all runs.
    is_complete: Vec<bool>,
    completed: usize,
    /// There until this is dropped.
    runs: Option<Receiver<LoadedRun>>,
    thread: Option<JoinHandle<()>>,
}

impl Loading {
    /// Starts to read the stored runs; `None` if there are none.
    pub(super) fn start(reader: &Reader, stored: &[RunHeader]) -> Option<Self> {
        if stored.is_empty() {
            return None;
        }
        let (reader, headers) = (reader.clone(), stored.to_vec());
        let (loaded, runs) = bounded(1);
        let thread = std::thread::spawn(move || {
            for header in &headers {
                let fingerprints = read(&reader, header);
                let run = header.run;
                if loaded.send(LoadedRun { run, fingerprints }).is_err() {
                    break;
                }
            }
        });
        Some(Self {
            taken: 0,
            total: stored.len(),
            current: None,
            completed: 0,
            is_complete: vec![false; SHARDS],
            runs: Some(runs),
            thread: Some(thread),
        })
    }

    /// The runs that have been read.
    pub(super) fn runs(&self) -> &Receiver<LoadedRun> {
        self.runs.as_ref().expect("only dropping this takes them")
    }

    /// Takes in a part of what has been read; true when all is in the table.
    pub(super) fn take_in(&mut self, table: &mut RunTable) -> Result<bool, StorageError> {
        if self.current.is_none() {
            match self.runs().try_recv() {
                Ok(loaded) => self.begin(loaded)?,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.tell_of_a_panic(),
            }
        }
        self.take_in_part(table);
        Ok(self.taken == self.total)
    }

    /// Takes in everything, and waits for it.
    fn take_in_all(&mut self, table: &mut RunTable) -> Result<(), StorageError> {
        while self.taken < self.total {
            if self.current.is_none() {
                match self.runs().recv() {
                    Ok(loaded) => self.begin(loaded)?,
                    Err(RecvError) => self.tell_of_a_panic(),
                }
            }
            self.take_in_part(table);
        }
        Ok(())
    }

    fn begin(&mut self, loaded: LoadedRun) -> Result<(), StorageError> {
        self.current = Some((loaded.run, loaded.fingerprints?, 0));
        Ok(())
    }

    fn take_in_part(&mut self, table: &mut RunTable) {
        let Some((run, fingerprints, done)) = &mut self.current else {
            return;
        };
        let until = fingerprints.len().min(*done + AT_A_TIME);
        for together in fingerprints[*done..until].chunks(LOOK_AHEAD) {
            let touched = together.iter().map(|&fingerprint| table.touch(fingerprint));
            std::hint::black_box(touched.fold(0, |all, line| all ^ line));
            for &fingerprint in together {
                if !self.is_complete[RunTable::shard_of(fingerprint)] {
                    table.insert(fingerprint, *run);
                }
            }
        }
        *done = until;
        if until == fingerprints.len() {
            self.taken += 1;
            self.current = None;
        }
    }

    /// The first run that a shard has nothing of. It has all or nothing of the run that is being
    /// taken in, in the order of the shards.
    fn first_missing_of(&mut self, shard: usize, table: &mut RunTable) -> usize {
        while let Some((_, fingerprints, done)) = &self.current {
            match RunTable::shard_of(fingerprints[*done]).cmp(&shard) {
                Ordering::Less => break,
                Ordering::Equal => self.take_in_part(table),
                Ordering::Greater => return self.taken + 1,
            }
        }
        self.taken
    }

    /// The thread ends before it has sent every run only if it panics.
    fn tell_of_a_panic(&mut self) {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }

    /// Makes the shard of a fingerprint complete.
    pub(super) fn complete(
        &mut self,
        reader: &Reader,
        stored: &[RunHeader],
        wanted: Fingerprint,
        table: &mut RunTable,
    ) -> Result<(), StorageError> {
        let shard = RunTable::shard_of(wanted);
        if self.is_complete[shard] {
            return Ok(());
        }
        if self.completed == MAX_COMPLETED {
            return self.take_in_all(table);
        }
        for header in &stored[self.first_missing_of(shard, table)..self.total] {
            let bounds = RunTable::fingerprints_of(shard);
            reader.walk_run(header, bounds, |fingerprint, _| {
                table.insert(fingerprint, header.run);
            })?;
        }
        self.is_complete[shard] = true;
        self.completed += 1;
        Ok(())
    }
}

impl Drop for Loading {
    /// The thread has a reader, and so keeps the database open.
    fn drop(&mut self) {
        self.runs = None;
        if let Some(thread) = self.thread.take() {
            // What it was reading matters to nobody any more.
            thread.join().unwrap_or_default();
        }
    }
}

fn read(reader: &Reader, header: &RunHeader) -> Result<Vec<Fingerprint>, StorageError> {
    let positions = header.last.0 - header.first.0 + 1;
    let mut fingerprints = Vec::with_capacity(positions as usize);
    reader.load_run(header, |fingerprint, _| fingerprints.push(fingerprint))?;
    Ok(fingerprints)
}
