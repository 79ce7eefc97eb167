//! Looking at the state of a resting directory, without changing a byte of it.
//!
//! Everything is read in one order and from what is stored: counts are a fold over the journal,
//! not a snapshot; released outputs come from the commits. The same state gives the same records.

mod checkpoints;
mod error;
mod event;
mod outputs;

use std::path::Path;

use serde::Serialize;

use crate::error::{OpenError, StorageError};
use crate::state::counts::{Counts, WordCount};
use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::state::timeline::Timeline;
use crate::storage_timeout::StorageTimeout;
use crate::store::entry::Entry;
use crate::store::{RestingCopy, Stored};
pub use checkpoints::{CheckpointSummary, Difference, WordDifference};
pub use error::InspectError;
pub use event::FoundEvent;
pub use outputs::CommittedOutput;

/// A part of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Format, positions, timelines: the scalars and sets of the state.
    Meta,
    /// How many events carry each word.
    Counts,
    /// The saved checkpoints.
    Checkpoints,
    /// The commits.
    Commits,
    /// Released outputs, then pending ones.
    Outputs,
    /// Every event that was ever accepted, by position.
    Seen,
}

impl Section {
    /// Every section, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Meta,
        Self::Counts,
        Self::Checkpoints,
        Self::Commits,
        Self::Outputs,
        Self::Seen,
    ];

    /// Its name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Counts => "counts",
            Self::Checkpoints => "checkpoints",
            Self::Commits => "commits",
            Self::Outputs => "outputs",
            Self::Seen => "seen",
        }
    }

    /// The section of a name; `None` if no section has it.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }
}

/// Whether an output has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputStatus {
    /// A commit released it.
    Committed,
    /// The next commit will release it.
    Pending,
}

/// One thing that the state holds. Positions start at 1, offsets of outputs at 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record<'a> {
    /// A scalar of the state, or one of its position sets as ranges (first, last).
    Meta {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: serde_json::Value,
    },
    /// A word of the state.
    Count {
        /// The word.
        word: &'a str,
        /// How many events carry it, at least 1.
        count: u64,
    },
    /// A saved checkpoint.
    Checkpoint {
        /// Its name.
        name: &'a str,
        /// How many events it has.
        events: u64,
        /// How many outputs would be pending after restoring it.
        pending: u64,
        /// The journal's last position when it was saved.
        position: u64,
        /// Its positions as ranges (first, last).
        timeline: Vec<(u64, u64)>,
        /// When it was saved, in milliseconds since 1970, if asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        created_at_ms: Option<u64>,
    },
    /// A commit that released something.
    Commit {
        /// Its number, from 1.
        commit: u64,
        /// The offset of its first output.
        first_offset: u64,
        /// How many outputs it released.
        outputs: u64,
        /// When it was made, in milliseconds since 1970, if asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        committed_at_ms: Option<u64>,
    },
    /// An output.
    Output {
        /// Whether it has left.
        status: OutputStatus,
        /// Its offset in the output log, once it has left.
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        /// The commit that released it.
        #[serde(skip_serializing_if = "Option::is_none")]
        commit: Option<u64>,
        /// The event's position.
        position: u64,
        /// The event's id.
        event_id: &'a str,
        /// The event's word.
        word: &'a str,
        /// The count that the event's reply gave.
        count: u64,
    },
    /// An event that was accepted, in the present state or in one that was left.
    Seen {
        /// The event's position.
        position: u64,
        /// The event's id.
        event_id: &'a str,
        /// The event's word.
        word: &'a str,
        /// Whether the present state has it.
        in_state: bool,
        /// Whether its output, or that of another event with its id, was released.
        settled: bool,
    },
}

/// A copy of a resting directory, open to be looked at. No writer can open the directory until
/// the copy is made.
pub struct Inspection {
    copy: RestingCopy,
    stored: Stored,
    timeline: PositionSet,
    /// Whether to show what differs between two runs of the same requests.
    with_incidentals: bool,
}

/// Takes each record in turn; its error ends the inspection.
type Sink<'s, E> = &'s mut dyn FnMut(&Record<'_>) -> Result<(), E>;

impl Inspection {
    /// Opens a copy of a directory that nobody writes to, in the system's temporary directory.
    ///
    /// `with_incidentals` adds what may differ between two runs of the same requests: times,
    /// the number of groups, the seed of the fingerprints.
    ///
    /// # Errors
    ///
    /// [`OpenError`], by what stands in the way.
    pub fn open(
        path: impl AsRef<Path>,
        with_incidentals: bool,
        timeout: &StorageTimeout,
    ) -> Result<Self, OpenError> {
        const CACHE_BYTES: u64 = 64 << 20;
        let copy = RestingCopy::open(path.as_ref(), CACHE_BYTES, timeout)?;
        let stored = copy.stored()?;
        let scalars = &stored.record.scalars;
        let timeline = Timeline::new(stored.sets.closed.clone(), scalars.open_from);
        let timeline = timeline.up_to(scalars.position);
        Ok(Self {
            copy,
            stored,
            timeline,
            with_incidentals,
        })
    }

    /// Calls `sink` with every record of a section, in a fixed order.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something cannot be read, or whatever `sink` returns.
    pub fn records<E: From<StorageError>>(
        &self,
        section: Section,
        mut sink: impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match section {
            Section::Meta => self.meta(&mut sink),
            Section::Counts => self.counts(&mut sink),
            Section::Checkpoints => self.checkpoints(&mut sink),
            Section::Commits => self.commits(&mut sink),
            Section::Outputs => self.outputs(&mut sink),
            Section::Seen => self.seen(&mut sink),
        }
    }

    fn meta<E>(&self, sink: Sink<'_, E>) -> Result<(), E> {
        let (scalars, sets) = (&self.stored.record.scalars, &self.stored.sets);
        let source = |source: &Option<Vec<u8>>| {
            source
                .as_ref()
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
                .into()
        };
        let mut values: Vec<(&'static str, serde_json::Value)> = vec![
            ("format", self.stored.format.format.into()),
            ("position", scalars.position.0.into()),
            ("events", self.timeline.len().into()),
            (
                "pending",
                self.stored
                    .sets
                    .settled
                    .missing_of(&self.timeline)
                    .len()
                    .into(),
            ),
            ("outputs", scalars.outputs.into()),
            ("last_commit", scalars.last_commit.into()),
            ("source", source(&scalars.source)),
            ("committed_source", source(&scalars.committed_source)),
            ("timeline", serde_json::json!(ranges(&self.timeline))),
            (
                "released",
                serde_json::json!(ranges(&sets.settled.released)),
            ),
            (
                "absorbed",
                serde_json::json!(ranges(&sets.settled.absorbed)),
            ),
        ];
        if self.with_incidentals {
            values.push(("groups", self.stored.record.group.into()));
            values.push(("fingerprint_seed", self.stored.format.seed.into()));
        }
        values
            .into_iter()
            .try_for_each(|(name, value)| sink(&Record::Meta { name, value }))
    }

    fn counts<E: From<StorageError>>(&self, sink: Sink<'_, E>) -> Result<(), E> {
        self.counts_of(&self.timeline)?.iter().try_for_each(|c| {
            sink(&Record::Count {
                word: &c.word,
                count: c.count,
            })
        })
    }

    /// The counts of a timeline, in byte order of the words.
    fn counts_of(&self, timeline: &PositionSet) -> Result<Vec<WordCount>, StorageError> {
        let mut counts = Counts::default();
        self.walk(timeline, |_, entry| {
            counts.add(entry.word, 1);
            Ok::<(), StorageError>(())
        })?;
        Ok(counts.sorted())
    }

    fn commits<E: From<StorageError>>(&self, sink: Sink<'_, E>) -> Result<(), E> {
        for commit in self.copy.reader().commits_from(1) {
            let commit = commit?;
            sink(&Record::Commit {
                commit: commit.number,
                first_offset: commit.first_output,
                outputs: commit.released.len(),
                committed_at_ms: self.with_incidentals.then_some(commit.committed_at_ms),
            })?;
        }
        Ok(())
    }

    fn seen<E: From<StorageError>>(&self, sink: Sink<'_, E>) -> Result<(), E> {
        let sets = &self.stored.sets;
        for block in self.copy.reader().blocks_from(Position::FIRST)? {
            let mut cursor = block?.cursor();
            while let Some((position, entry)) = cursor.next()? {
                entry.event_id.with_text(|event_id| {
                    sink(&Record::Seen {
                        position: position.0,
                        event_id,
                        word: entry.word,
                        in_state: self.timeline.contains(position),
                        settled: sets.settled.contains(position),
                    })
                })?;
            }
        }
        Ok(())
    }

    fn walk<E: From<StorageError>>(
        &self,
        positions: &PositionSet,
        f: impl FnMut(Position, Entry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.copy.reader().walk(positions.ranges(), f)
    }
}

fn ranges(positions: &PositionSet) -> Vec<(u64, u64)> {
    positions
        .ranges()
        .map(|range| (range.first.0, range.last.0))
        .collect()
}
