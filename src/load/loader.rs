//! Taking in a dump, line by line.

use std::collections::{BTreeMap, VecDeque};
use std::io::BufRead;

use crate::Request;
use crate::driver::{self, Applier};
use crate::engine::Engine;
use crate::inspect::{DumpDigest, MoveKind, OutputStatus};
use crate::load::error::LoadError;
use crate::load::lines::{
    CheckpointLine, CommitLine, CountLine, MetaLine, MoveLine, OutputLine, Ranges, SeenLine,
    kind_of, source_of,
};
use crate::processor::Rest;
use crate::state::counts::word_hash;
use crate::state::position::Position;
use crate::state::position_set::{PositionRange, PositionSet};
use crate::state::settled::Released;
use crate::store::{Checkpoint, Commit, Move, MoveRecord, Release, Store};

/// How often it is looked how much of the disk is free, in lines.
const LINES_A_LOOK: u64 = 4_096;

/// Far more positions than a directory can have.
const MAX_POSITION: u64 = 1 << 36;

/// How much of a line is shown in an error.
const SHOWN_CHARS: usize = 80;

/// What was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// How many events were ever accepted.
    pub positions: u64,
    /// How many outputs have been released.
    pub outputs: u64,
    /// How many checkpoints there are.
    pub checkpoints: u64,
}

/// Takes in a dump, line by line.
pub(super) struct Loader {
    applier: Applier<()>,
    store: Store,
    rest: Rest,
    /// What the dump says of itself in its section `meta`.
    said: BTreeMap<&'static str, u64>,
    counts_digest: u64,
    /// The commits whose outputs have not all come.
    commits: VecDeque<CommitLine>,
    /// The offset after the last output of each commit.
    commit_ends: Vec<u64>,
    /// Checkpoints of a dump of format 4, each with the number of its last commit.
    old_checkpoints: Vec<(String, Checkpoint, u64)>,
    /// Positions whose outputs have come, and are not taken in.
    released: PositionSet,
    /// The position of the last output, and its commit.
    last_output: (Position, Option<u64>),
    loaded: Loaded,
}

/// Why a line is none of a dump.
enum Wrong {
    Json(serde_json::Error),
    Kind,
    Load(LoadError),
}

impl From<serde_json::Error> for Wrong {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<LoadError> for Wrong {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl Loader {
    pub(super) fn new(engine: Engine) -> Self {
        let (applier, store) = engine.into_halves();
        Self {
            applier,
            store,
            rest: Rest::default(),
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

    /// Takes in a whole dump, and closes the directory.
    pub(super) fn load(mut self, mut input: impl BufRead) -> Result<Loaded, LoadError> {
        let mut digest = DumpDigest::default();
        let mut line = Vec::new();
        let stored = loop {
            line.clear();
            input
                .read_until(b'\n', &mut line)
                .map_err(LoadError::Input)?;
            let lines = digest.records();
            let (text, is_whole) = match line.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (&*line, false),
            };
            if kind_of(text) == Some(b"digest") {
                match serde_json::from_slice(text) {
                    Ok(stored) => break stored,
                    Err(_) if !is_whole => return Err(LoadError::CutOff { lines }),
                    Err(error) => return Err(wrong_line(lines + 1, text, &error.to_string())),
                }
            }
            if line.is_empty() && lines == 0 {
                return Err(LoadError::Empty);
            }
            if !is_whole {
                return Err(LoadError::CutOff { lines });
            }
            self.take(text).map_err(|wrong| match wrong {
                Wrong::Json(error) => wrong_line(lines + 1, text, &error.to_string()),
                Wrong::Kind => wrong_line(lines + 1, text, "its type is unknown"),
                Wrong::Load(error) => error,
            })?;
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

    fn take(&mut self, text: &[u8]) -> Result<(), Wrong> {
        let kind = kind_of(text).ok_or(Wrong::Kind)?;
        if kind != b"meta" && self.said.is_empty() {
            return Err(LoadError::Partial.into());
        }
        if !matches!(kind, b"meta" | b"count" | b"checkpoint" | b"commit") {
            self.take_old_checkpoints()?;
        }
        match kind {
            b"seen" => self.take_seen(&serde_json::from_slice(text)?)?,
            b"output" => self.take_output(&serde_json::from_slice(text)?)?,
            b"count" => {
                let CountLine { word, count } = serde_json::from_slice(text)?;
                let digest = word_hash(&word).wrapping_mul(count);
                self.counts_digest = self.counts_digest.wrapping_add(digest);
            }
            b"meta" => self.take_meta(&serde_json::from_slice(text)?)?,
            b"checkpoint" => self.take_checkpoint(serde_json::from_slice(text)?)?,
            b"commit" => self.take_commit(serde_json::from_slice(text)?)?,
            b"move" => self.take_move(serde_json::from_slice(text)?),
            _ => return Err(Wrong::Kind),
        }
        Ok(())
    }

    fn take_meta(&mut self, line: &MetaLine<'_>) -> Result<(), Wrong> {
        const NUMBERS: [&str; 6] = [
            "position",
            "events",
            "pending",
            "outputs",
            "last_commit",
            "moves",
        ];
        let value = line.value.get();
        match &*line.name {
            "timeline" => self.rest.timeline = self.set_of(&serde_json::from_str(value)?)?,
            "released" => {
                let released = self.set_of(&serde_json::from_str(value)?)?;
                self.rest.settled.released = Released::new(released, None);
            }
            "autocommit" => self.rest.autocommit = serde_json::from_str(value)?,
            "absorbed" => {
                self.rest.settled.absorbed = self.set_of(&serde_json::from_str(value)?)?;
            }
            "source" => self.rest.source = source_of(serde_json::from_str(value)?),
            "committed_source" => {
                self.rest.committed_source = source_of(serde_json::from_str(value)?);
            }
            name => {
                // What else there may be is of the old directory alone.
                if let Some(name) = NUMBERS.into_iter().find(|known| *known == name) {
                    self.said.insert(name, serde_json::from_str(value)?);
                }
            }
        }
        Ok(())
    }

    /// The set that ranges make up, which are read before anybody knows whether they are true.
    fn set_of(&self, ranges: &Ranges) -> Result<PositionSet, LoadError> {
        let head = self.said("position").min(MAX_POSITION);
        let mut set = PositionSet::default();
        for &(first, last) in ranges {
            if !(1 <= first && first <= last && last <= head) {
                let expected = format!("positions from 1 to {head}");
                let found = format!("{first} to {last}");
                return Err(contradiction("a set has", expected, found));
            }
            set.insert_range(PositionRange {
                first: Position(first),
                last: Position(last),
            });
        }
        Ok(set)
    }

    /// What the dump says of itself under a name.
    fn said(&self, name: &str) -> u64 {
        self.said.get(name).copied().unwrap_or_default()
    }

    fn take_checkpoint(&mut self, line: CheckpointLine<'_>) -> Result<(), LoadError> {
        let checkpoint = Checkpoint {
            timeline: self.set_of(&line.timeline)?,
            position: Position(line.position),
            outputs: line.outputs.unwrap_or_default(),
            source: source_of(line.source),
            committed_source: source_of(line.committed_source),
            created_at_ms: line.created_at_ms,
        };
        self.loaded.checkpoints += 1;
        match (line.outputs, line.last_commit) {
            (None, Some(last_commit)) => {
                self.old_checkpoints
                    .push((line.name, checkpoint, last_commit));
            }
            _ => self.applier.rebuild().checkpoint(line.name, checkpoint),
        }
        Ok(())
    }

    /// Takes in the checkpoints of a dump of format 4, once all commits are known.
    fn take_old_checkpoints(&mut self) -> Result<(), LoadError> {
        for (name, mut checkpoint, last_commit) in std::mem::take(&mut self.old_checkpoints) {
            if let Some(before) = last_commit.checked_sub(1) {
                let end = self.commit_ends.get(before as usize).copied();
                let known = self.commit_ends.len();
                checkpoint.outputs = end.ok_or_else(|| {
                    let (expected, found) = (format!("1 to {known}"), last_commit.to_string());
                    contradiction("checkpoints refer to commits", expected, found)
                })?;
            }
            self.applier.rebuild().checkpoint(name, checkpoint);
        }
        Ok(())
    }

    fn take_commit(&mut self, line: CommitLine) -> Result<(), LoadError> {
        let number = self.commit_ends.len() as u64 + 1;
        agree("commits go on at number", number, line.commit)?;
        self.commit_ends
            .push(line.first_offset.saturating_add(line.outputs));
        self.commits.push_back(line);
        Ok(())
    }

    fn take_move(&mut self, line: MoveLine) {
        let checkpoint_id = line.checkpoint.filter(|_| line.kind == MoveKind::Restore);
        self.applier.rebuild().a_move(Move {
            number: line.number,
            record: MoveRecord {
                checkpoint_id,
                position: Position(line.position),
                reached: Position(line.reached),
                events_left: line.events_left,
                events_back: line.events_back,
                last_commit: line.last_commit,
                made_at_ms: line.made_at_ms,
            },
        });
    }

    fn take_output(&mut self, line: &OutputLine) -> Result<(), LoadError> {
        if line.status == OutputStatus::Pending {
            // Pending outputs are what the timeline has and the log has not.
            return Ok(());
        }
        let position = Position(line.position);
        let head = self.said("position").min(MAX_POSITION);
        if !(1..=head).contains(&position.0) || self.released.contains(position) {
            let expected = format!("positions from 1 to {head}, each once");
            return Err(contradiction(
                "outputs have",
                expected,
                position.to_string(),
            ));
        }
        // The outputs of one release stand in the order of their positions.
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
        agree(
            "the commits and their outputs name commits",
            expected,
            number,
        )?;
        if commit.is_none_or(|commit| commit.outputs != self.released.len()) {
            return Ok(());
        }
        self.commits
            .pop_front()
            .map_or(Ok(()), |commit| self.take_released_by(&commit))
    }

    /// Takes in what a commit released, all of which has come.
    fn take_released_by(&mut self, line: &CommitLine) -> Result<(), LoadError> {
        let first_output = self.loaded.outputs - line.outputs;
        agree("a commit begins at offset", first_output, line.first_offset)?;
        let commit = Commit {
            number: line.commit,
            position: Position(line.position),
            committed_at_ms: line.committed_at_ms,
        };
        self.take_release(Some(commit));
        Ok(())
    }

    /// Takes in what was released without a commit, as far as it has come.
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

    fn take_seen(&mut self, line: &SeenLine<'_>) -> Result<(), LoadError> {
        let is_in_state = self.rest.timeline.contains(Position(line.position));
        agree("an event is in the state as", is_in_state, line.in_state)?;
        let (event_id, word) = (&*line.event_id, &*line.word);
        let request = Request::Process { event_id, word };
        if let Err(refusal) = request.check_lengths() {
            let (expected, found) = ("lengths that can be stored".to_owned(), refusal.to_string());
            return Err(contradiction("an event has", expected, found));
        }
        let position = self
            .applier
            .rebuild()
            .event(event_id, word, line.count, is_in_state);
        agree("positions go on at", position.0, line.position)?;
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
        let Rest {
            timeline, settled, ..
        } = &self.rest;
        let pending = settled.missing_of(timeline).len();
        agree(
            "the number of events is",
            said("position"),
            self.loaded.positions,
        )?;
        agree(
            "the number of events in the state is",
            said("events"),
            timeline.len(),
        )?;
        agree("the number of pending outputs is", said("pending"), pending)?;
        agree(
            "the number of outputs is",
            said("outputs"),
            self.loaded.outputs,
        )?;
        agree(
            "that number is",
            said("outputs"),
            settled.released.closed().len(),
        )?;
        agree(
            "the number of commits without outputs is",
            0,
            self.commits.len() as u64,
        )?;
        let counted = self.applier.rebuild().counts_digest();
        agree("the digest of the counts is", self.counts_digest, counted)?;
        self.applier.rebuild().rest(self.rest);
        driver::persist_rest(&mut self.applier, &mut self.store)?;
        self.store.close()?;
        Ok(self.loaded)
    }
}

/// Checks that nothing but blank lines follows the digest, which is in this line.
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

fn wrong_line(line: u64, text: &[u8], reason: &str) -> LoadError {
    LoadError::Line {
        line,
        reason: reason.to_owned(),
        text: shown(text),
    }
}

/// The beginning of a line, for people.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().take(SHOWN_CHARS).collect()
}
