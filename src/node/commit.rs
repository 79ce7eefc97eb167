//! The last stage: makes a group durable, then spells and writes the replies to it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::error::StorageError;
use crate::node::answered::Answered;
use crate::node::stages::StageClock;
use crate::node::{NodeError, Stop};
use crate::protocol::ReplyWriter;
use crate::store::{Group, Store};

/// When no group has come for so long, whatever may be slow is done.
const QUIET: Duration = Duration::from_millis(50);

/// Replies are written as soon as they have so many bytes: while they are in the CPU's cache.
const WRITE_BYTES: usize = 128 << 10;

/// A group, and what is answered once it is durable.
#[derive(Default)]
pub(super) struct HeldGroup {
    pub(super) group: Group,
    pub(super) answered: Vec<Answered>,
    /// Is told when the group is durable.
    pub(super) durable: Option<Sender<()>>,
}

/// The one who commits and, for that reason, the only one who spells replies, and who writes those
/// to the input.
pub(super) struct Committer<'a, W> {
    store: Store,
    output: W,
    writer: ReplyWriter,
    /// Replies to the input that are not written yet.
    replies: Vec<u8>,
    stop: &'a Stop,
    clock: &'a StageClock,
    /// Why replies cannot be written any more.
    output_error: Option<io::Error>,
}

impl<'a, W: Write> Committer<'a, W> {
    pub(super) fn new(store: Store, output: W, stop: &'a Stop, clock: &'a StageClock) -> Self {
        Self {
            store,
            output,
            writer: ReplyWriter::default(),
            replies: Vec::new(),
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
            result?;
        }
        // The applier reads nothing more; whoever else does is told that the store has stopped.
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
        let started = Instant::now();
        for answered in held.answered {
            self.answer(answered)?;
        }
        let mut replies = std::mem::take(&mut self.replies);
        self.write(&mut replies);
        self.replies = replies;
        self.clock.replied(started);
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

    fn answer(&mut self, answered: Answered) -> Result<(), StorageError> {
        let Some(client) = answered.client().cloned() else {
            let mut writer = std::mem::take(&mut self.writer);
            let mut replies = std::mem::take(&mut self.replies);
            answered.write(&mut writer, &mut replies, |replies| {
                if replies.len() >= WRITE_BYTES {
                    self.write(replies);
                }
            });
            (self.writer, self.replies) = (writer, replies);
            return Ok(());
        };
        let mut replies = Vec::new();
        let question = answered.write(&mut client.writer(), &mut replies, |replies| {
            if replies.len() >= WRITE_BYTES {
                client.reply(std::mem::take(replies));
            }
        });
        client.reply(replies);
        if let Some(question) = question {
            client.answer(question, self.store.view()?);
        }
        Ok(())
    }

    /// Writes replies to the input, and leaves none.
    fn write(&mut self, replies: &mut Vec<u8>) {
        if !replies.is_empty() && self.output_error.is_none() {
            let written = self.output.write_all(replies);
            if let Err(error) = written.and_then(|()| self.output.flush()) {
                self.output_error = Some(error);
                self.stop.request();
            }
        }
        replies.clear();
    }
}
