//! What the state says of one event id, or of one word.

use serde::Serialize;

use crate::error::StorageError;
use crate::inspect::View;
use crate::journal::walk_fingerprints;
use crate::state::position_set::PositionSet;
use crate::store::RunHeader;

/// What the state says of an event id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundEvent {
    /// The id that was looked for.
    pub event_id: String,
    /// Whether the present state has an event with it: another one would be a duplicate.
    pub in_state: bool,
    /// Where it is in the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Its word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
    /// The count that its reply gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Whether an output with the id has been released, in this state or one that was left.
    pub released: bool,
}

impl View {
    /// Looks an event id up.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something cannot be read.
    pub fn event(&self, event_id: &str) -> Result<FoundEvent, StorageError> {
        let mut found = FoundEvent {
            event_id: event_id.to_owned(),
            ..FoundEvent::default()
        };
        let released = &self.stored.sets.settled.released;
        self.walk(&self.candidates(event_id)?, |position, entry| {
            if !entry.event_id.with_text(|text| text == event_id) {
                return Ok::<(), StorageError>(());
            }
            found.released |= released.contains(position);
            if self.timeline.contains(position) {
                found.in_state = true;
                found.position = Some(position.0);
                found.word = Some(entry.word.to_owned());
                found.count = Some(entry.count);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// How many events of the state carry a word.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something cannot be read.
    pub fn count(&self, word: &str) -> Result<u64, StorageError> {
        let counts = self.counts_of(&self.timeline)?;
        let found = counts.binary_search_by(|c| c.word.as_bytes().cmp(word.as_bytes()));
        Ok(found.map_or(0, |index| counts[index].count))
    }

    /// The positions that may carry an id: those with its fingerprint.
    fn candidates(&self, event_id: &str) -> Result<PositionSet, StorageError> {
        let reader = &self.reader;
        let fingerprints = self.stored.format.fingerprints();
        let wanted = fingerprints.of(event_id);
        let (runs, _) = reader.runs()?;
        let mut candidates = PositionSet::default();
        for run in &runs {
            reader.walk_run(run, (wanted, wanted), |_, position| {
                candidates.insert(position);
            })?;
        }
        let next = RunHeader::next_position(&runs);
        let add = |position, fingerprint| {
            if fingerprint == wanted {
                candidates.insert(position);
            }
        };
        walk_fingerprints(reader, next, fingerprints, add, |_| ())?;
        Ok(candidates)
    }
}
