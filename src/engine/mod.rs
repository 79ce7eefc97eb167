//! The driver as a library: open a directory, submit requests, get durable replies.
//!
//! An [`Engine`] belongs to one thread at a time; a [`Handle`] is shared by many.

mod handle;
mod pending;

use std::path::Path;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::driver::{self, Applied, Applier, ReadAhead, TicketReplies, is_worth_it, unix_ms};
use crate::error::{Loss, OpenError, StorageError};
use crate::inspect::View;
use crate::processor::Processor;
use crate::processor::statistics::Statistics;
use crate::request::{Refusal, Reply, Request};
use crate::state::look_ahead::LOOK_AHEAD;
use crate::store::Options;
use crate::store::{self, BuildSite, Receipt, Store, Unpersisted};
pub use handle::Handle;
pub use pending::Pending;

/// An open state directory. It can be open only once, in one process.
#[derive(Debug)]
pub struct Engine {
    /// Locked also by methods that only read: finding an id may first read a part of the index.
    applier: Mutex<Applier<()>>,
    store: Store,
    /// Receipt of the last group.
    receipt: Receipt,
    /// True if the requests of the next call are read ahead.
    reads_ahead: bool,
}

impl Engine {
    /// Opens a state directory, and creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// [`OpenError`], with a variant for each cause; the state is unchanged.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self, OpenError> {
        let mut engine = Self::of(store::open(path.as_ref(), options)?, options)?;
        if options.autocommit && engine.applier.get_mut().switch_autocommit_on() {
            engine.persist()?;
        }
        Ok(engine)
    }

    /// Opens a new database at a site where it is built.
    ///
    /// # Errors
    ///
    /// [`OpenError`], with a variant for each cause.
    pub(crate) fn build(site: &BuildSite, options: &Options) -> Result<Self, OpenError> {
        Self::of(site.open(options)?, options)
    }

    /// Persists changes that have no reply.
    fn persist(&mut self) -> Result<(), StorageError> {
        let mut group = self.applier.get_mut().end_group()?;
        self.receipt = self.store.persist(&mut group)?.receipt;
        Ok(())
    }

    fn of(store: Store, options: &Options) -> Result<Self, OpenError> {
        Ok(Self {
            applier: Mutex::new(Applier::new(Processor::open(&store, options)?)),
            receipt: store.receipt(),
            reads_ahead: false,
            store,
        })
    }

    /// Carries out requests in order, and returns their replies once all that they say is on stable
    /// storage: neither a kill nor a power cut takes it back.
    ///
    /// If the process is killed before that, any number of the first requests may have been carried
    /// out, and none after these.
    ///
    /// `now` becomes the time of the checkpoints, commits, restores and rollbacks among the
    /// requests, and has no other effect.
    ///
    /// # Errors
    ///
    /// Any [`StorageError`] is final: every later call returns [`StorageError::Stopped`], and the
    /// next open decides if unanswered requests took effect. That must be in another process: sled
    /// and its lock stay open here, as closing sled could make half a group durable.
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
            reads_ahead,
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
        let prepared = requests.iter().map(|request| preparer.prepare(request));
        let mut preparations: Vec<_> = prepared.collect();
        let before = applier.reads();
        let ahead = match *reads_ahead {
            true => applier.read_ahead(&preparations)?,
            false => ReadAhead::default(),
        };
        let cache = applier.cache().clone();
        let _used = cache.using(ahead.excerpts.as_ref());
        let mut batch = applier.begin(unix_ms(now), requests.len(), 0)?;
        for (at, request) in requests.iter().enumerate() {
            if at.is_multiple_of(LOOK_AHEAD) {
                let end = requests.len().min(at + LOOK_AHEAD);
                batch.look_ahead(&mut preparations[at..end]);
            }
            loop {
                let applied = batch.apply(request, &preparations[at], *receipt)?;
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
        let reads = applier.reads() - before;
        *reads_ahead = is_worth_it(reads.max(ahead.reads), requests.len());
        if store.should_reopen() {
            store.reopen()?;
        }
        Ok(replies)
    }

    /// Number of events of the state that carry a word.
    ///
    /// # Errors
    ///
    /// [`StorageError::Stopped`] after a failed call, as memory is then ahead of the disk.
    pub fn count(&self, word: &str) -> Result<u64, StorageError> {
        self.store.check_running()?;
        Ok(self.applier.lock().count(word))
    }

    /// True if the state has an event with this id.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the store cannot be read, after which no request is carried out;
    /// [`StorageError::Stopped`] after a failed call.
    pub fn contains(&self, event_id: &str) -> Result<bool, StorageError> {
        self.store.check_running()?;
        self.applier.lock().contains(event_id)
    }

    /// The source position of the state: the source must be read again from there so that no event
    /// is missed. `None` if [`Request::Advance`] never set one.
    ///
    /// # Errors
    ///
    /// [`StorageError::Stopped`] after a failed call, as memory is then ahead of the disk.
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
    /// [`StorageError::Thread`] if the thread that persists cannot be started.
    pub fn share(self) -> Result<Handle, StorageError> {
        let (applier, store) = self.into_halves();
        Handle::of(applier, store)
    }

    /// What the database had lost when it was opened, if [`Options::accept_loss`] allowed that.
    /// After a call of [`Engine::submit`] or [`Engine::close`], the next open no longer reports it.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        self.store.loss()
    }

    /// Figures of this process.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.applier.lock().statistics()
    }

    /// Ends cleanly, so that the next open is quick. Not needed for safety: dropping the engine or
    /// killing the process loses nothing that was answered.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; what was answered stays durable.
    pub fn close(mut self) -> Result<(), StorageError> {
        driver::persist_rest(self.applier.get_mut(), &mut self.store)?;
        self.store.close()
    }

    /// The two halves, to be joined in another way.
    pub(crate) fn into_halves(self) -> (Applier<()>, Store) {
        (self.applier.into_inner(), self.store)
    }
}
