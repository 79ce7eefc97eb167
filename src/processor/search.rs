//! Finding the earlier positions of an event id, also when a whole stream is sent again.
//!
//! A client that sends an event again usually sends the next one again too. So a cursor is kept
//! after each position that was found, and the next event is compared with the entries there before
//! the index is read.

use crate::error::StorageError;
use crate::processor::earlier::Earlier;
use crate::processor::prepared::Event;
use crate::processor::{Preparation, Processor};
use crate::state::State;
use crate::state::look_ahead::LOOK_AHEAD;
use crate::state::position::Position;
use crate::store::bytes::entry::EventId;
use crate::store::cache::Cache;
use crate::store::{MAX_CANDIDATES, ReadPlan, Reader};

impl Processor {
    /// Finds the earlier positions of an id. Every candidate of the index is compared with the
    /// journal: a shared fingerprint must never drop an event.
    pub(super) fn find_earlier(&mut self, event: &Event<'_>) -> Result<Earlier, StorageError> {
        if !self.replay.is_empty() {
            let (twins, found) = self.earlier_in_replay(event)?;
            // One in the timeline is enough; otherwise all are needed.
            let is_duplicate = twins.present.is_some();
            if is_duplicate
                || (found > 0 && found == self.index.positions_with(event.fingerprint)?)
            {
                return Ok(twins);
            }
        }
        self.earlier_in_index(event)
    }

    /// Compares the event with the entry at each cursor. Also returns how many positions match.
    fn earlier_in_replay(&mut self, event: &Event<'_>) -> Result<(Earlier, u64), StorageError> {
        let (mut twins, mut found) = (Earlier::default(), 0);
        for mut cursor in std::mem::take(&mut self.replay) {
            if !self.journal.reach_next(&mut cursor)? {
                continue;
            }
            if let Some((position, entry)) = cursor.next()?
                && entry.event_id == event.id
            {
                let other_word = (entry.word != event.word).then(|| entry.word.into());
                twins.add(&self.state, position, other_word);
                found += 1;
                self.replay.push(cursor);
            }
        }
        Ok((twins, found))
    }

    fn earlier_in_index(&mut self, event: &Event<'_>) -> Result<Earlier, StorageError> {
        let mut twins = Earlier::default();
        self.replay.clear();
        let candidates = self.index.candidates(event.fingerprint)?;
        let is_followed = candidates.len() <= MAX_CANDIDATES;
        for position in candidates {
            if !is_followed && !is_relevant(&self.state, position) {
                continue;
            }
            let (other_word, after) = self.journal.with_entry(position, |entry| {
                (entry.event_id == event.id)
                    .then(|| (entry.word != event.word).then(|| Box::<str>::from(entry.word)))
            })?;
            let Some(other_word) = other_word else {
                continue;
            };
            twins.add(&self.state, position, other_word);
            if is_followed {
                self.replay.extend(after);
            }
        }
        Ok(twins)
    }

    /// Reads what the next few requests need into the CPU's cache.
    pub(crate) fn look_ahead(&mut self, preparations: &mut [Preparation]) {
        let counts = &self.state.counts;
        for preparation in &mut *preparations {
            preparation.set_likely_number(|hash| counts.likely_number(hash));
        }
        let preparations = preparations.iter();
        counts.touch(preparations.clone().filter_map(Preparation::likely_number));
        let fingerprints = preparations.filter_map(Preparation::fingerprint);
        self.index.touch(fingerprints.clone());
        self.index.touch_found(fingerprints);
    }

    /// The most requests of one sender that are read ahead together.
    pub(crate) fn read_ahead_requests(&self) -> usize {
        self.read_ahead_requests
    }

    /// Adds to a plan what finding the earlier positions of prepared events reads from the store,
    /// until it is full. Returns the number of requests for which this was added.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the store cannot be read.
    pub(crate) fn plan(
        &mut self,
        preparations: &[Preparation],
        plan: &mut ReadPlan,
    ) -> Result<usize, StorageError> {
        let mut planned = 0;
        for together in preparations.chunks(LOOK_AHEAD) {
            if plan.is_full() {
                break;
            }
            planned += together.len();
            let fingerprints = together.iter().filter_map(Preparation::fingerprint);
            self.index.touch(fingerprints.clone());
            for fingerprint in fingerprints {
                let candidates = self.index.plan(fingerprint, plan)?;
                let is_followed = candidates.len() <= MAX_CANDIDATES;
                for position in candidates {
                    if is_followed || is_relevant(&self.state, position) {
                        self.journal.plan(position, plan);
                    }
                }
            }
        }
        Ok(planned)
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// True if the state has an event with this id.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the store cannot be read.
    pub(crate) fn contains(&mut self, event_id: &str) -> Result<bool, StorageError> {
        let wanted = EventId::new(event_id);
        for position in self.index.candidates(self.index.fingerprint(event_id))? {
            if !self.state.timeline.contains(position) {
                continue;
            }
            let (is_it, _) = self
                .journal
                .with_entry(position, |entry| entry.event_id == wanted)?;
            if is_it {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// True if it matters whether the event at a position has a certain id. A position that left the
/// state and was never settled does not matter. Reading it would make an id that is processed and
/// rolled back again and again ever slower.
fn is_relevant(state: &State, position: Position) -> bool {
    state.timeline.contains(position) || state.settled.contains(position)
}
