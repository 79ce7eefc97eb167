//! Reads the saved checkpoints, and compares two of them.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::format_rfc3339_millis;
use serde::Serialize;

use crate::error::StorageError;
use crate::inspect::record::{self, Record, Source};
use crate::inspect::{InspectError, Sink, View, ranges};
use crate::state::counts::WordCount;
use crate::state::position_set::PositionSet;
use crate::store::Checkpoint;

/// A saved checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "checkpoint")]
#[non_exhaustive]
pub struct CheckpointSummary {
    /// Its name.
    pub name: String,
    /// When it was saved, as RFC 3339 in UTC, with milliseconds.
    pub created_at: String,
    /// Number of its events.
    pub events: u64,
    /// Number of outputs that would be pending after a restore of it.
    pub pending: u64,
    /// The head of the journal when it was saved; 0 if the journal was empty.
    pub position: u64,
}

/// The numbers of events that two states have alone and in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "events")]
#[non_exhaustive]
pub struct EventsDifference {
    /// Number of events that only the first state has.
    pub only_in_first: u64,
    /// Number of events that only the second state has.
    pub only_in_second: u64,
    /// Number of events that both states have.
    pub in_both: u64,
}

/// A word whose counts in two states differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "count_differs")]
#[non_exhaustive]
pub struct WordDifference {
    /// The word.
    pub word: String,
    /// Its count in the first state; may be 0.
    pub first: u64,
    /// Its count in the second state; may be 0.
    pub second: u64,
}

type Ids = HashSet<Box<str>>;

impl View {
    /// Returns every checkpoint, in byte order of the names.
    ///
    /// # Errors
    ///
    /// An item is a [`StorageError`] if something stored cannot be read.
    pub fn checkpoints(
        &self,
    ) -> impl Iterator<Item = Result<CheckpointSummary, StorageError>> + '_ {
        let mut absorbed = None;
        self.reader.checkpoints().map(move |stored| {
            let (name, checkpoint) = stored?;
            let absorbed = match &absorbed {
                Some(absorbed) => absorbed,
                None => absorbed.insert(self.absorbed_by_restores()?),
            };
            Ok(self.summary(name, &checkpoint, absorbed))
        })
    }

    /// Returns the checkpoint of a name, and its counts in byte order of the words.
    ///
    /// # Errors
    ///
    /// [`InspectError::UnknownCheckpoint`], or [`InspectError::Storage`] if something stored cannot
    /// be read.
    pub fn checkpoint(
        &self,
        name: &str,
    ) -> Result<(CheckpointSummary, Vec<WordCount>), InspectError> {
        let checkpoint = self.stored_checkpoint(name)?;
        let absorbed = self.absorbed_by_restore_of([Ok(checkpoint.clone())])?;
        let summary = self.summary(name.to_owned(), &checkpoint, &absorbed);
        Ok((summary, self.counts_of(&checkpoint.timeline)?))
    }

    /// Compares the checkpoint `first` with the checkpoint `second`, or with the present state if
    /// `second` is `None`. The words whose counts differ are in byte order.
    ///
    /// # Errors
    ///
    /// [`InspectError::UnknownCheckpoint`], or [`InspectError::Storage`] if something stored cannot
    /// be read.
    pub fn difference(
        &self,
        first: &str,
        second: Option<&str>,
    ) -> Result<(EventsDifference, Vec<WordDifference>), InspectError> {
        let first = self.stored_checkpoint(first)?.timeline;
        let second = match second {
            Some(name) => self.stored_checkpoint(name)?.timeline,
            None => self.timeline.clone(),
        };
        let (only_first, only_second) = (first.difference(&second), second.difference(&first));
        // An event that was dropped and accepted again can be in both, at two positions.
        let moved = self.shared_ids(&only_first, &only_second)?;
        let words = merge(&self.counts_of(&first)?, &self.counts_of(&second)?);
        let events = EventsDifference {
            only_in_first: only_first.len() - moved,
            only_in_second: only_second.len() - moved,
            in_both: first.len() - only_first.len() + moved,
        };
        Ok((events, words))
    }

    fn stored_checkpoint(&self, name: &str) -> Result<Checkpoint, InspectError> {
        let found = self.reader.checkpoint(name)?;
        found.ok_or_else(|| InspectError::UnknownCheckpoint {
            name: name.to_owned(),
        })
    }

    fn summary(
        &self,
        name: String,
        checkpoint: &Checkpoint,
        absorbed: &PositionSet,
    ) -> CheckpointSummary {
        CheckpointSummary {
            name,
            created_at: format_rfc3339_millis(time_of(checkpoint.created_at_ms)).to_string(),
            events: checkpoint.timeline.len(),
            pending: self.pending_of(checkpoint, absorbed),
            position: checkpoint.position.0,
        }
    }

    pub(super) fn checkpoint_records<E: From<StorageError>>(
        &self,
        with_incidentals: bool,
        sink: Sink<'_, E>,
    ) -> Result<(), E> {
        let absorbed = self.absorbed_by_restores()?;
        for stored in self.reader.checkpoints() {
            let (name, checkpoint) = stored?;
            sink(&Record::Checkpoint(record::Checkpoint {
                name: name.into(),
                events: checkpoint.timeline.len(),
                pending: self.pending_of(&checkpoint, &absorbed),
                position: checkpoint.position.0,
                outputs: Some(checkpoint.outputs),
                last_commit: None,
                source: checkpoint.source.as_deref().map(Source::of),
                committed_source: checkpoint.committed_source.as_deref().map(Source::of),
                timeline: ranges(&checkpoint.timeline),
                created_at_ms: with_incidentals.then_some(checkpoint.created_at_ms),
            }))?;
        }
        Ok(())
    }

    /// Returns the number of outputs that a restore of a checkpoint would make pending: its
    /// unsettled positions without those that the restore absorbs.
    fn pending_of(&self, checkpoint: &Checkpoint, absorbed: &PositionSet) -> u64 {
        let unsettled = self.stored.sets.settled.missing_of(&checkpoint.timeline);
        unsettled.difference(absorbed).len()
    }

    /// Calls [`View::absorbed_by_restore_of`] with all checkpoints.
    fn absorbed_by_restores(&self) -> Result<PositionSet, StorageError> {
        let stored = self.reader.checkpoints();
        self.absorbed_by_restore_of(stored.map(|stored| stored.map(|(_, checkpoint)| checkpoint)))
    }

    /// Returns the unsettled positions of checkpoints that a restore would settle: those whose id
    /// was released at another position since the checkpoint was saved or last restored.
    ///
    /// A position whose id was released before then is already settled. So one set serves all
    /// checkpoints, and the output log is read only from the oldest of them on.
    fn absorbed_by_restore_of(
        &self,
        checkpoints: impl IntoIterator<Item = Result<Checkpoint, StorageError>>,
    ) -> Result<PositionSet, StorageError> {
        let mut since = self.stored.record.scalars.outputs;
        let mut unsettled = PositionSet::default();
        for checkpoint in checkpoints {
            let checkpoint = checkpoint?;
            if checkpoint.outputs < self.stored.record.scalars.outputs {
                let settled = &self.stored.sets.settled;
                unsettled = unsettled.union(&settled.missing_of(&checkpoint.timeline));
                since = since.min(checkpoint.outputs);
            }
        }
        let mut absorbed = PositionSet::default();
        if unsettled.is_empty() {
            return Ok(absorbed);
        }
        let released = self.releases(since)?.into_positions()?;
        // Memory holds only the ids of the smaller set, and those that both sets have.
        let ids = if released.len() < unsettled.len() {
            self.ids(&released)?
        } else {
            self.ids_among(&released, &self.ids(&unsettled)?)?
        };
        if !ids.is_empty() {
            self.walk(&unsettled, |position, entry| {
                if entry.event_id.with_text(|id| ids.contains(id)) {
                    absorbed.insert(position);
                }
                Ok::<(), StorageError>(())
            })?;
        }
        Ok(absorbed)
    }

    /// Returns the number of ids that two sets of positions share. Neither may have an id twice.
    fn shared_ids(&self, a: &PositionSet, b: &PositionSet) -> Result<u64, StorageError> {
        let (smaller, larger) = if a.len() < b.len() { (a, b) } else { (b, a) };
        if smaller.is_empty() {
            return Ok(0);
        }
        let shared = self.ids_among(larger, &self.ids(smaller)?)?;
        Ok(shared.len() as u64)
    }

    /// Returns the ids at positions.
    fn ids(&self, positions: &PositionSet) -> Result<Ids, StorageError> {
        let mut ids = Ids::new();
        self.walk(positions, |_, entry| {
            ids.insert(entry.event_id.with_text(|id| Box::from(id)));
            Ok::<(), StorageError>(())
        })?;
        Ok(ids)
    }

    /// Returns the ids at positions that are also in `others`.
    fn ids_among(&self, positions: &PositionSet, others: &Ids) -> Result<Ids, StorageError> {
        let mut ids = Ids::new();
        self.walk(positions, |_, entry| {
            entry.event_id.with_text(|id| {
                if others.contains(id) {
                    ids.insert(id.into());
                }
            });
            Ok::<(), StorageError>(())
        })?;
        Ok(ids)
    }
}

/// Returns the time at this many milliseconds since 1970, but at most the end of the year 9999,
/// because RFC 3339 cannot express a later one.
#[must_use]
pub fn time_of(ms: u64) -> SystemTime {
    const END_OF_YEARS_MS: u64 = 253_402_300_799_999;
    UNIX_EPOCH + Duration::from_millis(ms.min(END_OF_YEARS_MS))
}

/// Returns the words whose counts differ between two lists, both in byte order of the words.
fn merge(first: &[WordCount], second: &[WordCount]) -> Vec<WordDifference> {
    let (mut first, mut second) = (first.iter().peekable(), second.iter().peekable());
    let mut words = Vec::new();
    loop {
        let order = match (first.peek(), second.peek()) {
            (None, None) => return words,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.word.as_bytes().cmp(b.word.as_bytes()),
        };
        let a = first.next_if(|_| order.is_le());
        let b = second.next_if(|_| order.is_ge());
        let count = |found: Option<&WordCount>| found.map_or(0, |found| found.count);
        if count(a) != count(b) {
            let word = a.or(b).map(|found| found.word.to_string());
            words.push(WordDifference {
                word: word.unwrap_or_default(),
                first: count(a),
                second: count(b),
            });
        }
    }
}
