//! Reads a state without changing it: that of a directory that no process has open, or that of a
//! running process.
//!
//! Records come in a fixed order, so the same state gives the same records. The counts in a dump
//! are folded from the journal, not read from a snapshot; its released outputs come from the output
//! log.

mod checkpoints;
mod digest;
mod error;
mod event;
pub(crate) mod json_text;
mod output;
mod outputs;
mod query;
pub mod record;
mod stats;

use std::fmt;
use std::path::Path;

use crate::error::{OpenError, StorageError};
use crate::journal::fold::{fold, fold_from_nearest};
use crate::state::counts::{Counts, WordCount};
use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::state::timeline::Timeline;
use crate::store::StorageTimeout;
use crate::store::bytes::entry::Entry;
use crate::store::{
    BuildSite, DurableState, Kept, LockedDirectory, Reader, RestingCopy, Stored, Switch, TreeDigest,
};
pub use checkpoints::{CheckpointSummary, EventsDifference, WordDifference, time_of};
pub use digest::Digest;
pub(crate) use digest::DumpDigest;
pub use error::InspectError;
pub use event::FoundEvent;
pub use output::{LastOutput, ReleasedOutput};
pub use query::{Filter, Milestone, Query};
pub use record::{OutputStatus, Record, Section, Source, SwitchKind};
pub use stats::{ProcessStats, Stats, TreeStats};

/// Size of sled's cache for a copy. It is small because most of a copy is read only once.
const CACHE_BYTES: u64 = 16 << 20;

/// One durable moment of a state. Any thread can read it while others change the state.
///
/// A view of an open directory keeps in memory the old values of entries that change. New events
/// add nothing to it; replaced counts snapshots and checkpoints do. If all views together keep more
/// than 64 MiB, or if views of more than 2,048 moments are open, the oldest is given up: its reads
/// then fail with [`StorageError::ViewGivenUp`]. Closing the directory does not wait for views:
/// later reads fail with [`StorageError::Stopped`].
pub struct View {
    stored: Stored,
    timeline: PositionSet,
    reader: Reader,
    /// Figures of the process that has the directory open, if they were added.
    process: Option<ProcessStats>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let position = self.stored.record.scalars.position.0;
        f.debug_struct("View").field("position", &position).finish()
    }
}

/// Takes each record in turn. Its error ends the reading.
type Sink<'s, E> = &'s mut dyn FnMut(&Record<'_>) -> Result<(), E>;

impl View {
    /// Opens a view of a directory that no process has open. The view reads a copy, which is made
    /// beside the directory or in the system's temporary directory. No process can open the
    /// directory for writing until the copy is made.
    ///
    /// # Errors
    ///
    /// The [`OpenError`] that says why the directory cannot be opened or copied.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_within(path, &StorageTimeout::default())
    }

    /// Does the same as [`View::open`], with this time limit for each call of the storage.
    ///
    /// # Errors
    ///
    /// Those of [`View::open`].
    pub fn open_within(
        path: impl AsRef<Path>,
        timeout: &StorageTimeout,
    ) -> Result<Self, OpenError> {
        Self::of_copy(RestingCopy::open(path.as_ref(), CACHE_BYTES, timeout)?)
    }

    /// Opens a view of a copy of a directory that this process has locked.
    ///
    /// # Errors
    ///
    /// Those of [`View::open`].
    #[doc(hidden)]
    pub fn of_locked_directory(
        held: &LockedDirectory,
        timeout: &StorageTimeout,
    ) -> Result<Self, OpenError> {
        Self::of_copy(held.copy(CACHE_BYTES, timeout)?)
    }

    /// Opens a view of a copy of the database that the last compaction replaced and kept.
    ///
    /// # Errors
    ///
    /// Those of [`View::open`].
    #[doc(hidden)]
    pub fn of_kept(kept: &Kept<'_>, timeout: &StorageTimeout) -> Result<Self, OpenError> {
        Self::of_copy(kept.copy(CACHE_BYTES, timeout)?)
    }

    /// Opens a view of a copy of a database that was built and is not in use yet.
    pub(crate) fn of_site(site: &BuildSite, timeout: &StorageTimeout) -> Result<Self, OpenError> {
        Self::of_copy(site.copy(CACHE_BYTES, timeout)?)
    }

    fn of_copy(copy: RestingCopy) -> Result<Self, OpenError> {
        let stored = copy.stored()?;
        Ok(Self::new(stored, copy.reader().clone()))
    }

    /// Makes a view of a durable moment of an open directory.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something stored cannot be read.
    pub(crate) fn of_state(state: DurableState) -> Result<Self, StorageError> {
        let (stored, reader) = state.read()?;
        Ok(Self::new(stored, reader))
    }

    /// Adds figures of the process that has the directory open.
    pub(crate) fn with_process(self, process: ProcessStats) -> Self {
        Self {
            process: Some(process),
            ..self
        }
    }

    fn new(stored: Stored, reader: Reader) -> Self {
        let scalars = &stored.record.scalars;
        let timeline = Timeline::new(stored.sets.closed.clone(), scalars.open_from);
        let timeline = timeline.up_to(scalars.position);
        Self {
            stored,
            timeline,
            reader,
            process: None,
        }
    }

    /// Calls `sink` with every record of a section, in a fixed order.
    ///
    /// `with_incidentals` adds what may differ between two runs of the same requests: times,
    /// the number of groups, the seed of the fingerprints.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something stored cannot be read, or the error of `sink`.
    pub fn records<E: From<StorageError>>(
        &self,
        section: Section,
        with_incidentals: bool,
        mut sink: impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match section {
            Section::Meta => self.meta(with_incidentals, &mut sink),
            Section::Counts => self.count_records(&mut sink),
            Section::Checkpoints => self.checkpoint_records(with_incidentals, &mut sink),
            Section::Commits => self.commits(with_incidentals, &mut sink),
            Section::Switches => self.switches(with_incidentals, &mut sink),
            Section::Outputs => self.all_outputs(&mut sink),
            Section::Events => self.events(&mut sink),
        }
    }

    fn meta<E>(&self, with_incidentals: bool, sink: Sink<'_, E>) -> Result<(), E> {
        let (scalars, sets) = (&self.stored.record.scalars, &self.stored.sets);
        let source =
            |source: &Option<Vec<u8>>| serde_json::json!(source.as_deref().map(Source::of));
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
            ("switches", scalars.switches.into()),
            ("autocommit", scalars.autocommit.into()),
            ("source", source(&scalars.source)),
            ("committed_source", source(&scalars.committed_source)),
            ("timeline", serde_json::json!(ranges(&self.timeline))),
            (
                "released",
                serde_json::json!(ranges(&sets.settled.released.up_to(scalars.position))),
            ),
            (
                "absorbed",
                serde_json::json!(ranges(&sets.settled.absorbed)),
            ),
        ];
        if with_incidentals {
            values.push(("groups", self.stored.record.group.into()));
            values.push(("fingerprint_seed", self.stored.format.seed.into()));
        }
        values.into_iter().try_for_each(|(name, value)| {
            let name = name.into();
            sink(&Record::Meta(record::Meta { name, value }))
        })
    }

    fn count_records<E: From<StorageError>>(&self, sink: Sink<'_, E>) -> Result<(), E> {
        let mut counts = Counts::default();
        fold(
            &self.reader,
            &mut counts,
            &PositionSet::default(),
            &self.timeline,
        )?;
        counts.into_sorted().iter().try_for_each(|c| {
            sink(&Record::Count(record::Count {
                word: (&*c.word).into(),
                count: c.count,
            }))
        })
    }

    /// Returns the source position of the state, as [`Engine::source`](crate::Engine::source) does.
    #[must_use]
    pub fn source(&self) -> Option<&[u8]> {
        self.stored.record.scalars.source.as_deref()
    }

    /// Returns the words of the state with their counts, in byte order of the words.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something stored cannot be read.
    pub fn counts(&self) -> Result<Vec<WordCount>, StorageError> {
        self.counts_of(&self.timeline)
    }

    /// Returns figures of the state, and those of the process if the control socket gave the view.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something stored cannot be read.
    pub fn stats(&self) -> Result<Stats, StorageError> {
        let record = &self.stored.record;
        let scalars = &record.scalars;
        let tree = |name: &str, entries, bytes| TreeStats {
            name: name.to_owned(),
            entries,
            bytes,
        };
        let journal = tree(
            "journal",
            record.journal.entries(),
            record.journal.total_bytes(),
        );
        let others = record.digests.by_tree().into_iter().map(|(name, digest)| {
            let TreeDigest { entries, bytes, .. } = digest;
            tree(name.name(), entries, bytes)
        });
        Ok(Stats {
            last_commit_ms: (scalars.last_commit > 0).then_some(scalars.last_committed_at_ms),
            autocommit: scalars.autocommit,
            format: self.stored.format.format,
            events: self.timeline.len(),
            pending: self.stored.sets.settled.missing_of(&self.timeline).len(),
            released: scalars.outputs,
            commits: scalars.last_commit,
            checkpoints: record.digests.checkpoints.entries,
            switches: scalars.switches,
            position: scalars.position.0,
            disk_bytes: self.reader.file_bytes(),
            trees: [journal].into_iter().chain(others).collect(),
            process: self.process.clone(),
        })
    }

    /// Returns the counts of a timeline, in byte order of the words. It starts from the nearest
    /// counts snapshot and folds the difference.
    fn counts_of(&self, timeline: &PositionSet) -> Result<Vec<WordCount>, StorageError> {
        let stored = self.reader.snapshots()?;
        let finished = stored.iter().filter_map(|(_, header)| header.as_ref());
        let nothing = PositionSet::default();
        let mut counts = Counts::default();
        fold_from_nearest(
            &self.reader,
            &mut counts,
            &nothing,
            timeline,
            (&self.reader, finished),
        )?;
        Ok(counts.into_sorted())
    }

    fn commits<E: From<StorageError>>(
        &self,
        with_incidentals: bool,
        sink: Sink<'_, E>,
    ) -> Result<(), E> {
        for release in self.releases(0)? {
            let release = release?;
            if let Some(commit) = release.commit {
                sink(&Record::Commit(record::Commit {
                    commit: commit.number,
                    first_offset: release.first_output,
                    outputs: release.released.len(),
                    position: commit.position.0,
                    committed_at_ms: with_incidentals.then_some(commit.committed_at_ms),
                }))?;
            }
        }
        Ok(())
    }

    fn switches<E: From<StorageError>>(
        &self,
        with_incidentals: bool,
        sink: Sink<'_, E>,
    ) -> Result<(), E> {
        for made in self.reader.switches() {
            let Switch {
                number,
                record: made,
            } = made?;
            let kind = match made.checkpoint_id {
                Some(_) => SwitchKind::Restore,
                None => SwitchKind::Rollback,
            };
            sink(&Record::Switch(record::Switch {
                number,
                kind,
                checkpoint: made.checkpoint_id.as_deref().map(Into::into),
                position: made.position.0,
                reached: made.reached.0,
                events_left: made.events_left,
                events_back: made.events_back,
                last_commit: made.last_commit,
                made_at_ms: with_incidentals.then_some(made.made_at_ms),
            }))?;
        }
        Ok(())
    }

    fn events<E: From<StorageError>>(&self, sink: Sink<'_, E>) -> Result<(), E> {
        let sets = &self.stored.sets;
        for block in self.reader.blocks_from(Position::FIRST)? {
            let mut cursor = block?.cursor();
            while let Some((position, entry)) = cursor.next()? {
                entry.event_id.with_text(|event_id| {
                    sink(&Record::Event(record::Event {
                        position: position.0,
                        event_id: event_id.into(),
                        word: entry.word.into(),
                        count: entry.count,
                        in_state: self.timeline.contains(position),
                        settled: sets.settled.contains(position),
                    }))
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
        self.reader.walk(positions.ranges(), f)
    }
}

fn ranges(positions: &PositionSet) -> Vec<(u64, u64)> {
    positions
        .ranges()
        .map(|range| (range.first.0, range.last.0))
        .collect()
}
