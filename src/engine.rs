//! The whole processor as a library: open a directory, hand it batches of requests, get answers
//! that are durable.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Loss, OpenError, StorageError};
use crate::options::Options;
use crate::processor::Processor;
use crate::request::{Answer, Request};
use crate::statistics::Statistics;
use crate::store::{self, BuildSite, Durable, Store};

/// An open state directory. Only one process can have it open, and only once.
#[derive(Debug)]
pub struct Engine {
    processor: Processor,
    store: Store,
}

impl Engine {
    /// Opens a state directory, and creates it if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError`], by what stands in the way; nothing was changed that matters.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self, OpenError> {
        let store = store::open(path.as_ref(), options)?;
        let processor = Processor::open(&store, options)?;
        Ok(Self { processor, store })
    }

    /// Opens a new database in a place where it can be built.
    ///
    /// # Errors
    ///
    /// [`OpenError`], by what stands in the way.
    pub(crate) fn build(site: &BuildSite, options: &Options) -> Result<Self, OpenError> {
        let store = site.open(options)?;
        let processor = Processor::open(&store, options)?;
        Ok(Self { processor, store })
    }

    /// Carries out requests in order and returns their answers, once everything that they say
    /// is on stable storage: neither a kill nor a power cut takes it back.
    ///
    /// `now` becomes the time of the checkpoints, commits, restores and rollbacks among the
    /// requests, and has no other effect.
    ///
    /// # Errors
    ///
    /// Any [`StorageError`] is final: whether requests without an answer took effect is decided
    /// by the next open, and every further call returns [`StorageError::Stopped`]. That open is one
    /// of another process: sled is left as it is, and with it its lock, as closing it could make
    /// half a group durable.
    pub fn submit(
        &mut self,
        requests: &[Request<'_>],
        now: SystemTime,
    ) -> Result<Vec<Answer>, StorageError> {
        let result = self.apply_and_commit(requests, now);
        if result.is_err() {
            self.store.stop();
        }
        result
    }

    fn apply_and_commit(
        &mut self,
        requests: &[Request<'_>],
        now: SystemTime,
    ) -> Result<Vec<Answer>, StorageError> {
        self.store.check_running()?;
        self.store.begin()?;
        self.processor.begin_batch(unix_ms(now))?;
        let preparer = self.processor.preparer();
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            if Processor::needs_durable(request) || self.processor.group_is_full() {
                self.store.commit(&self.processor.take_group()?)?;
            }
            let preparation = preparer.prepare(request);
            answers.push(self.processor.apply(request, &preparation)?);
        }
        self.store.commit(&self.processor.take_group()?)?;
        if self.store.should_reopen() {
            self.store.reopen()?;
        }
        Ok(answers)
    }

    /// The source position of the state: where a source that is read again has to start so that
    /// no event is missed. `None` if [`Request::Advance`] never set one.
    #[must_use]
    pub fn source(&self) -> Option<&[u8]> {
        self.processor.source()
    }

    /// What the database had lost when it was opened, if [`Options::accept_loss`] let it be. Once
    /// [`Engine::submit`] or [`Engine::close`] has been called, the next open knows of it no more.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        self.store.loss()
    }

    /// Figures of this process.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.processor.statistics()
    }

    /// Ends cleanly, so that the next open is quick. Not needed for safety: dropping the engine,
    /// or the process, loses nothing that was answered.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; what was answered stays durable all the same.
    pub fn close(mut self) -> Result<(), StorageError> {
        self.store.check_running()?;
        self.store.begin()?;
        while let Some(group) = self.processor.take_last_group()? {
            self.store.commit(&group)?;
        }
        drop(self.processor);
        self.store.close()
    }

    /// The last durable position, as it advances.
    pub(crate) fn durable(&self) -> Durable {
        self.store.durable()
    }

    /// The two halves, for those who run them on threads of their own.
    pub(crate) fn into_parts(self) -> (Processor, Store) {
        (self.processor, self.store)
    }
}

/// Milliseconds since 1970; 0 for a clock that is set before it.
pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A timeline in as many pieces as it has positions makes each checkpoint of it large.
    #[test]
    fn checkpoints_of_a_fragmented_timeline_fill_a_group_by_their_bytes() {
        let directory = tempfile::tempdir().expect("there is room");
        let mut engine = Engine::open(directory.path(), &Options::default()).expect("it is new");
        let ids: Vec<String> = (0..2_000).map(|n| format!("e{n}")).collect();
        let mut requests = vec![Request::Checkpoint {
            checkpoint_id: "empty",
        }];
        let process = |id| Request::Process {
            event_id: id,
            word: "w",
        };
        requests.extend(ids.iter().step_by(2).map(|id| process(id)));
        requests.extend([
            Request::Commit,
            Request::Restore {
                checkpoint_id: "empty",
            },
        ]);
        requests.extend(ids.iter().map(|id| process(id)));
        // What was released before stays, what is new goes: every other position is left.
        requests.push(Request::Rollback);
        engine
            .submit(&requests, UNIX_EPOCH)
            .expect("the storage works");
        let mut processor = engine.processor;
        let mut checkpoints = 0;
        while !processor.group_is_full() {
            let name = checkpoints.to_string();
            let request = Request::Checkpoint {
                checkpoint_id: &name,
            };
            let preparation = processor.preparer().prepare(&request);
            let saved = processor.apply(&request, &preparation);
            assert!(saved.expect("the storage works").is_ok());
            checkpoints += 1;
        }
        assert!(
            (200..300).contains(&checkpoints),
            "{checkpoints} of 4 KiB each"
        );
    }
}
