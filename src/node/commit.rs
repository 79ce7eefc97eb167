//! The last stage: makes a group durable, then writes the replies that it held.

use std::io::{self, Write};

use crossbeam_channel::{Receiver, Sender};

use crate::node::{NodeError, Stop};
use crate::store::{Group, Store};

/// A group and the replies that nobody may see before it is durable.
pub(super) struct HeldGroup {
    pub(super) group: Group,
    pub(super) replies: Vec<u8>,
    /// Is told when the group is durable.
    pub(super) durable: Option<Sender<()>>,
}

/// The one who commits and, for that reason, the only one who writes replies.
pub(super) struct Committer<'a, W> {
    store: Store,
    output: W,
    stop: &'a Stop,
    /// Why replies cannot be written any more.
    output_error: Option<io::Error>,
}

impl<'a, W: Write> Committer<'a, W> {
    pub(super) fn new(store: Store, output: W, stop: &'a Stop) -> Self {
        Self {
            store,
            output,
            stop,
            output_error: None,
        }
    }

    /// Commits groups until no more come, also those whose replies nobody reads any more.
    pub(super) fn run(mut self, groups: Receiver<HeldGroup>) -> Result<(), NodeError> {
        for held in groups {
            if let Err(error) = self.store.commit(&held.group) {
                self.stop.request();
                return Err(error.into());
            }
            self.write(&held.replies);
            if let Some(durable) = held.durable {
                // The applier may have given up waiting; it has its own reason then.
                durable.send(()).unwrap_or_default();
            }
        }
        // The applier is gone, and its readers with it.
        self.store.close()?;
        self.output_error
            .map_or(Ok(()), |error| Err(NodeError::Output(error)))
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
