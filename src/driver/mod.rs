//! The driver: apply, persist, reply, in this order.
//!
//! It has two halves, neither of which has its own thread. The [`Applier`] applies requests in
//! memory. Their changes and replies leave it as one [`Unpersisted`] group, which cannot be read.
//! The other half, the [`Store`], makes a group durable and only then returns its replies, with a
//! [`Receipt`]. A request that reads what is stored is applied only with the receipt of everything
//! before it.
//!
//! Called in turn on one thread, the halves are the library's engine. Joined by a queue and a
//! thread, they are the [`Pipeline`], which any number of threads may share.
//!
//! [`Unpersisted`]: crate::store::Unpersisted
//! [`Receipt`]: crate::store::Receipt

mod applier;
mod deliver;
mod figures;
mod persister;
mod pipeline;
mod read_ahead;
mod replies;
mod shared;
mod turn;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::StorageError;
use crate::store::Store;
pub(crate) use applier::{Applied, Applier, OpenBatch, TicketReplies};
pub(crate) use deliver::{Deliver, Place, Ticket};
pub(crate) use figures::Figures;
pub(crate) use pipeline::{Health, Pipeline};
pub(crate) use read_ahead::{Planned, ReadAhead, ReadAheadLimits, is_worth_it};
pub(crate) use replies::{REPLY_BYTES, Replies};
pub(crate) use shared::Announced;
pub(crate) use turn::Turn;

/// Persists everything that is left, so that the store can be closed.
///
/// # Errors
///
/// [`StorageError`]; what was persisted before stays durable.
pub(crate) fn persist_rest<T>(
    applier: &mut Applier<T>,
    store: &mut Store,
) -> Result<(), StorageError> {
    while let Some(mut group) = applier.end_last_group()? {
        store.persist(&mut group)?;
    }
    Ok(())
}

/// Milliseconds since 1970; 0 for an earlier time.
pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
