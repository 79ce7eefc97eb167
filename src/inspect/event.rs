//! Looks up one event id, or one word.

use serde::Serialize;

use crate::error::StorageError;
use crate::inspect::View;
use crate::journal::walk_fingerprints;
use crate::state::position_set::PositionSet;
use crate::store::RunHeader;

/// What the state has of an event id. As JSON, a member that is `None` is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundEvent {
    /// The id that was looked up.
    pub event_id: String,
    /// True if the present state has an event with this id, so that another one would be a
    /// duplicate, or a conflict if its word differs.
    pub in_state: bool,
    /// The position of that event, from 1; `None` if the state has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The word of that event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
    /// The count in the reply to that event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// True if an output with this id was released, even if the present state no longer has the
    /// event.
    pub released: bool,
}

impl View {
    /// Looks up an event id.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something stored cannot be read.
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

    /// Returns the number of events of the state that carry a word; 0 for an unknown word.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something stored cannot be read.
    pub fn count(&self, word: &str) -> Result<u64, StorageError> {
        let counts = self.counts_of(&self.timeline)?;
        let found = counts.binary_search_by(|c| c.word.as_bytes().cmp(word.as_bytes()));
        Ok(found.map_or(0, |index| counts[index].count))
    }

    /// Returns the positions that may carry an id: those with its fingerprint.
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
