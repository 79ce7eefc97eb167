//! Making the table again at a start, while the first events are served.
//!
//! A thread reads one stored run after the other. An event that comes before all are there has the
//! shard of its fingerprint completed first, from the runs that are still missing.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use crate::error::StorageError;
use crate::fingerprint::Fingerprint;
use crate::seen::run_table::{RunTable, SHARDS};
use crate::store::{Reader, RunHeader, RunNumber};

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
    /// Which shards have all runs.
    is_complete: Vec<bool>,
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
            is_complete: vec![false; SHARDS],
            runs: Some(runs),
            thread: Some(thread),
        })
    }

    /// The runs that have been read.
    pub(super) fn runs(&self) -> &Receiver<LoadedRun> {
        self.runs.as_ref().expect("only dropping this takes them")
    }

    /// Takes in the next run if it has been read; true when that was the last one.
    pub(super) fn take_in(&mut self, table: &mut RunTable) -> Result<bool, StorageError> {
        match self.runs().try_recv() {
            Ok(LoadedRun { run, fingerprints }) => {
                for fingerprint in fingerprints? {
                    if !self.is_complete[RunTable::shard_of(fingerprint)] {
                        table.insert(fingerprint, run);
                    }
                }
                self.taken += 1;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => self.tell_of_a_panic(),
        }
        Ok(self.taken == self.total)
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
        for header in &stored[self.taken..self.total] {
            let bounds = RunTable::fingerprints_of(shard);
            reader.walk_run(header, bounds, |fingerprint, _| {
                table.insert(fingerprint, header.run);
            })?;
        }
        self.is_complete[shard] = true;
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
