//! Loads a dump, line by line.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io::BufRead;

use serde::Deserialize;

use crate::Request;
use crate::driver::{self, Applier};
use crate::engine::Engine;
use crate::inspect::record::{self, OutputStatus, Ranges, Record, Source, SwitchKind};
use crate::inspect::{Digest, DumpDigest};
use crate::load::error::LoadError;
use crate::processor::StateParts;
use crate::state::counts::word_hash;
use crate::state::position::Position;
use crate::state::position_set::{PositionRange, PositionSet};
use crate::state::settled::Released;
use crate::store::{Checkpoint, Commit, Release, Store, Switch, SwitchRecord};

/// Lines between two checks of the disk's free space, which cost little at this distance.
const LINES_A_LOOK: u64 = 4_096;

/// The largest position that a dump may have, far more than a directory can reach. A wrong number
/// must not make a set that takes all memory.
const MAX_POSITION: u64 = 1 << 36;

/// The most characters of a line that an error shows.
const SHOWN_CHARS: usize = 80;

/// Figures of a loaded state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// Number of events that were ever accepted.
    pub positions: u64,
    /// Number of released outputs.
    pub outputs: u64,
    /// Number of checkpoints.
    pub checkpoints: u64,
}

/// Loads a dump, line by line.
pub(super) struct Loader {
    applier: Applier<()>,
    store: Store,
    rest: StateParts,
    /// Numbers of the section `meta`, by name.
    said: BTreeMap<&'static str, u64>,
    counts_digest: u64,
    /// The commits whose outputs have not all been read.
    commits: VecDeque<record::Commit>,
    /// The offset after the last output of each commit.
    commit_ends: Vec<u64>,
    /// Checkpoints of a dump of format 4, each with the number of its last commit.
    old_checkpoints: Vec<(String, Checkpoint, u64)>,
    /// Positions whose outputs have been read, and whose release has not been added yet.
    released: PositionSet,
    /// The position of the last released output, and its commit.
    last_output: (Position, Option<u64>),
    loaded: Loaded,
}

impl Loader {
    pub(super) fn new(engine: Engine) -> Self {
        let (applier, store) = engine.into_halves();
        Self {
            applier,
            store,
            rest: StateParts::default(),
            said: BTreeMap::new(),
            counts_digest: 0,
            commits: VecDeque::new(),
            commit_ends: Vec::new(),
            old_checkpoints: Vec::new(),
            released: PositionSet::default(),
            last_output: (Position::NONE, None),
            loaded: Loaded::default(),
        }
    }

    /// Loads a whole dump, and closes the directory.
    pub(super) fn load(mut self, mut input: impl BufRead) -> Result<Loaded, LoadError> {
        let mut digest = DumpDigest::default();
        let mut line = Vec::new();
        let stored: Digest = loop {
            line.clear();
            input
                .read_until(b'\n', &mut line)
                .map_err(LoadError::Input)?;
            let lines = digest.records();
            if line.is_empty() && lines == 0 {
                return Err(LoadError::Empty);
            }
            let (text, is_whole) = match line.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (&*line, false),
            };
            let record = match serde_json::from_slice(text) {
                Ok(Record::Digest(stored)) => break stored,
                _ if !is_whole => return Err(LoadError::CutOff { lines }),
                Ok(record) => record,
                Err(error) => return Err(wrong_line(lines + 1, text, &error)),
            };
            self.take(record, (lines + 1, text))?;
            digest.add(text);
            if lines.is_multiple_of(LINES_A_LOOK) {
                self.look_for_room()?;
            }
            if self.applier.is_full() {
                self.store.persist(&mut self.applier.end_group()?)?;
            }
        };
        digest
            .check(&stored)
            .map_err(|(expected, found)| LoadError::Changed { expected, found })?;
        check_end(input, stored.records + 1)?;
        self.finish()
    }

    /// Loads a record, which has this line number and text.
    fn take(&mut self, record: Record<'_>, (line, text): (u64, &[u8])) -> Result<(), LoadError> {
        if !matches!(record, Record::Meta(_)) && self.said.is_empty() {
            return Err(LoadError::Partial);
        }
        if matches!(
            record,
            Record::Switch(_) | Record::Output(_) | Record::Event(_)
        ) {
            self.take_old_checkpoints()?;
        }
        match record {
            Record::Event(event) => self.take_event(&event)?,
            Record::Output(output) => self.take_output(&output)?,
            Record::Count(record::Count { word, count }) => {
                let digest = word_hash(&word).wrapping_mul(count);
                self.counts_digest = self.counts_digest.wrapping_add(digest);
            }
            Record::Meta(meta) => {
                self.take_meta(meta, |error| wrong_line(line, text, &error))?;
            }
            Record::Checkpoint(checkpoint) => self.take_checkpoint(checkpoint)?,
            Record::Commit(commit) => self.take_commit(commit)?,
            Record::Switch(switch) => self.take_switch(switch),
            Record::Digest(_) => unreachable!("a digest ends the dump"),
        }
        Ok(())
    }

    /// Loads a scalar or a set; `wrong` is the error for a value of another type.
    fn take_meta(
        &mut self,
        record::Meta { name, value }: record::Meta<'_>,
        wrong: impl Fn(serde_json::Error) -> LoadError,
    ) -> Result<(), LoadError> {
        const NUMBERS: [&str; 6] = [
            "position",
            "events",
            "pending",
            "outputs",
            "last_commit",
            "switches",
        ];
        let set = || self.set_of(&Ranges::deserialize(&value).map_err(&wrong)?);
        let source = || {
            let source = Option::deserialize(&value).map_err(&wrong)?;
            Ok::<_, LoadError>(source.map(Source::into_bytes))
        };
        match &*name {
            "timeline" => self.rest.timeline = set()?,
            "released" => self.rest.settled.released = Released::new(set()?, None),
            "absorbed" => self.rest.settled.absorbed = set()?,
            "autocommit" => self.rest.autocommit = bool::deserialize(&value).map_err(wrong)?,
            "source" => self.rest.source = source()?,
            "committed_source" => self.rest.committed_source = source()?,
            name => {
                // Any other value concerns only the old directory, such as its format.
                if let Some(name) = NUMBERS.into_iter().find(|known| *known == name) {
                    let number = u64::deserialize(&value).map_err(wrong)?;
                    self.said.insert(name, number);
                }
            }
        }
        Ok(())
    }

    /// Returns the set of these ranges, which may be wrong until the digest of the dump is checked.
    fn set_of(&self, ranges: &Ranges) -> Result<PositionSet, LoadError> {
        let head = self.said("position").min(MAX_POSITION);
        let mut set = PositionSet::default();
        for &(first, last) in ranges {
            if !(1 <= first && first <= last && last <= head) {
                let expected = format!("1 to {head}");
                let found = format!("{first} to {last}");
                return Err(contradiction("the positions of a set", expected, found));
            }
            set.insert_range(PositionRange {
                first: Position(first),
                last: Position(last),
            });
        }
        Ok(set)
    }

    /// Returns a number of the section `meta`, or 0 if it has not been read.
    fn said(&self, name: &str) -> u64 {
        self.said.get(name).copied().unwrap_or_default()
    }

    fn take_checkpoint(&mut self, record: record::Checkpoint<'_>) -> Result<(), LoadError> {
        let checkpoint = Checkpoint {
            timeline: self.set_of(&record.timeline)?,
            position: Position(record.position),
            outputs: record.outputs.unwrap_or_default(),
            source: record.source.map(Source::into_bytes),
            committed_source: record.committed_source.map(Source::into_bytes),
            created_at_ms: record.created_at_ms.unwrap_or_default(),
        };
        let name = record.name.into_owned();
        self.loaded.checkpoints += 1;
        match (record.outputs, record.last_commit) {
            (None, Some(last_commit)) => {
                self.old_checkpoints.push((name, checkpoint, last_commit));
            }
            _ => self.applier.rebuild().checkpoint(name, checkpoint),
        }
        Ok(())
    }

    /// Adds the checkpoints of a dump of format 4. All commits must have been read.
    fn take_old_checkpoints(&mut self) -> Result<(), LoadError> {
        for (name, mut checkpoint, last_commit) in std::mem::take(&mut self.old_checkpoints) {
            if let Some(before) = last_commit.checked_sub(1) {
                let end = self.commit_ends.get(before as usize).copied();
                let known = self.commit_ends.len();
                checkpoint.outputs = end.ok_or_else(|| {
                    let (expected, found) = (format!("1 to {known}"), last_commit.to_string());
                    contradiction("the last commit of a checkpoint", expected, found)
                })?;
            }
            self.applier.rebuild().checkpoint(name, checkpoint);
        }
        Ok(())
    }

    fn take_commit(&mut self, line: record::Commit) -> Result<(), LoadError> {
        let number = self.commit_ends.len() as u64 + 1;
        agree("the number of a commit", number, line.commit)?;
        self.commit_ends
            .push(line.first_offset.saturating_add(line.outputs));
        self.commits.push_back(line);
        Ok(())
    }

    fn take_switch(&mut self, record: record::Switch<'_>) {
        let checkpoint_id = record.checkpoint.map(Cow::into_owned);
        self.applier.rebuild().switch(Switch {
            number: record.number,
            record: SwitchRecord {
                checkpoint_id: checkpoint_id.filter(|_| record.kind == SwitchKind::Restore),
                position: Position(record.position),
                reached: Position(record.reached),
                events_left: record.events_left,
                events_back: record.events_back,
                last_commit: record.last_commit,
                made_at_ms: record.made_at_ms.unwrap_or_default(),
            },
        });
    }

    fn take_output(&mut self, line: &record::Output<'_>) -> Result<(), LoadError> {
        if line.status == OutputStatus::Pending {
            // The pending outputs follow from the timeline and the released positions.
            return Ok(());
        }
        let position = Position(line.position);
        let head = self.said("position").min(MAX_POSITION);
        if !(1..=head).contains(&position.0) || self.released.contains(position) {
            let expected = format!("1 to {head}, each once");
            return Err(contradiction(
                "the position of an output",
                expected,
                position.to_string(),
            ));
        }
        // The outputs of one release are in the order of their positions.
        let (last_position, last_commit) = self.last_output;
        if last_commit.is_some() != line.commit.is_some() || position < last_position {
            self.take_released_one_by_one();
        }
        self.last_output = (position, line.commit);
        self.released.insert(position);
        self.loaded.outputs += 1;
        let Some(number) = line.commit else {
            return Ok(());
        };
        let commit = self.commits.front();
        let expected = commit.map_or(0, |commit| commit.commit);
        agree("the commit of an output", expected, number)?;
        if commit.is_none_or(|commit| commit.outputs != self.released.len()) {
            return Ok(());
        }
        self.commits
            .pop_front()
            .map_or(Ok(()), |commit| self.take_released_by(&commit))
    }

    /// Adds the release of a commit, all of whose outputs have been read.
    fn take_released_by(&mut self, line: &record::Commit) -> Result<(), LoadError> {
        let first_output = self.loaded.outputs - line.outputs;
        agree("the offset of a commit", first_output, line.first_offset)?;
        let commit = Commit {
            number: line.commit,
            position: Position(line.position),
            committed_at_ms: line.committed_at_ms.unwrap_or_default(),
        };
        self.take_release(Some(commit));
        Ok(())
    }

    /// Adds the release of the outputs without a commit that have been read.
    fn take_released_one_by_one(&mut self) {
        if self.last_output.1.is_none() && !self.released.is_empty() {
            self.take_release(None);
        }
    }

    fn take_release(&mut self, commit: Option<Commit>) {
        let released = std::mem::take(&mut self.released);
        self.applier.rebuild().release(Release {
            commit,
            first_output: self.loaded.outputs - released.len(),
            released: released.into(),
        });
    }

    fn take_event(&mut self, line: &record::Event<'_>) -> Result<(), LoadError> {
        let is_in_state = self.rest.timeline.contains(Position(line.position));
        agree("that an event is in the state", is_in_state, line.in_state)?;
        let (event_id, word) = (&*line.event_id, &*line.word);
        let request = Request::Process { event_id, word };
        if let Err(refusal) = request.check_lengths() {
            let (expected, found) = ("lengths that can be stored".to_owned(), refusal.to_string());
            return Err(contradiction("the lengths of an event", expected, found));
        }
        let position = self
            .applier
            .rebuild()
            .event(event_id, word, line.count, is_in_state);
        agree("the position of an event", position.0, line.position)?;
        self.loaded.positions = position.0;
        Ok(())
    }

    fn look_for_room(&mut self) -> Result<(), LoadError> {
        match self.applier.rebuild().look_for_room()? {
            None => Ok(()),
            Some(low) => Err(LoadError::LowDisk {
                free_bytes: low.free_bytes,
                floor_bytes: low.floor_bytes,
            }),
        }
    }

    fn finish(mut self) -> Result<Loaded, LoadError> {
        self.take_old_checkpoints()?;
        self.take_released_one_by_one();
        let said = |name| self.said(name);
        let StateParts {
            timeline, settled, ..
        } = &self.rest;
        let pending = settled.missing_of(timeline).len();
        agree(
            "the number of events",
            said("position"),
            self.loaded.positions,
        )?;
        agree(
            "the number of events in the state",
            said("events"),
            timeline.len(),
        )?;
        agree("the number of pending outputs", said("pending"), pending)?;
        agree(
            "the number of outputs",
            said("outputs"),
            self.loaded.outputs,
        )?;
        agree(
            "the number of released positions",
            said("outputs"),
            settled.released.closed().len(),
        )?;
        agree(
            "the number of commits without all outputs",
            0,
            self.commits.len() as u64,
        )?;
        let counted = self.applier.rebuild().counts_digest();
        agree("the digest of the counts", self.counts_digest, counted)?;
        self.applier.rebuild().rest(self.rest);
        driver::persist_rest(&mut self.applier, &mut self.store)?;
        self.store.close()?;
        Ok(self.loaded)
    }
}

/// Checks that only blank lines follow the digest, which is in line `digest_line`.
fn check_end(mut input: impl BufRead, digest_line: u64) -> Result<(), LoadError> {
    loop {
        let bytes = input.fill_buf().map_err(LoadError::Input)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let text = bytes.trim_ascii_start();
        if !text.is_empty() {
            let text = shown(text.split(|&byte| byte == b'\n').next().unwrap_or_default());
            return Err(LoadError::Trailing { digest_line, text });
        }
        let blank = bytes.len();
        input.consume(blank);
    }
}

fn agree<T: PartialEq + ToString>(
    what: &'static str,
    expected: T,
    found: T,
) -> Result<(), LoadError> {
    if expected == found {
        return Ok(());
    }
    Err(contradiction(what, expected.to_string(), found.to_string()))
}

fn contradiction(what: &'static str, expected: String, found: String) -> LoadError {
    LoadError::Contradiction {
        what,
        expected,
        found,
    }
}

fn wrong_line(line: u64, text: &[u8], error: &serde_json::Error) -> LoadError {
    LoadError::Line {
        line,
        reason: error.to_string(),
        text: shown(text),
    }
}

/// Returns the first [`SHOWN_CHARS`] characters of a line.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().take(SHOWN_CHARS).collect()
}
