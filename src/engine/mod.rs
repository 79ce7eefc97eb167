//! The driver as a library: open a directory, hand it requests, get replies that are durable.
//!
//! An [`Engine`] belongs to one thread at a time; a [`Handle`] is shared by many.

mod handle;
mod pending;

use std::path::Path;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::driver::{self, Applied, Applier, TicketReplies, unix_ms};
use crate::error::{Loss, OpenError, StorageError};
use crate::inspect::View;
use crate::processor::Processor;
use crate::processor::statistics::Statistics;
use crate::request::{Refusal, Reply, Request};
use crate::store::Options;
use crate::store::{self, BuildSite, Receipt, Store, Unpersisted};
pub use handle::Handle;
pub use pending::Pending;

/// An open state directory. Only one process can have it open, and only once.
#[derive(Debug)]
pub struct Engine {
    /// Locked by those who only look: to find an id may read a part of the index first.
    applier: Mutex<Applier<()>>,
    store: Store,
    /// Of the last group.
    receipt: Receipt,
}

impl Engine {
    /// Opens a state directory, and creates it if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError`], by what stands in the way; nothing was changed that matters.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self, OpenError> {
        let mut engine = Self::of(store::open(path.as_ref(), options)?, options)?;
        if options.autocommit && engine.applier.get_mut().switch_autocommit_on() {
            engine.persist()?;
        }
        Ok(engine)
    }

    /// Opens a new database in a place where it can be built.
    ///
    /// # Errors
    ///
    /// [`OpenError`], by what stands in the way.
    pub(crate) fn build(site: &BuildSite, options: &Options) -> Result<Self, OpenError> {
        Self::of(site.open(options)?, options)
    }

    /// Persists what has changed, to which nothing was answered.
    fn persist(&mut self) -> Result<(), StorageError> {
        let mut group = self.applier.get_mut().end_group()?;
        self.receipt = self.store.persist(&mut group)?.receipt;
        Ok(())
    }

    fn of(store: Store, options: &Options) -> Result<Self, OpenError> {
        Ok(Self {
            applier: Mutex::new(Applier::new(Processor::open(&store, options)?)),
            receipt: store.receipt(),
            store,
        })
    }

    /// Carries out requests in order and returns their replies, once everything that they say
    /// is on stable storage: neither a kill nor a power cut takes it back.
    ///
    /// If the process is killed before that, any number of the first requests may have been carried
    /// out, and none after these.
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
    ) -> Result<Vec<Result<Reply, Refusal>>, StorageError> {
        let result = self.apply(requests, now);
        if result.is_err() {
            self.store.stop();
        }
        result
    }

    fn apply(
        &mut self,
        requests: &[Request<'_>],
        now: SystemTime,
    ) -> Result<Vec<Result<Reply, Refusal>>, StorageError> {
        let Self {
            applier,
            store,
            receipt,
        } = self;
        store.check_running()?;
        let mut replies = Vec::with_capacity(requests.len());
        let mut persist = |mut group: Unpersisted<Vec<TicketReplies<()>>>| {
            let persisted = store.persist(&mut group)?;
            let parts = persisted.replies.into_iter();
            replies.extend(parts.flat_map(|part| part.replies.into_iter()));
            Ok::<_, StorageError>(persisted.receipt)
        };
        let applier = applier.get_mut();
        let preparer = applier.preparer();
        let mut batch = applier.begin(unix_ms(now), requests.len(), 0)?;
        for (at, request) in requests.iter().enumerate() {
            let preparation = preparer.prepare(request);
            loop {
                let applied = batch.apply(request, &preparation, *receipt)?;
                if applied == Applied::GoOn {
                    break;
                }
                batch.end_part((), requests.len() - at);
                *receipt = persist(batch.end_group()?)?;
                if applied == Applied::GroupIsFull {
                    break;
                }
            }
        }
        batch.end_part((), 0);
        *receipt = persist(batch.end_group()?)?;
        if store.should_reopen() {
            store.reopen()?;
        }
        Ok(replies)
    }

    /// How many events of the state carry a word; 0 if none does.
    ///
    /// # Errors
    ///
    /// [`StorageError::Stopped`] after a call that has failed: memory is ahead of the disk then.
    pub fn count(&self, word: &str) -> Result<u64, StorageError> {
        self.store.check_running()?;
        Ok(self.applier.lock().count(word))
    }

    /// True if the state has an event with this id.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the store cannot be read, after which the engine does nothing more;
    /// [`StorageError::Stopped`] after a call that has failed.
    pub fn contains(&self, event_id: &str) -> Result<bool, StorageError> {
        self.store.check_running()?;
        self.applier.lock().contains(event_id)
    }

    /// The source position of the state: where a source that is read again has to start so that
    /// no event is missed. `None` if [`Request::Advance`] never set one.
    ///
    /// # Errors
    ///
    /// [`StorageError::Stopped`] after a call that has failed: memory is ahead of the disk then.
    pub fn source(&self) -> Result<Option<Vec<u8>>, StorageError> {
        self.store.check_running()?;
        Ok(self.applier.lock().source().map(<[u8]>::to_vec))
    }

    /// A view of what is durable now, to be read while requests go on.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something cannot be read.
    pub fn view(&self) -> Result<View, StorageError> {
        View::of_state(self.store.view()?)
    }

    /// Shares the engine with other threads: each takes a clone of the handle.
    ///
    /// # Errors
    ///
    /// [`StorageError::Thread`] if there is no room for the thread that persists.
    pub fn share(self) -> Result<Handle, StorageError> {
        let (applier, store) = self.into_halves();
        Handle::of(applier, store)
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
        self.applier.lock().statistics()
    }

    /// Ends cleanly, so that the next open is quick. Not needed for safety: dropping the engine,
    /// or the process, loses nothing that was answered.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; what was answered stays durable all the same.
    pub fn close(mut self) -> Result<(), StorageError> {
        driver::persist_rest(self.applier.get_mut(), &mut self.store)?;
        self.store.close()
    }

    /// The two halves, to be joined in another way.
    pub(crate) fn into_halves(self) -> (Applier<()>, Store) {
        (self.applier.into_inner(), self.store)
    }
}
