//! The saved checkpoints: what each has, and how two of them differ.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::format_rfc3339_millis;
use serde::Serialize;

use crate::error::StorageError;
use crate::inspect::{InspectError, Inspection, Record, Sink, Source, ranges};
use crate::state::counts::WordCount;
use crate::state::position_set::PositionSet;
use crate::store::Checkpoint;

/// A saved checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "checkpoint")]
pub struct CheckpointSummary {
    /// Its name.
    pub name: String,
    /// When it was saved, in RFC 3339, UTC.
    pub created_at: String,
    /// How many events it has.
    pub events: u64,
    /// How many outputs would be pending after restoring it.
    pub pending: u64,
    /// The journal's last position when it was saved.
    pub position: u64,
}

/// How many events two states have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "events")]
pub struct EventsDifference {
    /// How many events only the first has.
    pub only_in_first: u64,
    /// How many events only the second has.
    pub only_in_second: u64,
    /// How many events both have.
    pub in_both: u64,
}

/// A word whose counts differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "count_differs")]
pub struct WordDifference {
    /// The word.
    pub word: String,
    /// Its count in the first state, which may be 0.
    pub first: u64,
    /// Its count in the second state, which may be 0.
    pub second: u64,
}

impl Inspection {
    /// Every checkpoint, in byte order of the names.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something cannot be read.
    pub fn checkpoint_summaries(
        &self,
    ) -> impl Iterator<Item = Result<CheckpointSummary, StorageError>> + '_ {
        let checkpoints = self.reader.checkpoints();
        checkpoints.map(|stored| {
            let (name, checkpoint) = stored?;
            self.summary(name, &checkpoint)
        })
    }

    /// One checkpoint, and its counts in byte order of the words.
    ///
    /// # Errors
    ///
    /// [`InspectError`]
    pub fn checkpoint(
        &self,
        name: &str,
    ) -> Result<(CheckpointSummary, Vec<WordCount>), InspectError> {
        let checkpoint = self.stored_checkpoint(name)?;
        let summary = self.summary(name.to_owned(), &checkpoint)?;
        Ok((summary, self.counts_of(&checkpoint.timeline)?))
    }

    /// How a checkpoint differs from another, or from the present state: in its events, and in
    /// the counts of the words, in byte order.
    ///
    /// # Errors
    ///
    /// [`InspectError`]
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
        // An event that was taken back and sent again is in both, at two positions.
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
    ) -> Result<CheckpointSummary, StorageError> {
        Ok(CheckpointSummary {
            name,
            created_at: format_rfc3339_millis(time_of(checkpoint.created_at_ms)).to_string(),
            events: checkpoint.timeline.len(),
            pending: self.pending_of(checkpoint)?,
            position: checkpoint.position.0,
        })
    }

    pub(super) fn checkpoints<E: From<StorageError>>(
        &self,
        with_incidentals: bool,
        sink: Sink<'_, E>,
    ) -> Result<(), E> {
        for stored in self.reader.checkpoints() {
            let (name, checkpoint) = stored?;
            sink(&Record::Checkpoint {
                name: &name,
                events: checkpoint.timeline.len(),
                pending: self.pending_of(&checkpoint)?,
                position: checkpoint.position.0,
                last_commit: checkpoint.last_commit,
                source: checkpoint.source.as_deref().map(Source::of),
                committed_source: checkpoint.committed_source.as_deref().map(Source::of),
                timeline: ranges(&checkpoint.timeline),
                created_at_ms: with_incidentals.then_some(checkpoint.created_at_ms),
            })?;
        }
        Ok(())
    }

    /// How many outputs restoring a checkpoint would make pending: its unsettled positions,
    /// less those whose id was released under another position since.
    fn pending_of(&self, checkpoint: &Checkpoint) -> Result<u64, StorageError> {
        let unsettled = self.stored.sets.settled.missing_of(&checkpoint.timeline);
        let released = self.reader.released_since(checkpoint)?;
        Ok(unsettled.len() - self.shared_ids(&unsettled, &released)?)
    }

    /// How many ids two sets of positions share; neither has an id twice.
    fn shared_ids(&self, a: &PositionSet, b: &PositionSet) -> Result<u64, StorageError> {
        let (shorter, longer) = if a.len() < b.len() { (a, b) } else { (b, a) };
        let mut ids = BTreeSet::new();
        self.walk(shorter, |_, entry| {
            ids.insert(entry.event_id.with_text(str::to_owned));
            Ok::<(), StorageError>(())
        })?;
        if ids.is_empty() {
            return Ok(0);
        }
        let mut shared = 0;
        self.walk(longer, |_, entry| {
            shared += u64::from(entry.event_id.with_text(|id| ids.contains(id)));
            Ok::<(), StorageError>(())
        })?;
        Ok(shared)
    }
}

/// A time in milliseconds since 1970, or the last that RFC 3339 has, at the end of the year 9999.
#[must_use]
pub fn time_of(ms: u64) -> SystemTime {
    const END_OF_YEARS_MS: u64 = 253_402_300_799_999;
    UNIX_EPOCH + Duration::from_millis(ms.min(END_OF_YEARS_MS))
}

/// The words of two sorted lists whose counts differ.
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
