//! Switching from one timeline to another, at a restart, a restore or a rollback.
//!
//! A restore is applied only when everything before it is durable, as it reads checkpoints and
//! releases from the store. A rollback need not wait: it only takes back events of the journal,
//! durable or not, and starts from durable snapshots only.

use crate::error::StorageError;
use crate::journal::fold::fold_from_nearest;
use crate::processor::{Processor, unknown_checkpoint};
use crate::request::{Refusal, Reply};
use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::state::timeline::Timeline;
use crate::store::bytes::entry::EventId;
use crate::store::{Checkpoint, Switch, SwitchRecord};

impl Processor {
    /// Makes a checkpoint's timeline the present one.
    pub(super) fn restore(&mut self, name: &str) -> Result<Result<Reply, Refusal>, StorageError> {
        let Some(mut checkpoint) = self.reader.checkpoint(name)? else {
            return Ok(Err(unknown_checkpoint(name)));
        };
        self.absorb_released_since(&checkpoint)?;
        self.switch_to(checkpoint.timeline.clone(), Some(name))?;
        self.state.source = checkpoint.source.clone();
        self.state.committed_source = checkpoint.committed_source.clone();
        self.open_released();
        if checkpoint.outputs != self.state.outputs {
            // What was released so far is settled in it now, and need not be searched again.
            checkpoint.outputs = self.state.outputs;
            self.changes
                .checkpoints
                .insert(name.to_owned(), Some(checkpoint));
        }
        Ok(Ok(Reply::Restored {
            counts: self.state.counts.sorted(),
        }))
    }

    /// Makes the timeline without its pending positions the present one.
    pub(super) fn rollback(&mut self) -> Result<Reply, StorageError> {
        let discarded_count = self.state.pending;
        if discarded_count > 0 {
            let timeline = self.state.timeline.up_to(self.journal.head());
            let pending = self.state.settled.missing_of(&timeline);
            self.switch_to(timeline.difference(&pending), None)?;
        }
        if self.state.source != self.state.committed_source {
            self.state.source = self.state.committed_source.clone();
            self.changes.scalars = true;
        }
        self.open_released();
        Ok(Reply::RolledBack { discarded_count })
    }

    /// Settles the positions of a checkpoint whose ids were released at other positions since it
    /// was saved or last restored. Ids released before were settled then.
    fn absorb_released_since(&mut self, checkpoint: &Checkpoint) -> Result<(), StorageError> {
        let unsettled = self.state.settled.missing_of(&checkpoint.timeline);
        if unsettled.is_empty() || checkpoint.outputs == self.state.outputs {
            return Ok(());
        }
        let state = &self.state;
        let released = self
            .reader
            .releases(checkpoint.outputs, &state.settled.released, state.outputs)?
            .into_positions()?
            .difference(&checkpoint.timeline);
        // Both sides find the same pairs, so the shorter set is walked.
        let from_released = released.len() < unsettled.len();
        let (walked, sought) = if from_released {
            (&released, &unsettled)
        } else {
            (&unsettled, &released)
        };
        for (position, other) in self.pairs(walked, sought)? {
            let absorbed = if from_released { other } else { position };
            self.state.settled.absorbed.insert(absorbed);
            self.changes.absorbed = true;
        }
        Ok(())
    }

    /// Finds every pair of positions in `walked` and `sought` that carry the same id.
    fn pairs(
        &mut self,
        walked: &PositionSet,
        sought: &PositionSet,
    ) -> Result<Vec<(Position, Position)>, StorageError> {
        if walked.is_empty() || sought.is_empty() {
            return Ok(Vec::new());
        }
        let mut likely = Vec::new();
        let index = &mut self.index;
        self.journal.walk(walked, |position, entry| {
            let fingerprint = entry.event_id.with_text(|text| index.fingerprint(text));
            // A single position with the fingerprint is this one.
            if index.positions_with(fingerprint)? > 1 {
                let others = index.candidates(fingerprint)?.into_iter();
                let others = others.filter(|&other| other != position && sought.contains(other));
                likely.extend(others.map(|other| (position, other)));
            }
            Ok(())
        })?;
        let mut pairs = Vec::new();
        for (position, other) in likely {
            let (id, _) = self
                .journal
                .with_entry(position, |e| e.event_id.with_text(str::to_owned))?;
            let wanted = EventId::new(&id);
            let (is_pair, _) = self
                .journal
                .with_entry(other, |entry| entry.event_id == wanted)?;
            if is_pair {
                pairs.push((position, other));
            }
        }
        Ok(pairs)
    }

    /// Makes another timeline the present one, for a restore or a rollback.
    fn switch_to(
        &mut self,
        target: PositionSet,
        checkpoint_id: Option<&str>,
    ) -> Result<(), StorageError> {
        let head = self.journal.head();
        let present = self.state.timeline.up_to(head);
        self.fold_counts(&present, &target)?;
        self.state.switches += 1;
        self.changes.switches.push(Switch {
            number: self.state.switches,
            record: SwitchRecord {
                checkpoint_id: checkpoint_id.map(str::to_owned),
                position: head,
                reached: target.last().unwrap_or(Position::NONE),
                events_left: present.difference(&target).len(),
                events_back: target.difference(&present).len(),
                last_commit: self.state.last_commit,
                made_at_ms: self.now_ms,
            },
        });
        self.state.pending = self.state.settled.missing_of(&target).len();
        self.state.timeline = Timeline::new(target, head.next());
        self.changes.closed = true;
        self.changes.scalars = true;
        self.replay.clear();
        Ok(())
    }

    /// Turns the counts of the timeline `present` into those of `target`. It starts from the
    /// nearest known counts, the present ones or a snapshot's, and folds the difference.
    pub(super) fn fold_counts(
        &mut self,
        present: &PositionSet,
        target: &PositionSet,
    ) -> Result<(), StorageError> {
        let end = target.last().unwrap_or(Position::NONE);
        let snapshots = self.snapshots.candidates(end, self.reader.durable_group());
        let snapshots = (&self.reader, snapshots);
        fold_from_nearest(
            &self.journal,
            &mut self.state.counts,
            present,
            target,
            snapshots,
        )
    }

    /// Compares the counts of the state with the digest that is stored with it.
    pub(super) fn check_counts(&self, stored: u64) -> Result<(), StorageError> {
        let found = self.state.counts.digest();
        if found == stored {
            return Ok(());
        }
        let (expected, found) = (format!("digest {stored:016x}"), format!("{found:016x}"));
        Err(StorageError::damaged("the state's counts", expected, found))
    }
}
