//! Checks that the journal is complete, that the stored runs of the index fit it, and that no id is
//! counted or released twice.

use crate::error::StorageError;
use crate::index::ExactIndex;
use crate::journal::walk_fingerprints;
use crate::state::position::{Position, Positions};
use crate::state::position_set::PositionSet;
use crate::store::bytes::block::Block;
use crate::verify::Verification;
use crate::verify::checkpoints::Pairs;
use crate::verify::findings::Class;
use crate::verify::parts::Parts;

/// The state of the comparison of events that have the same id.
struct Ids {
    /// Positions that the state or a checkpoint has, or that are settled. Only these are compared.
    held: PositionSet,
    /// The pairs that are still to be compared with the checkpoints.
    pairs: Pairs,
    /// The block that was read last for an earlier event.
    read: Option<Block>,
}

impl Verification<'_> {
    /// Makes a new index from all blocks. Returns `None` if one cannot be read, or if the journal
    /// does not end where the state does.
    pub(super) fn check_journal(&mut self) -> Option<ExactIndex> {
        let mut index = ExactIndex::new(Position::FIRST, self.record.scalars.position.0);
        let read = walk_fingerprints(
            self.reader,
            Position::FIRST,
            self.copy.fingerprints(),
            |_, fingerprint| index.push(fingerprint),
            |events| self.progress(events),
        );
        let reached = self.findings.take(Class::Journal, read)?;
        let head = self.record.scalars.position;
        if reached != head {
            let text = format!("the journal ends at position {reached}, but the state at {head}");
            self.findings.add(Class::Journal, text);
            return None;
        }
        Some(index)
    }

    /// Compares the stored runs of the index with the journal.
    pub(super) fn check_runs(&mut self, index: &ExactIndex) {
        let Some((runs, _)) = self.findings.take(Class::Index, self.reader.runs()) else {
            return;
        };
        self.report.runs = runs.len() as u64;
        for run in runs {
            let mut is_found = vec![false; (run.last.0 - run.first.0 + 1) as usize];
            let mut differing = 0;
            let loaded = self.reader.read_run(&run, |fingerprint, position| {
                let found = is_found.get_mut((position.0 - run.first.0) as usize);
                let is_again = found.is_none_or(|found| std::mem::replace(found, true));
                differing +=
                    u64::from(is_again || index.fingerprint_of(position) != Some(fingerprint));
            });
            self.findings.take(Class::Index, loaded);
            let what = format!(
                "entries of run {} of the index that do not fit the journal",
                run.run.0
            );
            self.findings.compare(Class::Index, &what, 0, differing);
        }
    }

    /// Compares every event with the earlier events that have its id.
    pub(super) fn check_ids(&mut self, index: &ExactIndex, parts: &Parts) {
        let mut ids = Ids {
            held: parts.held(self.record.scalars.position),
            pairs: Pairs::default(),
            read: None,
        };
        let checked = self.walk_ids(index, parts, &mut ids);
        self.findings.take(Class::Journal, checked);
        self.check_pairs_of(&mut ids, parts);
    }

    fn check_pairs_of(&mut self, ids: &mut Ids, parts: &Parts) {
        let checked = self.check_pairs(&mut ids.pairs, &parts.checkpoints, &parts.settled);
        self.findings.take(Class::Checkpoints, checked);
    }

    fn walk_ids(
        &mut self,
        index: &ExactIndex,
        parts: &Parts,
        ids: &mut Ids,
    ) -> Result<(), StorageError> {
        for block in self.reader.blocks_from(Position::FIRST)? {
            let block = block?;
            let mut cursor = block.cursor();
            while let Some((position, entry)) = cursor.next()? {
                if !ids.held.contains(position) {
                    continue;
                }
                let mut candidates = Positions::new();
                if let Some(fingerprint) = index.fingerprint_of(position) {
                    index.find(fingerprint, &mut candidates);
                }
                for &earlier in candidates.iter().filter(|&&other| other < position) {
                    if !ids.held.contains(earlier) {
                        continue;
                    }
                    let partner = self.block_of(earlier, &mut ids.read)?;
                    if partner.cursor().seek(earlier)?.event_id == entry.event_id {
                        let partners = [earlier, position];
                        self.check_pair(partners, parts);
                        ids.pairs.add(partners, &parts.checkpoints, &parts.settled);
                    }
                }
            }
            if ids.pairs.are_many() {
                self.check_pairs_of(ids, parts);
            }
            self.progress(block.entries.into());
        }
        Ok(())
    }

    /// Returns the block of a position, which is the one in `read` if that has it.
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

    /// Checks two events with the same id against the rules that keep the state from counting or
    /// releasing it twice.
    fn check_pair(&mut self, partners: [Position; 2], parts: &Parts) {
        let [first, second] = partners;
        let both = |is_in: &dyn Fn(Position) -> bool| is_in(first) && is_in(second);
        let (are_in_state, are_released) = (
            both(&|position| parts.timeline.contains(position)),
            both(&|position| parts.settled.released.contains(position)),
        );
        let both =
            format!("the events at positions {first} and {second} have the same id, and both");
        if are_in_state {
            self.findings
                .add(Class::Journal, format!("{both} are in the state"));
        }
        if are_released {
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
                    "the next commit would release position {other}, but position {released} \
                     has the same id and was released"
                );
                self.findings.add(Class::Outputs, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Request;
    use crate::store::Options;
    use crate::store::{Group, RunHeader, RunNumber, RunWrites, encode_run};
    use crate::{Engine, verify};

    #[test]
    fn a_run_that_says_something_else_than_the_journal_is_found() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path();
        let options = Options::default();
        let mut engine = Engine::open(path, &options).expect("it is new");
        let event = Request::Process {
            event_id: "e1",
            word: "w",
        };
        let submitted = engine.submit(&[event], std::time::UNIX_EPOCH);
        assert!(submitted.is_ok());
        engine.close().expect("the storage works");
        let store = crate::store::open(path, &options).expect("it is there");
        let fingerprint = store.fingerprints().of("another id");
        let (run, first) = (RunNumber(0), Position::FIRST);
        let blocks = encode_run(run, first, [(fingerprint, first)]);
        let header = RunHeader {
            run,
            first,
            last: first,
            first_fingerprint: fingerprint,
            blocks: 1,
            digest: xxhash_rust::xxh3::xxh3_64(&blocks[0].checksum().to_le_bytes()),
        };
        let group = Group {
            number: store.first_groups().group,
            scalars: store.scalars().clone(),
            runs: RunWrites {
                blocks,
                finished: Some(header),
                ..RunWrites::default()
            },
            ..Group::default()
        };
        let findings = verify::found_after(store, group, path);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].class, Class::Index);
    }
}
