//! The last stage: makes a group durable, then writes the replies that it held.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::error::StorageError;
use crate::node::client::{Client, Question};
use crate::node::stages::StageClock;
use crate::node::{NodeError, Stop};
use crate::store::{Group, Store};

/// When no group has come for so long, whatever may be slow is done.
const QUIET: Duration = Duration::from_millis(50);

/// A group and the replies that nobody may see before it is durable.
#[derive(Default)]
pub(super) struct HeldGroup {
    pub(super) group: Group,
    pub(super) replies: Vec<u8>,
    pub(super) client_replies: Vec<ClientReplies>,
    /// Is told when the group is durable.
    pub(super) durable: Option<Sender<()>>,
}

/// Replies to a client of the control socket, and a question that is answered behind them.
pub(super) struct ClientReplies {
    pub(super) client: Arc<Client>,
    pub(super) replies: Vec<u8>,
    pub(super) question: Option<Box<Question>>,
}

/// The one who commits and, for that reason, the only one who writes replies.
pub(super) struct Committer<'a, W> {
    store: Store,
    output: W,
    /// Takes the buffers of replies that were written, to be used again.
    spare: Sender<Vec<u8>>,
    stop: &'a Stop,
    clock: &'a StageClock,
    /// Why replies cannot be written any more.
    output_error: Option<io::Error>,
}

impl<'a, W: Write> Committer<'a, W> {
    pub(super) fn new(
        store: Store,
        output: W,
        spare: Sender<Vec<u8>>,
        stop: &'a Stop,
        clock: &'a StageClock,
    ) -> Self {
        Self {
            store,
            output,
            spare,
            stop,
            clock,
            output_error: None,
        }
    }

    /// Commits groups until no more come, also those whose replies nobody reads any more.
    pub(super) fn run(mut self, groups: Receiver<HeldGroup>) -> Result<(), NodeError> {
        loop {
            let result = match self.next(&groups) {
                Ok(held) => self.commit(held),
                Err(RecvTimeoutError::Timeout) => self.reopen(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Err(error) = result {
                self.stop.request();
                return Err(error.into());
            }
        }
        // The applier is gone, and its readers with it.
        self.store.close()?;
        self.output_error
            .map_or(Ok(()), |error| Err(NodeError::Output(error)))
    }

    /// The next group. A timeout says that sled is to be opened again: because it is quiet, or
    /// because that has waited for long enough.
    fn next(&self, groups: &Receiver<HeldGroup>) -> Result<HeldGroup, RecvTimeoutError> {
        if self.store.must_reopen() {
            return Err(RecvTimeoutError::Timeout);
        }
        if self.store.should_reopen() {
            return groups.recv_timeout(QUIET);
        }
        groups.recv().map_err(|_| RecvTimeoutError::Disconnected)
    }

    fn commit(&mut self, held: HeldGroup) -> Result<(), StorageError> {
        self.store.commit(&held.group)?;
        self.clock.stored(self.store.times());
        for ClientReplies {
            client,
            replies,
            question,
        } in held.client_replies
        {
            client.reply(replies);
            if let Some(question) = question {
                client.answer(question, self.store.view()?);
            }
        }
        let started = Instant::now();
        self.write(&held.replies);
        self.clock.replied(started);
        // One that finds no place is one too many.
        self.spare.try_send(held.replies).unwrap_or_default();
        if let Some(durable) = held.durable {
            // The applier may have given up waiting; it has its own reason then.
            durable.send(()).unwrap_or_default();
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), StorageError> {
        self.store.reopen()?;
        self.clock.stored(self.store.times());
        Ok(())
    }

    fn write(&mut self, replies: &[u8]) {
        if replies.is_empty() || self.output_error.is_some() {
            return;
        }
        if let Err(error) = self
            .output
            .write_all(replies)
            .and_then(|()| self.output.flush())
        {
            self.output_error = Some(error);
            self.stop.request();
        }
    }
}
