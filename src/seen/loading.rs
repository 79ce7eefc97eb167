//! Making the table again at a start, while the first events are served.
//!
//! A thread reads one stored run after the other; what the journal has beyond them is at hand. An
//! event that comes before all are in the table has the shard of its fingerprint completed first,
//! from the runs that are still missing: quick for a few events, and for many it is quicker to wait
//! for the thread.

use std::collections::VecDeque;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, RecvError, TryRecvError, bounded};

use crate::error::StorageError;
use crate::fingerprint::Fingerprint;
use crate::look_ahead::LOOK_AHEAD;
use crate::seen::run_table::{RunTable, SHARDS};
use crate::store::{Reader, RunHeader, RunNumber};

/// So many fingerprints are taken in at a time, in a few hundredths of a millisecond: a request may
/// have to wait for that.
const AT_A_TIME: usize = 1 << 9;

/// When so many shards have been completed one by one, completing all has taken about as long as
/// waiting for them would have.
const MAX_COMPLETED: usize = SHARDS / 8;

/// A stored run as it was read: the fingerprints of its positions, sorted.
#[derive(Debug)]
pub(crate) struct LoadedRun {
    run: RunNumber,
    fingerprints: Result<Vec<Fingerprint>, StorageError>,
}

/// A part of a run that is not in the table yet, sorted.
#[derive(Debug)]
struct Part {
    run: RunNumber,
    fingerprints: Vec<Fingerprint>,
    /// How many of them are.
    done: usize,
}

impl Part {
    fn left(&self) -> &[Fingerprint] {
        &self.fingerprints[self.done..]
    }

    /// Takes in what is left of one shard.
    fn complete(&self, shard: usize, table: &mut RunTable) {
        let (first, last) = RunTable::fingerprints_of(shard);
        let left = self.left();
        let from = left.partition_point(|&fingerprint| fingerprint < first);
        let to = left.partition_point(|&fingerprint| fingerprint <= last);
        for &fingerprint in &left[from..to] {
            table.insert(fingerprint, self.run);
        }
    }
}

/// Runs on their way into the table.
#[derive(Debug)]
pub(super) struct Loading {
    /// How many of the stored runs are in every shard, or at hand.
    begun: usize,
    stored: usize,
    /// What is at hand.
    parts: VecDeque<Part>,
    /// Which shards have all runs.
    is_complete: Vec<bool>,
    completed: usize,
    /// There until this is dropped.
    runs: Option<Receiver<LoadedRun>>,
    thread: Option<JoinHandle<()>>,
}

impl Loading {
    /// Starts to read the stored runs.
    pub(super) fn start(reader: &Reader, stored: &[RunHeader]) -> Self {
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
        Self {
            begun: 0,
            stored: stored.len(),
            parts: VecDeque::new(),
            completed: 0,
            is_complete: vec![false; SHARDS],
            runs: Some(runs),
            thread: Some(thread),
        }
    }

    /// Has the positions of a run taken in that are not stored in the index.
    pub(super) fn add(&mut self, run: RunNumber, mut fingerprints: Vec<Fingerprint>) {
        fingerprints.sort_unstable();
        self.parts.push_back(Part {
            run,
            fingerprints,
            done: 0,
        });
    }

    /// Whether there is something to take in.
    pub(super) fn has_any(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The runs that have been read.
    pub(super) fn runs(&self) -> &Receiver<LoadedRun> {
        self.runs.as_ref().expect("only dropping this takes them")
    }

    /// Takes in a part of what is at hand; true when all is in the table.
    pub(super) fn take_in(&mut self, table: &mut RunTable) -> Result<bool, StorageError> {
        if self.parts.is_empty() && self.begun < self.stored {
            match self.runs().try_recv() {
                Ok(loaded) => self.begin(loaded)?,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.tell_of_a_panic(),
            }
        }
        self.take_in_part(table);
        Ok(self.parts.is_empty() && self.begun == self.stored)
    }

    /// Takes in everything, and waits for it.
    fn take_in_all(&mut self, table: &mut RunTable) -> Result<(), StorageError> {
        loop {
            while self.has_any() {
                self.take_in_part(table);
            }
            if self.begun == self.stored {
                return Ok(());
            }
            match self.runs().recv() {
                Ok(loaded) => self.begin(loaded)?,
                Err(RecvError) => self.tell_of_a_panic(),
            }
        }
    }

    fn begin(&mut self, loaded: LoadedRun) -> Result<(), StorageError> {
        self.parts.push_back(Part {
            run: loaded.run,
            fingerprints: loaded.fingerprints?,
            done: 0,
        });
        self.begun += 1;
        Ok(())
    }

    fn take_in_part(&mut self, table: &mut RunTable) {
        let Some(part) = self.parts.front_mut() else {
            return;
        };
        let left = part.left();
        let taken = &left[..left.len().min(AT_A_TIME)];
        for together in taken.chunks(LOOK_AHEAD) {
            table.touch(together.iter().copied());
            for &fingerprint in together {
                if !self.is_complete[RunTable::shard_of(fingerprint)] {
                    table.insert(fingerprint, part.run);
                }
            }
        }
        part.done += taken.len();
        if part.left().is_empty() {
            self.parts.pop_front();
        }
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
        for part in &self.parts {
            part.complete(shard, table);
        }
        for header in &stored[self.begun..self.stored] {
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
