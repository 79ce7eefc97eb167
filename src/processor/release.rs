//! Releasing outputs, by a commit or as their events are accepted.
//!
//! With autocommit a commit without number and time follows each event. While nothing else is to be
//! released, the released positions have an open end: accepting an event only raises the number of
//! outputs. Pending outputs that a restore brings back, or a source position that is not committed,
//! close the open end until the next commit.

use crate::processor::Processor;
use crate::request::Reply;
use crate::state::position::Position;
use crate::store::{Commit, Release, ReleasedPositions};

impl Processor {
    /// Switches autocommit on, and releases all pending outputs; true if it was off.
    pub(crate) fn switch_autocommit_on(&mut self) -> bool {
        let was_on = std::mem::replace(&mut self.state.autocommit, true);
        if !was_on {
            self.changes.scalars = true;
            self.commit_after_event();
        }
        !was_on
    }

    /// Settles the position of a just accepted event if its id is settled or the open end releases
    /// it; otherwise its output is pending.
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

    /// Does the commit that follows each event with autocommit.
    #[inline]
    pub(super) fn commit_after_event(&mut self) {
        if self.state.autocommit && self.state.settled.released.open_from().is_none() {
            self.commit_source();
            self.release(None);
            self.open_released();
        }
    }

    /// Releases all pending outputs.
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

    /// Releases all pending outputs; none of them is in an open end.
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

    /// Closes the open end of the released positions, if there is one, at a position.
    pub(super) fn close_released(&mut self, last: Position) {
        if let Some(range) = self.state.settled.released.close(last) {
            let first_output = self.state.outputs - range.len();
            self.add_release(first_output, None, range.into());
        }
        self.changes.scalars = true;
    }

    /// With autocommit, begins an open end if nothing is pending or uncommitted, and closes it
    /// otherwise.
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
