//! The earlier positions of an event id, and what they say of the event.

use crate::state::State;
use crate::state::position::Position;
use crate::store::bytes::block::Cursor;

/// Behind the positions of the last event that was found again.
pub(super) type Replay = Vec<Cursor>;

/// The word of an earlier event, where it is not the one that is now sent.
pub(super) type OtherWord = Option<Box<str>>;

/// The earlier positions of an event id.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// Of the one that is in the timeline, if one is.
    pub(super) present: Option<OtherWord>,
    /// Whether the output of one of them is settled.
    pub(super) is_settled: bool,
    /// Of the one whose output was released, if one was.
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
