//! The second stage of the input: decoded batches of lines are applied.

use std::sync::Arc;

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
    let mut announced = None;
    let mut ahead = Ahead::new(batches, service.pipeline.read_ahead_limits());
    while let Some(decoded) = ahead.next(service)? {
        let turn = announced.unwrap_or_else(|| service.pipeline.announce());
        let (next, is_worth_it) = decoded.apply(turn, service, || ahead.is_next_ready())?;
        ahead.applied(is_worth_it);
        // While the store is read for the next batch, no group may wait for its turn.
        announced = next.filter(|_| ahead.is_next_ready());
    }
    Ok(())
}
