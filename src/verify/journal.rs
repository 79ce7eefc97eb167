//! The journal: that it is whole, that the index knows all of it, and that no id is where it is
//! already.

use crate::error::StorageError;
use crate::journal::index_of;
use crate::seen::Index;
use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::store::block::Block;
use crate::verify::findings::Class;
use crate::verify::{Parts, Verification};

/// A checkpoint, and what is in its state without having to be released: what was settled when its
/// last commit had been made.
struct Saved<'a> {
    name: &'a str,
    timeline: &'a PositionSet,
    /// What had been released by then.
    released: &'a PositionSet,
}

/// What it takes to compare the events of one id.
struct Ids<'a> {
    /// Positions that the state or a checkpoint has, or that are settled. The others have no say.
    held: PositionSet,
    saved: Vec<Saved<'a>>,
    /// The block that was read last to look at an earlier event.
    read: Option<Block>,
}

impl Parts {
    /// Every position that something has or knows of.
    fn held(&self) -> PositionSet {
        let settled = self.settled.released.union(&self.settled.absorbed);
        let checkpoints = self.checkpoints.values().map(|saved| &saved.timeline);
        checkpoints.fold(settled.union(&self.timeline), |held, set| held.union(set))
    }
}

impl Verification<'_> {
    /// Reads every block into a new index, as an open does; `None` if one cannot be read.
    pub(super) fn check_journal(&mut self) -> Option<Index> {
        let read = index_of(self.reader, self.copy.seed(), |events| {
            self.progress(events)
        });
        let (index, reached) = self.findings.take(Class::Journal, read)?;
        let head = self.record.scalars.position;
        if reached != head {
            let text = format!("the journal ends at position {reached}, the state at {head}");
            self.findings.add(Class::Journal, text);
            return None;
        }
        Some(index)
    }

    /// Finds every event in the index, and compares it with the earlier events of its id.
    pub(super) fn check_ids(&mut self, index: &Index, parts: &Parts) {
        let saved = parts.checkpoints.iter().filter_map(|(name, checkpoint)| {
            Some(Saved {
                name,
                timeline: &checkpoint.timeline,
                released: parts.released_up_to.get(&checkpoint.last_commit)?,
            })
        });
        let mut ids = Ids {
            held: parts.held(),
            saved: saved.collect(),
            read: None,
        };
        let checked = self.walk_ids(index, parts, &mut ids);
        self.findings.take(Class::Journal, checked);
    }

    fn walk_ids(
        &mut self,
        index: &Index,
        parts: &Parts,
        ids: &mut Ids<'_>,
    ) -> Result<(), StorageError> {
        for block in self.reader.blocks_from(Position::FIRST)? {
            let block = block?;
            let mut cursor = block.cursor();
            while let Some((position, entry)) = cursor.next()? {
                let fingerprint = entry.event_id.with_text(|text| index.fingerprint(text));
                let candidates = index.candidates(fingerprint)?;
                if !candidates.contains(&position) {
                    let text = format!(
                        "the index of the journal does not know position {position}: a bug"
                    );
                    self.findings.add(Class::Index, text);
                }
                if !ids.held.contains(position) {
                    continue;
                }
                for &earlier in candidates.iter().filter(|&&other| other < position) {
                    if !ids.held.contains(earlier) {
                        continue;
                    }
                    let twin = self.block_of(earlier, &mut ids.read)?;
                    if twin.cursor().seek(earlier)?.event_id == entry.event_id {
                        self.check_twins([earlier, position], parts, &ids.saved);
                    }
                }
            }
            self.progress(block.entries.into());
        }
        Ok(())
    }

    /// The block of a position, from the one that was read last where that is the same.
    fn block_of(
        &self,
        position: Position,
        read: &mut Option<Block>,
    ) -> Result<Block, StorageError> {
        let known = read.take();
        let block = match known.filter(|b| (b.first..=b.last()).contains(&position)) {
            Some(block) => block,
            None => self.reader.block_at(position)?,
        };
        Ok(read.insert(block).clone())
    }

    /// Checks two events of one id against the rules that keep it from being counted or released
    /// twice.
    fn check_twins(&mut self, twins: [Position; 2], parts: &Parts, saved: &[Saved<'_>]) {
        let [first, second] = twins;
        let both_in = |set: &PositionSet| set.contains(first) && set.contains(second);
        let both = format!("the events at positions {first} and {second} have one id, and both");
        if both_in(&parts.timeline) {
            self.findings
                .add(Class::Journal, format!("{both} are in the state"));
        }
        if both_in(&parts.settled.released) {
            self.findings
                .add(Class::Outputs, format!("{both} were released"));
        }
        for (released, other) in [(first, second), (second, first)] {
            let is_settled = parts.settled.contains(other);
            if parts.settled.released.contains(released)
                && parts.timeline.contains(other)
                && !is_settled
            {
                let text = format!(
                    "the next commit would release position {other}, though position {released} \
                     has the same id and was released"
                );
                self.findings.add(Class::Outputs, text);
            }
            for checkpoint in saved {
                if checkpoint.released.contains(released)
                    && checkpoint.timeline.contains(other)
                    && !is_settled
                {
                    let name = checkpoint.name;
                    let text = format!(
                        "a commit behind checkpoint {name:?} would release position {other}, \
                         though position {released} has the same id and was released"
                    );
                    self.findings.add(Class::Checkpoints, text);
                }
            }
        }
        for checkpoint in saved.iter().filter(|saved| both_in(saved.timeline)) {
            let text = format!("{both} are in checkpoint {:?}", checkpoint.name);
            self.findings.add(Class::Checkpoints, text);
        }
    }
}
