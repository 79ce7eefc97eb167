//! The second stage of the input: decoded batches of lines are applied.

use std::sync::Arc;
use std::thread;

use crossbeam_channel::Receiver;

use crate::error::StorageError;
use crate::node::ahead::Ahead;
use crate::node::decoded::Decoded;
use crate::node::service::Service;
use crate::node::stop::StopAtEnd;

/// Applies batches until no more come.
pub(super) fn apply(
    batches: &Receiver<Decoded>,
    service: &Service<'_>,
) -> Result<(), Arc<StorageError>> {
    let _stop = StopAtEnd(service.stop);
    thread::scope(|scope| {
        let mut announced = None;
        let mut ahead = Ahead::new(scope, batches, service);
        while let Some((decoded, excerpts)) = ahead.next()? {
            let turn = announced.unwrap_or_else(|| service.pipeline.announce());
            let is_next_ready = || ahead.is_next_ready();
            let applied = decoded.apply(turn, service, excerpts.as_ref(), is_next_ready);
            let (next, is_worth_it) = applied?;
            ahead.applied(is_worth_it);
            // While the store is read or the next window is planned, no group may wait for a turn.
            announced = next.filter(|_| ahead.is_next_ready());
        }
        Ok(())
    })
}
