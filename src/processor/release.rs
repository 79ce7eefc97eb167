//! Releasing outputs: by a commit, or as their events are accepted.
//!
//! With autocommit a commit follows each event, without a number and a time. While there is nothing
//! else to commit, that is the open end of the released positions: accepting an event changes
//! nothing but the number of outputs. What a restore brings back as pending, or a source position
//! that was not committed, ends the open end until the next commit.

use crate::processor::Processor;
use crate::request::Reply;
use crate::state::position::Position;
use crate::store::{Commit, Release, ReleasedPositions};

impl Processor {
    /// Switches autocommit on, and releases what is pending; true if it was off.
    pub(crate) fn switch_autocommit_on(&mut self) -> bool {
        let was_on = std::mem::replace(&mut self.state.autocommit, true);
        if !was_on {
            self.changes.scalars = true;
            self.commit_after_event();
        }
        !was_on
    }

    /// Settles the position of an event that was just accepted, if its output is out already or
    /// with it.
    pub(super) fn settle_accepted(&mut self, position: Position, is_settled: bool) {
        let state = &mut self.state;
        let has_open_end = state.settled.released.open_from().is_some();
        if is_settled {
            if has_open_end {
                self.close_released(Position(position.0 - 1));
            }
            self.state.settled.absorbed.insert(position);
            self.changes.absorbed = true;
            self.open_released();
        } else if has_open_end {
            state.outputs += 1;
        } else {
            state.pending += 1;
        }
    }

    /// The commit that follows each event with autocommit.
    #[inline]
    pub(super) fn commit_after_event(&mut self) {
        if self.state.autocommit && self.state.settled.released.open_from().is_none() {
            self.commit_source();
            self.release(None);
            self.open_released();
        }
    }

    /// Releases what is pending.
    pub(super) fn commit(&mut self) -> Reply {
        self.commit_source();
        let output_count = self.state.pending;
        if output_count > 0 {
            self.state.last_commit += 1;
            self.state.last_committed_at_ms = self.now_ms;
            self.release(Some(Commit {
                number: self.state.last_commit,
                position: self.journal.head(),
                committed_at_ms: self.now_ms,
            }));
        }
        self.open_released();
        Reply::Committed { output_count }
    }

    fn commit_source(&mut self) {
        if self.state.committed_source != self.state.source {
            self.state.committed_source = self.state.source.clone();
            self.changes.scalars = true;
        }
    }

    /// Releases what is pending, which is not among an open end.
    fn release(&mut self, commit: Option<Commit>) {
        let timeline = self.state.timeline.up_to(self.journal.head());
        let pending = self.state.settled.missing_of(&timeline);
        debug_assert_eq!(pending.len(), self.state.pending);
        if !pending.is_empty() {
            self.state.settled.released.add(&pending);
            self.add_release(self.state.outputs, commit, pending.into());
            self.state.outputs += self.state.pending;
            self.state.pending = 0;
        }
    }

    /// Ends the open end of the released positions, if they have one, at a position.
    pub(super) fn close_released(&mut self, last: Position) {
        if let Some(range) = self.state.settled.released.close(last) {
            let first_output = self.state.outputs - range.len();
            self.add_release(first_output, None, range.into());
        }
        self.changes.scalars = true;
    }

    /// With autocommit, has what is accepted from here on released at once if there is nothing else
    /// to commit; otherwise the next commit comes first.
    pub(super) fn open_released(&mut self) {
        let state = &mut self.state;
        if !state.autocommit {
            return;
        }
        let head = self.journal.head();
        let has_more = state.pending > 0 || state.source != state.committed_source;
        match (has_more, state.settled.released.open_from()) {
            (true, Some(_)) => self.close_released(head),
            (false, None) => {
                state.settled.released.open(head.next());
                self.changes.scalars = true;
            }
            _ => {}
        }
    }

    fn add_release(
        &mut self,
        first_output: u64,
        commit: Option<Commit>,
        released: ReleasedPositions,
    ) {
        self.changes.set_bytes += released.stored_bytes();
        self.changes.released = true;
        self.changes.releases.push(Release {
            commit,
            first_output,
            released,
        });
    }
}
