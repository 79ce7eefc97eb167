//! The earlier positions of an event id, and what follows from them for the event.

use crate::state::State;
use crate::state::position::Position;
use crate::store::bytes::cursor::Cursor;

/// Cursors, each after a position of the last event that was found again.
pub(super) type Replay = Vec<Cursor>;

/// The word of an earlier event, if it is not the one that is sent now.
pub(super) type OtherWord = Option<Box<str>>;

/// The earlier positions of an event id.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// Set if one of them is in the timeline; holds its word if that differs.
    pub(super) present: Option<OtherWord>,
    /// True if one of the positions is settled.
    pub(super) is_settled: bool,
    /// Set if one outside the timeline was released; holds its word if that differs.
    pub(super) released: Option<OtherWord>,
}

impl Earlier {
    pub(super) fn add(&mut self, state: &State, position: Position, other_word: OtherWord) {
        self.is_settled |= state.settled.contains(position);
        if state.timeline.contains(position) {
            self.present = Some(other_word);
        } else if state.settled.released.contains(position) {
            self.released = Some(other_word);
        }
    }
}
