//! Queries of clients, answered from what is durable.

use std::io;
use std::thread;

use crate::error::StorageError;
use crate::inspect::{InspectError, ProcessStats, Query, View};
use crate::node::yield_to_others;
use crate::protocol::QueryReplies;
use crate::store::DurableState;

/// A query, the writer of its replies, and the figures of the process when it came.
#[derive(Debug)]
pub(super) struct PendingQuery {
    pub(super) query: Query,
    pub(super) to: QueryReplies,
    pub(super) process: ProcessStats,
}

/// Why the reply ended early.
enum Ended {
    Unanswerable(InspectError),
    Gone(io::Error),
}

impl From<InspectError> for Ended {
    fn from(error: InspectError) -> Self {
        Self::Unanswerable(error)
    }
}

impl From<StorageError> for Ended {
    fn from(error: StorageError) -> Self {
        Self::Unanswerable(error.into())
    }
}

impl PendingQuery {
    /// Answers the query on a thread of low priority: a thread that gave its priority up cannot get
    /// it back. Calls `line` with the parts of each line.
    pub(super) fn answer(
        self,
        state: DurableState,
        line: impl FnMut(&[&[u8]]) -> io::Result<()> + Send,
    ) -> io::Result<()> {
        thread::scope(|scope| {
            let answering = || {
                yield_to_others();
                self.answer_here(state, line)
            };
            let answering = thread::Builder::new().spawn_scoped(scope, answering)?;
            let answered = answering.join();
            // A panic, already reported, ends only this client's connection.
            answered.unwrap_or_else(|_| Err(io::Error::other("the answer failed")))
        })
    }

    /// Answers the query, record by record.
    fn answer_here(
        self,
        state: DurableState,
        mut line: impl FnMut(&[&[u8]]) -> io::Result<()>,
    ) -> io::Result<()> {
        let Self { query, to, process } = self;
        let mut records = 0_u64;
        let view = View::of_state(state).map_err(Ended::from);
        let answered = view.and_then(|view| {
            view.with_process(process).answer(&query, |record| {
                records += 1;
                line(&to.record(record)).map_err(Ended::Gone)
            })
        });
        let mut last = Vec::new();
        match answered {
            Ok(()) => to.end(&mut last, records),
            // A client that asks again finds the directory at rest, or the next process.
            Err(Ended::Unanswerable(InspectError::Storage(StorageError::Stopped))) => {
                to.unavailable(&mut last, "the process is ending; ask again");
            }
            Err(Ended::Unanswerable(error)) => to.error(&mut last, &error),
            Err(Ended::Gone(error)) => return Err(error),
        }
        line(&[&last])
    }
}
