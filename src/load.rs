//! Building a directory from a dump: the way of a state to another machine, or into a smaller file.
//!
//! The directory is built under another name and gets its own when it is whole and closed, so that
//! one which was not finished is never taken for a state.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;
use thiserror::Error;

use crate::engine::Engine;
use crate::error::{OpenError, StorageError};
use crate::inspect::{DumpDigest, MoveKind, Source};
use crate::options::Options;
use crate::processor::{Processor, Rest};
use crate::state::counts::word_hash;
use crate::state::position::Position;
use crate::state::position_set::{PositionRange, PositionSet};
use crate::store::{Checkpoint, Commit, Move, MoveRecord, Store};

/// How often it is looked how much of the disk is free, in lines.
const LINES_A_LOOK: u64 = 4_096;

/// Far more positions than a directory can have.
const MAX_POSITION: u64 = 1 << 36;

/// How much of a line is shown in an error.
const SHOWN_CHARS: usize = 80;

/// Why a dump could not be loaded. Nothing is left of the attempt.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is something in the directory already.
    #[error("{} is not empty; name a new directory to load into", path.display())]
    NotEmpty {
        /// The directory that was named.
        path: PathBuf,
    },
    /// The dump could not be read.
    #[error("the dump could not be read")]
    Input(#[source] io::Error),
    /// A line is none of a dump.
    #[error("line {line} is no line of a dump ({reason}): {text}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
        /// How it begins.
        text: String,
    },
    /// The dump ends before its digest.
    #[error(
        "the dump ends after {lines} lines without its digest: it is cut off, or only a part; make \
         it again, whole"
    )]
    CutOff {
        /// How many lines there are.
        lines: u64,
    },
    /// The dump does not begin as a whole one does.
    #[error(
        "the dump does not say what it is of: it is only a part (--only, --prefix, --limit); make \
         it again, whole"
    )]
    Partial,
    /// The dump is not what was written.
    #[error(
        "the dump has been changed since it was made: its digest says {expected}, and it has \
         {found}; make it again"
    )]
    Changed {
        /// What the digest says.
        expected: String,
        /// What the lines have.
        found: String,
    },
    /// The dump contradicts itself.
    #[error(
        "the dump contradicts itself, as a part of one does (--limit, --prefix): {what} {expected} \
         and {found}; make it again, whole"
    )]
    Contradiction {
        /// What is said in two places.
        what: &'static str,
        /// What one of them says.
        expected: String,
        /// What the other one says.
        found: String,
    },
    /// The disk is nearly full.
    #[error("{free_bytes} bytes are free on the disk, and {floor_bytes} are kept free; make room")]
    LowDisk {
        /// Bytes that are free.
        free_bytes: u64,
        /// Bytes that are kept free.
        floor_bytes: u64,
    },
    /// A file or directory cannot be used.
    #[error("{}: {action} failed", path.display())]
    Unusable {
        /// The file or directory.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The new directory cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// How many events were ever accepted.
    pub positions: u64,
    /// How many outputs have been released.
    pub outputs: u64,
    /// How many checkpoints there are.
    pub checkpoints: u64,
}

/// Builds a directory that has the state which a dump shows.
///
/// What the dump was made without stays unknown: without `incidentals` its times are those of 1970.
///
/// # Errors
///
/// [`LoadError`]; the directory is as it was then.
pub fn load(
    path: impl AsRef<Path>,
    input: impl BufRead,
    options: &Options,
) -> Result<Loaded, LoadError> {
    let path = path.as_ref();
    check_empty(path)?;
    let building = directory_beside(path)?;
    let options = Options {
        // A snapshot may only be taken of a whole state.
        snapshot_interval_events: u64::MAX,
        ..options.clone()
    };
    let engine = Engine::open(building.path(), &options)?;
    let loaded = Loader::new(engine)?.load(input)?;
    put_in_place(building, path)?;
    Ok(loaded)
}

/// Checks that there is nothing where a directory is to be put.
fn check_empty(path: &Path) -> Result<(), LoadError> {
    let not_empty = || LoadError::NotEmpty {
        path: path.to_owned(),
    };
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().map_or(Ok(()), |_| Err(not_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(not_empty()),
        Err(error) => Err(unusable(path, "reading the directory")(error)),
    }
}

/// A new directory on the same file system, which goes if it is not put in place.
pub(crate) fn directory_beside(path: &Path) -> Result<TempDir, LoadError> {
    let parent = parent_of(path);
    fs::create_dir_all(parent).map_err(unusable(parent, "creating the directory"))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.unfinished-");
    let building = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent);
    building.map_err(unusable(parent, "making a directory"))
}

/// Gives a finished directory its name.
fn put_in_place(building: TempDir, path: &Path) -> Result<(), LoadError> {
    // tempfile has made it for this user alone; a directory that is created by `run` is not.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(building.path(), mode).map_err(unusable(path, "setting its mode"))?;
    fs::rename(building.path(), path).map_err(unusable(path, "giving it its name"))?;
    // There is nothing left to remove under the old name.
    let _gone: PathBuf = building.keep();
    sync(parent_of(path))
}

/// Makes the names in a directory durable.
pub(crate) fn sync(directory: &Path) -> Result<(), LoadError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(unusable(directory, "syncing it"))
}

pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

pub(crate) fn unusable(path: &Path, action: &'static str) -> impl Fn(io::Error) -> LoadError {
    move |source| LoadError::Unusable {
        path: path.to_owned(),
        action,
        source,
    }
}

type Ranges = Vec<(u64, u64)>;

#[derive(Deserialize)]
struct MetaLine<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a serde_json::value::RawValue,
}

#[derive(Deserialize)]
struct CountLine<'a> {
    #[serde(borrow)]
    word: Cow<'a, str>,
    count: u64,
}

#[derive(Deserialize)]
struct CheckpointLine<'a> {
    name: String,
    position: u64,
    last_commit: u64,
    #[serde(borrow, default)]
    source: Option<Source<'a>>,
    #[serde(borrow, default)]
    committed_source: Option<Source<'a>>,
    timeline: Ranges,
    #[serde(default)]
    created_at_ms: u64,
}

#[derive(Deserialize)]
struct CommitLine {
    commit: u64,
    first_offset: u64,
    outputs: u64,
    position: u64,
    #[serde(default)]
    committed_at_ms: u64,
}

#[derive(Deserialize)]
struct MoveLine {
    number: u64,
    kind: MoveKind,
    checkpoint: Option<String>,
    position: u64,
    reached: u64,
    events_left: u64,
    events_back: u64,
    last_commit: u64,
    #[serde(default)]
    made_at_ms: u64,
}

#[derive(Deserialize)]
struct OutputLine {
    commit: Option<u64>,
    position: u64,
}

#[derive(Deserialize)]
struct SeenLine<'a> {
    position: u64,
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow)]
    word: Cow<'a, str>,
    count: u64,
    in_state: bool,
}

/// Takes in a dump, line by line.
struct Loader {
    processor: Processor,
    store: Store,
    rest: Rest,
    /// What the dump says of itself in its section `meta`.
    said: BTreeMap<&'static str, u64>,
    counts_digest: u64,
    /// The commits whose outputs have not all come.
    commits: VecDeque<CommitLine>,
    released: PositionSet,
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
    fn new(engine: Engine) -> Result<Self, LoadError> {
        let (processor, mut store) = engine.into_parts();
        store.begin()?;
        Ok(Self {
            processor,
            store,
            rest: Rest::default(),
            said: BTreeMap::new(),
            counts_digest: 0,
            commits: VecDeque::new(),
            released: PositionSet::default(),
            loaded: Loaded::default(),
        })
    }

    fn load(mut self, mut input: impl BufRead) -> Result<Loaded, LoadError> {
        let mut digest = DumpDigest::default();
        let mut line = Vec::new();
        let stored = loop {
            line.clear();
            input
                .read_until(b'\n', &mut line)
                .map_err(LoadError::Input)?;
            let lines = digest.records();
            let Some(text) = line.strip_suffix(b"\n") else {
                return Err(LoadError::CutOff { lines });
            };
            if kind_of(text) == Some(b"digest") {
                let stored = serde_json::from_slice(text);
                break stored.map_err(|error| wrong_line(lines + 1, text, &error.to_string()))?;
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
            if self.processor.group_is_full() {
                self.store.commit(&self.processor.take_group()?)?;
            }
        };
        digest
            .check(&stored)
            .map_err(|(expected, found)| LoadError::Changed { expected, found })?;
        self.finish()
    }

    fn take(&mut self, text: &[u8]) -> Result<(), Wrong> {
        let kind = kind_of(text).ok_or(Wrong::Kind)?;
        if kind != b"meta" && self.said.is_empty() {
            return Err(LoadError::Partial.into());
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
            b"commit" => self.commits.push_back(serde_json::from_slice(text)?),
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
                self.rest.settled.released = self.set_of(&serde_json::from_str(value)?)?;
            }
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
            last_commit: line.last_commit,
            source: source_of(line.source),
            committed_source: source_of(line.committed_source),
            created_at_ms: line.created_at_ms,
        };
        self.processor.rebuild_checkpoint(line.name, checkpoint);
        self.loaded.checkpoints += 1;
        Ok(())
    }

    fn take_move(&mut self, line: MoveLine) {
        let checkpoint_id = line.checkpoint.filter(|_| line.kind == MoveKind::Restore);
        self.processor.rebuild_move(Move {
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
        let Some(number) = line.commit else {
            // Pending outputs are what the timeline has and nobody has released.
            return Ok(());
        };
        let commit = self.commits.front();
        let expected = commit.map_or(0, |commit| commit.commit);
        agree(
            "the commits and their outputs name commits",
            expected,
            number,
        )?;
        self.released.insert(Position(line.position));
        self.loaded.outputs += 1;
        if commit.is_some_and(|commit| commit.outputs == self.released.len()) {
            self.take_commit();
        }
        Ok(())
    }

    /// Takes in the first commit, all of whose outputs have come.
    fn take_commit(&mut self) {
        if let Some(line) = self.commits.pop_front() {
            self.processor.rebuild_commit(Commit {
                number: line.commit,
                first_output: line.first_offset,
                released: std::mem::take(&mut self.released),
                position: Position(line.position),
                committed_at_ms: line.committed_at_ms,
            });
        }
    }

    fn take_seen(&mut self, line: &SeenLine<'_>) -> Result<(), LoadError> {
        let is_in_state = self.rest.timeline.contains(Position(line.position));
        agree("an event is in the state as", is_in_state, line.in_state)?;
        let (event_id, word) = (&*line.event_id, &*line.word);
        let request = crate::Request::Process { event_id, word };
        if let Err(refusal) = request.check_lengths() {
            let (expected, found) = ("lengths that can be stored".to_owned(), refusal.to_string());
            return Err(contradiction("an event has", expected, found));
        }
        let position = self
            .processor
            .rebuild_event(event_id, word, line.count, is_in_state);
        agree("positions go on at", position.0, line.position)?;
        self.loaded.positions = position.0;
        Ok(())
    }

    fn look_for_room(&mut self) -> Result<(), LoadError> {
        self.processor.begin_batch(0)?;
        match self.processor.low_space() {
            None => Ok(()),
            Some(low) => Err(LoadError::LowDisk {
                free_bytes: low.free_bytes,
                floor_bytes: low.floor_bytes,
            }),
        }
    }

    fn finish(mut self) -> Result<Loaded, LoadError> {
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
        agree("that number is", said("outputs"), settled.released.len())?;
        agree(
            "the number of commits without outputs is",
            0,
            self.commits.len() as u64,
        )?;
        let counted = self.processor.counts_digest();
        agree("the digest of the counts is", self.counts_digest, counted)?;
        self.processor.rebuild_state(self.rest);
        while let Some(group) = self.processor.take_last_group()? {
            self.store.commit(&group)?;
        }
        drop(self.processor);
        self.store.close()?;
        Ok(self.loaded)
    }
}

/// The `type` of a line, which is its first member.
fn kind_of(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"{\"type\":\"")?;
    let end = memchr::memchr(b'"', rest)?;
    Some(&rest[..end])
}

fn source_of(source: Option<Source<'_>>) -> Option<Vec<u8>> {
    source.map(|source| match source {
        Source::Text(text) => text.into_owned().into_bytes(),
        Source::Bytes(bytes) => bytes.into_owned(),
    })
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
    let text = String::from_utf8_lossy(text);
    LoadError::Line {
        line,
        reason: reason.to_owned(),
        text: text.chars().take(SHOWN_CHARS).collect(),
    }
}
