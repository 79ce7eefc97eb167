//! An open engine that many threads share.

use std::sync::Arc;

use crate::driver::{Applied, Applier, Pipeline, Replies, Turn};
use crate::engine::pending::{Delivered, Pending, Promise};
use crate::error::StorageError;
use crate::inspect::View;
use crate::processor::Preparation;
use crate::processor::statistics::Statistics;
use crate::request::{Processed, Refusal, Reply, Request};
use crate::store::Store;

/// An open engine that many threads share: each takes a clone.
///
/// A call applies its requests in memory, on the calling thread, and returns a [`Pending`], which
/// opens once everything in its result is on stable storage. The calls of one thread are carried
/// out in their order. Calls that come together share a group, and so one wait for the disk: the
/// more threads call at once, the more requests each wait makes durable. A call waits for its turn,
/// and for the disk only while several groups wait to be persisted.
///
/// The directory is closed when the last handle is dropped, which waits for that, or by
/// [`Handle::close`], which also returns any error. After a [`StorageError`] every call fails with
/// the first one.
#[derive(Debug, Clone)]
pub struct Handle {
    pipeline: Pipeline,
}

impl Handle {
    /// Joins the halves of an engine.
    pub(crate) fn of(applier: Applier<()>, store: Store) -> Result<Self, StorageError> {
        let pipeline = Pipeline::start(applier.with_tickets(), store)?;
        Ok(Self { pipeline })
    }

    /// Counts an event, unless its id is in the state already: [`Request::Process`].
    pub fn process(&self, event_id: &str, word: &str) -> Pending<Result<Processed, Refusal>> {
        let request = Request::Process { event_id, word };
        let preparation = self.pipeline.preparer().prepare(&request);
        self.call(1, false, open_processed, |turn, promise| {
            apply(turn, promise, &[request], &[preparation])
        })
    }

    /// Carries out requests in order, with no request of another caller between them. All replies
    /// open together; times are those of the system's clock. If the process is killed before that,
    /// any number of the first requests may have been carried out, and none after these.
    pub fn submit(&self, requests: &[Request<'_>]) -> Pending<Vec<Result<Reply, Refusal>>> {
        let preparer = self.pipeline.preparer();
        let preparations: Vec<_> = requests.iter().map(|r| preparer.prepare(r)).collect();
        let read = self.pipeline.read_ahead_if_worth_it(&preparations);
        self.call(requests.len(), false, open_all, |turn, promise| {
            let _used = self.pipeline.using(read.excerpts.as_ref());
            apply(turn, promise, requests, &preparations)
        })
    }

    /// Number of events of the state that carry a word, after every earlier call.
    pub fn count(&self, word: &str) -> Pending<u64> {
        self.call(1, false, open_count, |turn, _| {
            turn.count(word);
            Ok(())
        })
    }

    /// True if the state has an event with this id, after every earlier call.
    pub fn contains(&self, event_id: &str) -> Pending<bool> {
        let open = |delivered| Ok(open_count(delivered)? > 0);
        self.call(1, false, open, |turn, _| turn.contains(event_id))
    }

    /// A view of what is durable, after every earlier call. Opening it reads the position sets of
    /// the state.
    pub fn view(&self) -> Pending<View> {
        self.call(0, true, open_view, |_, _| Ok(()))
    }

    /// The source position of the state, after every earlier call: see [`crate::Engine::source`].
    pub fn source(&self) -> Pending<Option<Vec<u8>>> {
        self.call(0, true, open_source, |_, _| Ok(()))
    }

    /// Figures of this process, as of the last call.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.pipeline.figures().statistics()
    }

    /// Waits until every earlier call is carried out, and closes the directory. Every later call on
    /// a clone of this handle fails with [`StorageError::Closed`].
    ///
    /// # Errors
    ///
    /// The first [`StorageError`] that this handle or one of its clones has met.
    pub fn close(self) -> Result<(), Arc<StorageError>> {
        self.pipeline.close()
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    pub(crate) fn into_pipeline(self) -> Pipeline {
        self.pipeline
    }

    fn call<T>(
        &self,
        requests: usize,
        wants_view: bool,
        open: fn(Delivered) -> Result<T, StorageError>,
        apply: impl FnOnce(&mut Turn<'_>, &Promise) -> Result<(), StorageError>,
    ) -> Pending<T> {
        let (promise, mut pending) = Promise::new(self.pipeline.health(), open);
        let announced = self.pipeline.announce();
        let applied = self.pipeline.turn(announced, requests, 0, |turn| {
            apply(turn, &promise)?;
            turn.end_part(promise.last(wants_view), 0);
            match wants_view {
                // A view must show nothing that comes later.
                true => turn.end_group(),
                false => Ok(()),
            }
        });
        if let Err(cause) = applied {
            pending.fail(cause);
        }
        pending
    }
}

/// Applies the requests of one call in its turn, each with its preparation.
fn apply(
    turn: &mut Turn<'_>,
    promise: &Promise,
    requests: &[Request<'_>],
    preparations: &[Preparation],
) -> Result<(), StorageError> {
    for (at, (request, preparation)) in requests.iter().zip(preparations).enumerate() {
        let mut applied = turn.apply(request, preparation)?;
        while applied == Applied::NeedsReceipt {
            turn.end_part(promise.part(), requests.len() - at);
            turn.persist()?;
            applied = turn.apply(request, preparation)?;
        }
        if applied == Applied::GroupIsFull {
            turn.end_part(promise.part(), requests.len() - at);
            turn.end_group()?;
        }
    }
    Ok(())
}

fn open_all(delivered: Delivered) -> Result<Vec<Result<Reply, Refusal>>, StorageError> {
    let parts = delivered.replies.into_iter();
    Ok(parts.flat_map(Replies::into_iter).collect())
}

fn open_one(delivered: Delivered) -> Result<Result<Reply, Refusal>, StorageError> {
    let mut replies = open_all(delivered)?.into_iter();
    Ok(replies.next().expect("each request is answered"))
}

fn open_processed(delivered: Delivered) -> Result<Result<Processed, Refusal>, StorageError> {
    match open_one(delivered)? {
        Ok(Reply::Processed { count, outcome }) => Ok(Ok(Processed { count, outcome })),
        Ok(other) => unreachable!("an event is processed, and not {other:?}"),
        Err(refusal) => Ok(Err(refusal)),
    }
}

fn open_source(delivered: Delivered) -> Result<Option<Vec<u8>>, StorageError> {
    let state = delivered.view.expect("a view was asked for");
    Ok(state.source())
}

fn open_count(delivered: Delivered) -> Result<u64, StorageError> {
    match open_one(delivered)? {
        Ok(Reply::Processed { count, .. }) => Ok(count),
        other => unreachable!("a count is answered, not {other:?}"),
    }
}

fn open_view(delivered: Delivered) -> Result<View, StorageError> {
    let state = delivered.view.expect("a view was asked for");
    View::of_state(state)
}
