//! Folds events into counts: turns the counts of one timeline into those of another by the events
//! that are in only one of them.

use tracing::warn;

use crate::error::StorageError;
use crate::journal::Journal;
use crate::state::counts::Counts;
use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::store::bytes::entry::Entry;
use crate::store::{Reader, SnapshotHeader};

/// The function that a walk calls with each event.
pub(crate) type OnEvent<'a> = &'a mut dyn FnMut(Position, Entry<'_>) -> Result<(), StorageError>;

/// A source of events: the journal as its writer sees it, or the stored journal.
pub(crate) trait Events {
    /// Calls `f` with every event of a set of positions, in order.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a block cannot be read; also any error of `f`.
    fn walk(&mut self, positions: &PositionSet, f: OnEvent<'_>) -> Result<(), StorageError>;
}

impl Events for &Journal {
    fn walk(&mut self, positions: &PositionSet, f: OnEvent<'_>) -> Result<(), StorageError> {
        Journal::walk(self, positions, f)
    }
}

impl Events for &Reader {
    fn walk(&mut self, positions: &PositionSet, f: OnEvent<'_>) -> Result<(), StorageError> {
        Reader::walk(self, positions.ranges(), f)
    }
}

/// Turns the counts of the timeline `from` into those of `to`.
///
/// # Errors
///
/// [`StorageError`] if a block cannot be read, or if an event to take back was not counted.
pub(crate) fn fold(
    mut events: impl Events,
    counts: &mut Counts,
    from: &PositionSet,
    to: &PositionSet,
) -> Result<(), StorageError> {
    events.walk(&from.difference(to), &mut |position, entry| {
        entry.take_back(position, counts)
    })?;
    events.walk(&to.difference(from), &mut |_, entry| {
        counts.add(entry.word, 1);
        Ok(())
    })
}

/// Turns the counts of the timeline `from` into those of `to`, starting from these counts or from
/// the nearest snapshot, whichever takes less time.
///
/// # Errors
///
/// The errors of [`fold`]. A snapshot that cannot be read only costs time.
pub(crate) fn fold_from_nearest<'s>(
    events: impl Events,
    counts: &mut Counts,
    from: &PositionSet,
    to: &PositionSet,
    (reader, snapshots): (&Reader, impl IntoIterator<Item = &'s SnapshotHeader>),
) -> Result<(), StorageError> {
    let distance = |from: &PositionSet| from.difference(to).len() + to.difference(from).len();
    // Reading a word of a snapshot takes about as long as folding an event.
    let cost = |snapshot: &SnapshotHeader| distance(&snapshot.timeline) + snapshot.words;
    let nearest = snapshots.into_iter().min_by_key(|snapshot| cost(snapshot));
    let Some(snapshot) = nearest.filter(|nearest| cost(nearest) < distance(from)) else {
        return fold(events, counts, from, to);
    };
    counts.clear();
    let read = reader.read_snapshot(snapshot, |word, count| {
        counts.add(word, count);
    });
    match read {
        Ok(()) => fold(events, counts, &snapshot.timeline, to),
        Err(error) => {
            warn!("{error}; counting every event instead");
            counts.clear();
            fold(events, counts, &PositionSet::default(), to)
        }
    }
}
