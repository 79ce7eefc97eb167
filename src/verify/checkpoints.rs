//! Checks that each checkpoint fits the journal, has no id twice, and would release no id twice.
//!
//! Two positions whose events have the same id are a pair, and each is the partner of the other.
//! Checkpoints are read one at a time, because together they may be larger than memory.

use std::collections::BTreeSet;

use crate::error::StorageError;
use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::state::settled::Settled;
use crate::store::Checkpoint;
use crate::verify::Verification;
use crate::verify::findings::Class;
use crate::verify::parts::{Checkpoints, Place};

/// The most pairs, about 40 MB, that are collected before they are compared with the checkpoints.
const MAX_PAIRS: usize = 1 << 19;

/// Pairs of positions that may break a rule for checkpoints.
#[derive(Debug, Default)]
pub(super) struct Pairs(Vec<[Position; 2]>);

/// An unsettled position whose partner was released. A checkpoint that was saved after that release
/// may not have it.
struct Released {
    /// The offset of the partner's output.
    offset: u64,
    unsettled: Position,
    released: Position,
}

impl Pairs {
    /// Adds a pair if it may break a rule for checkpoints.
    pub(super) fn add(
        &mut self,
        [first, second]: [Position; 2],
        checkpoints: &Checkpoints,
        settled: &Settled,
    ) {
        let is_held = |position| checkpoints.held.contains(position);
        let may_release = |released, other| {
            settled.released.contains(released) && is_held(other) && !settled.contains(other)
        };
        if is_held(first) && is_held(second)
            || may_release(first, second)
            || may_release(second, first)
        {
            self.0.push([first, second]);
        }
    }

    /// True if there are enough to compare them with the checkpoints.
    pub(super) fn are_many(&self) -> bool {
        self.0.len() >= MAX_PAIRS
    }
}

impl Verification<'_> {
    /// Reads every checkpoint, and compares it with the ends of the journal and the output log.
    pub(super) fn checkpoints(&mut self) -> Checkpoints {
        let mut checkpoints = Checkpoints::default();
        for stored in self.reader.checkpoints() {
            let Some((name, checkpoint)) = self.findings.take(Class::Checkpoints, stored) else {
                continue;
            };
            self.report.checkpoints += 1;
            let scalars = &self.record.scalars;
            let Checkpoint {
                position, outputs, ..
            } = checkpoint;
            let last = checkpoint.timeline.last().unwrap_or(Position::NONE);
            if position > scalars.position || last > position {
                let end = scalars.position;
                let text = format!(
                    "checkpoint {name:?} was saved at position {position} and ends at {last}, but \
                     the journal ends at {end}"
                );
                self.findings.add(Class::Checkpoints, text);
            } else if outputs > scalars.outputs {
                let text = format!(
                    "checkpoint {name:?} was saved after {outputs} outputs, but the log has {}",
                    scalars.outputs
                );
                self.findings.add(Class::Checkpoints, text);
            } else {
                checkpoints.held = checkpoints.held.union(&checkpoint.timeline);
                checkpoints.places.push(Place {
                    outputs,
                    position,
                    name,
                });
            }
        }
        checkpoints.places.sort_unstable();
        checkpoints
    }

    /// Compares pairs with every checkpoint, and removes them. No checkpoint may have both
    /// positions of a pair, or an unsettled one whose partner was released before it was saved.
    pub(super) fn check_pairs(
        &mut self,
        Pairs(pairs): &mut Pairs,
        checkpoints: &Checkpoints,
        settled: &Settled,
    ) -> Result<(), StorageError> {
        if pairs.is_empty() {
            return Ok(());
        }
        let partners = in_both_directions(std::mem::take(pairs));
        let mut paired = PositionSet::default();
        for &(position, _) in &partners {
            paired.insert(position);
        }
        let mut released = self
            .released_partners(&partners, settled)?
            .into_iter()
            .peekable();
        let (mut wrong, mut wrong_positions) = (Vec::new(), PositionSet::default());
        let (mut both, mut before) = (BTreeSet::new(), PositionSet::default());
        for Place { outputs, name, .. } in &checkpoints.places {
            let Some(Checkpoint { timeline, .. }) = self.reader.checkpoint(name)? else {
                continue;
            };
            while let Some(next) = released.next_if(|next| next.offset < *outputs) {
                wrong_positions.insert(next.unsettled);
                wrong.push(next);
            }
            if !timeline.intersection(&wrong_positions).is_empty() {
                let wrong = wrong.iter().filter(|one| timeline.contains(one.unsettled));
                wrong.for_each(|one| self.add_released_twice(one, name));
            }
            // Only a position that the checkpoint before did not have can complete another pair.
            let here = timeline.intersection(&paired);
            both.retain(|&(first, second)| here.contains(first) && here.contains(second));
            for position in here.difference(&before).positions() {
                let partners =
                    partners_of(&partners, position).filter(|&partner| here.contains(partner));
                both.extend(partners.map(|partner| (position.min(partner), position.max(partner))));
            }
            both.iter()
                .for_each(|&partners| self.add_both(partners, name));
            before = here;
        }
        Ok(())
    }

    /// Returns the unsettled positions whose partner was released, in the order of the output log.
    fn released_partners(
        &self,
        partners: &[(Position, Position)],
        settled: &Settled,
    ) -> Result<Vec<Released>, StorageError> {
        let mut found = Vec::new();
        let is_wanted = |&&(released, other): &&(Position, Position)| {
            settled.released.contains(released) && !settled.contains(other)
        };
        if partners.iter().find(is_wanted).is_none() {
            return Ok(found);
        }
        let outputs = self.record.scalars.outputs;
        for release in self.reader.releases(0, &settled.released, outputs)? {
            let release = release?;
            let mut offset = release.first_output;
            for range in release.released.ranges() {
                let from = partners.partition_point(|&(position, _)| position < range.first);
                let until = partners.partition_point(|&(position, _)| position <= range.last);
                let wanted = partners[from..until].iter().filter(is_wanted);
                found.extend(wanted.map(|&(released, unsettled)| Released {
                    offset: offset + released.0 - range.first.0,
                    unsettled,
                    released,
                }));
                offset += range.len();
            }
        }
        Ok(found)
    }

    fn add_released_twice(&mut self, wrong: &Released, name: &str) {
        let Released {
            unsettled,
            released,
            ..
        } = wrong;
        let text = format!(
            "a commit after a restore of checkpoint {name:?} would release position {unsettled}, \
             but position {released} has the same id and was released"
        );
        self.findings.add(Class::Checkpoints, text);
    }

    fn add_both(&mut self, (first, second): (Position, Position), name: &str) {
        let text = format!(
            "the events at positions {first} and {second} have the same id, and both are in \
             checkpoint {name:?}"
        );
        self.findings.add(Class::Checkpoints, text);
    }
}

/// Returns each pair twice, once from each of its positions, in order.
fn in_both_directions(pairs: Vec<[Position; 2]>) -> Vec<(Position, Position)> {
    let both = pairs
        .into_iter()
        .flat_map(|[first, second]| [(first, second), (second, first)]);
    let mut partners: Vec<_> = both.collect();
    partners.sort_unstable();
    partners
}

/// Returns the partners of a position. `partners` has each pair in both directions, in order.
fn partners_of(
    partners: &[(Position, Position)],
    position: Position,
) -> impl Iterator<Item = Position> + '_ {
    let from = partners.partition_point(|&(other, _)| other < position);
    let of_it = partners[from..].iter();
    of_it
        .take_while(move |&&(other, _)| other == position)
        .map(|&(_, partner)| partner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Request;
    use crate::state::position_set::PositionRange;
    use crate::store::Group;
    use crate::store::Options;
    use crate::{Engine, verify};

    fn checkpoint(positions: [u64; 2], outputs: u64) -> Option<Checkpoint> {
        let [first, last] = positions.map(Position);
        Some(Checkpoint {
            timeline: PositionSet::from_ranges([PositionRange { first, last }]),
            position: Position(3),
            outputs,
            source: None,
            committed_source: None,
            created_at_ms: 0,
        })
    }

    #[test]
    fn a_checkpoint_with_an_id_twice_or_one_that_was_released_is_found_and_no_other() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path();
        let options = Options::default();
        let mut engine = Engine::open(path, &options).expect("it is new");
        let event = |event_id| Request::Process {
            event_id,
            word: "w",
        };
        // Positions 1 and 2 have the same id, and the second is released.
        let requests = [
            event("e1"),
            Request::Rollback,
            event("e1"),
            event("e2"),
            Request::Commit,
        ];
        let submitted = engine.submit(&requests, std::time::UNIX_EPOCH);
        assert!(submitted.is_ok());
        engine.close().expect("the storage works");
        let store = crate::store::open(path, &options).expect("it is there");
        let checkpoints = [
            ("both", checkpoint([1, 2], 0)),
            ("first", checkpoint([1, 1], 0)),
            ("first, released", checkpoint([1, 1], 1)),
            ("last two", checkpoint([2, 3], 1)),
            ("still both", checkpoint([1, 3], 0)),
        ];
        let checkpoints = checkpoints.map(|(name, checkpoint)| (name.to_owned(), checkpoint));
        let group = Group {
            number: store.first_groups().group,
            scalars: store.scalars().clone(),
            checkpoints: checkpoints.into(),
            ..Group::default()
        };
        let findings = verify::found_after(store, group, path);
        let of = |finding: &verify::Finding| {
            let name = finding.text.split('"').nth(1).map(str::to_owned);
            (finding.class, name.expect("a name"))
        };
        let found: Vec<_> = findings.iter().map(of).collect();
        let expected = ["both", "still both", "first, released"];
        let expected = expected.map(|name| (Class::Checkpoints, name.to_owned()));
        assert_eq!(found, expected, "{findings:?}");
    }
}
