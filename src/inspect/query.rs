//! The queries of a state. They are the same for a running process and for a directory that no
//! process has open.

use std::cmp::Reverse;
use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::inspect::record::{Count, Record, Section};
use crate::inspect::{DumpDigest, InspectError, LastOutput, ReleasedOutput, View};
use crate::state::counts::WordCount;
use crate::state::position_set::PositionSet;
use crate::store::Switch;

/// A node waits at most this long for outputs before it answers.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// A query about a state. As JSON, its `type` is the variant's name in lower case with underscores.
/// It gives records, which are JSON objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Query {
    /// Nothing: no record. The reply shows that the node works.
    Ping,
    /// Figures of the state, and those of the process if it answers the query: one record.
    Stats,
    /// The words with their counts, in byte order of the words.
    Counts {
        /// Only words that begin with this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefix: Option<String>,
        /// At most this many, those with the greatest counts first, and those with equal counts in
        /// byte order of the words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        top: Option<u64>,
    },
    /// Every checkpoint, in byte order of the names.
    ListCheckpoints,
    /// One checkpoint, then its counts.
    ShowCheckpoint {
        /// Its name.
        checkpoint_id: String,
    },
    /// The numbers of events that two states have, then each word whose counts in them differ.
    DiffCheckpoints {
        /// The name of the first checkpoint.
        first: String,
        /// The name of the second checkpoint; `None` for the present state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        second: Option<String>,
    },
    /// Released outputs, in the order of their offsets.
    Outputs {
        /// The offset of the first output; 0 if both this and `after` are `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<u64>,
        /// The output before the first: the last one that a consumer has read. The output log must
        /// have it. Not allowed together with `from`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<LastOutput>,
        /// The most outputs to show; `None` for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        /// If no output is there yet, a node waits this many milliseconds for one, at most
        /// 10,000, before it replies. A directory at rest does not wait.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait_ms: Option<u64>,
    },
    /// What the state has of an event id: one record.
    GetEvent {
        /// The id.
        event_id: String,
    },
    /// The number of events that carry a word: one record.
    GetWord {
        /// The word.
        word: String,
    },
    /// Checkpoints, commits, restores and rollbacks with their times and positions, and the
    /// position of the present state.
    History,
    /// The whole state or a part of it. A whole dump ends with its digest.
    Dump(Filter),
}

/// The records of a dump that are wanted; by default all, without incidentals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Only this section; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Section>,
    /// Only records whose word, checkpoint name or event id begins with this. Records without any
    /// of these are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// At most this many records of each section; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// True to add what may differ between two runs of the same requests: times, the number of
    /// groups, the seed of the fingerprints.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incidentals: bool,
}

impl Query {
    /// How long a node waits for outputs before it answers, and the offset of the first that is
    /// wanted; `None` if it does not wait.
    pub(crate) fn awaited_output(&self) -> Option<(Duration, u64)> {
        let Self::Outputs {
            from,
            after,
            wait_ms: Some(wait_ms),
            ..
        } = self
        else {
            return None;
        };
        let after = after.as_ref().map(|last| last.offset.saturating_add(1));
        let wait = Duration::from_millis(*wait_ms).min(MAX_WAIT);
        Some((wait, after.or(*from).unwrap_or(0)))
    }

    /// The names of all queries, as in `type`.
    pub const NAMES: [&str; 11] = [
        "ping",
        "stats",
        "counts",
        "list_checkpoints",
        "show_checkpoint",
        "diff_checkpoints",
        "outputs",
        "get_event",
        "get_word",
        "history",
        "dump",
    ];
}

impl Filter {
    /// True if nothing is left out.
    fn is_whole(&self) -> bool {
        self.only.is_none() && self.prefix.is_none() && self.limit.is_none()
    }

    fn takes(&self, record: &Record<'_>) -> bool {
        let Some(prefix) = &self.prefix else {
            return true;
        };
        let subject = record.subject();
        subject.is_some_and(|subject| subject.starts_with(&**prefix))
    }
}

/// A word and its count.
#[derive(Debug, Serialize)]
struct FoundWord<'a> {
    word: &'a str,
    count: u64,
}

/// A point in the history of a state. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Milestone {
    /// A saved checkpoint.
    Checkpoint {
        /// Its name.
        name: String,
        /// The head of the journal when it was saved.
        position: u64,
        /// The last position of its timeline; 0 if it has no events.
        reached: u64,
        /// Number of its events.
        events: u64,
        /// When it was saved.
        at_ms: u64,
    },
    /// A commit that released at least one output.
    Commit {
        /// Its number, from 1.
        commit: u64,
        /// The head of the journal when it was made.
        position: u64,
        /// Number of outputs that it released.
        outputs: u64,
        /// When it was made.
        at_ms: u64,
    },
    /// A restore of a checkpoint.
    Restore {
        /// The checkpoint's name.
        checkpoint: String,
        /// The head of the journal when it was made.
        position: u64,
        /// The last position of the timeline that it led to; 0 if that had no events.
        reached: u64,
        /// Number of events that left the state.
        events_left: u64,
        /// Number of events that came back into the state.
        events_back: u64,
        /// When it was made.
        at_ms: u64,
    },
    /// A rollback that dropped at least one event.
    Rollback {
        /// The head of the journal when it was made.
        position: u64,
        /// The last position of the timeline that it led to; 0 if that had no events.
        reached: u64,
        /// Number of events that left the state.
        events_left: u64,
        /// When it was made.
        at_ms: u64,
    },
    /// The present state.
    Present {
        /// The head of the journal.
        position: u64,
        /// The last position of its timeline; 0 if it has no events.
        reached: u64,
        /// Number of its events.
        events: u64,
    },
}

/// Why a section ended early: its limit was reached, or there was an error.
enum End<E> {
    Enough,
    Failed(E),
}

impl<E: From<StorageError>> From<StorageError> for End<E> {
    fn from(error: StorageError) -> Self {
        Self::Failed(error.into())
    }
}

/// Writes each record as JSON into the same buffer, and calls `sink` with it.
struct Lines<F> {
    buffer: Vec<u8>,
    sink: F,
}

impl<F> Lines<F> {
    fn add<E: From<InspectError>>(&mut self, record: &impl Serialize) -> Result<(), E>
    where
        F: FnMut(&[u8]) -> Result<(), E>,
    {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, record).map_err(InspectError::NotJson)?;
        (self.sink)(&self.buffer)
    }

    fn add_output<E>(&mut self, output: &ReleasedOutput<'_>) -> Result<(), E>
    where
        F: FnMut(&[u8]) -> Result<(), E>,
    {
        self.buffer.clear();
        output.put(&mut self.buffer);
        (self.sink)(&self.buffer)
    }
}

impl View {
    /// Answers a query: calls `sink` with each record as JSON, without a newline.
    ///
    /// # Errors
    ///
    /// The [`InspectError`] or [`StorageError`] that ended the records, or the error of `sink`.
    pub fn answer<E: From<InspectError> + From<StorageError>>(
        &self,
        query: &Query,
        sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut lines = Lines {
            buffer: Vec::new(),
            sink,
        };
        match query {
            Query::Ping => Ok(()),
            Query::Stats => lines.add(&self.stats()?),
            Query::Counts { prefix, top } => {
                let counts = self.wanted_counts(prefix.as_deref().unwrap_or_default(), *top)?;
                self.add_counts(&counts, &mut lines)
            }
            Query::ListCheckpoints => {
                let mut checkpoints = self.checkpoints();
                checkpoints.try_for_each(|checkpoint| lines.add(&checkpoint?))
            }
            Query::ShowCheckpoint { checkpoint_id } => {
                let (checkpoint, counts) = self.checkpoint(checkpoint_id)?;
                lines.add(&checkpoint)?;
                self.add_counts(&counts, &mut lines)
            }
            Query::DiffCheckpoints { first, second } => {
                let (events, words) = self.difference(first, second.as_deref())?;
                lines.add(&events)?;
                words.iter().try_for_each(|word| lines.add(word))
            }
            Query::Outputs {
                from, after, limit, ..
            } => {
                let limit = limit.unwrap_or(u64::MAX);
                let sink = |output: &ReleasedOutput<'_>| lines.add_output(output);
                match (from, after) {
                    (from, None) => self.outputs(from.unwrap_or(0), limit, sink),
                    (None, Some(last)) => self.outputs_after(last, limit, sink),
                    (Some(_), Some(_)) => Err(InspectError::TwoBeginnings.into()),
                }
            }
            Query::GetEvent { event_id } => lines.add(&self.event(event_id)?),
            Query::GetWord { word } => {
                let count = self.count(word)?;
                lines.add(&FoundWord { word, count })
            }
            Query::History => self.history(&mut lines),
            Query::Dump(filter) => {
                if let Some(section) = filter.only {
                    return self.dump_section(section, filter, &mut lines);
                }
                let mut digest = DumpDigest::default();
                let Lines { buffer, mut sink } = lines;
                let mut lines = Lines {
                    buffer,
                    sink: |line: &[u8]| {
                        digest.add(line);
                        sink(line)
                    },
                };
                for section in Section::ALL {
                    self.dump_section(section, filter, &mut lines)?;
                }
                if !filter.is_whole() {
                    return Ok(());
                }
                let digest = serde_json::to_vec(&Record::Digest(digest.line()));
                sink(&digest.map_err(InspectError::NotJson)?)
            }
        }
    }

    /// Writes a whole dump with incidentals, one JSON object a line. [`crate::load`] builds a
    /// directory from it.
    ///
    /// # Errors
    ///
    /// [`InspectError::Unwritten`] if the dump cannot be written, or [`InspectError::Storage`] if
    /// something stored cannot be read.
    pub fn dump(&self, mut to: impl Write) -> Result<(), InspectError> {
        let whole = Filter {
            incidentals: true,
            ..Filter::default()
        };
        let written = self.answer(&Query::Dump(whole), |line| {
            let written = to.write_all(line).and_then(|()| to.write_all(b"\n"));
            written.map_err(InspectError::Unwritten)
        });
        written.and_then(|()| to.flush().map_err(InspectError::Unwritten))
    }

    fn dump_section<E, F>(
        &self,
        section: Section,
        filter: &Filter,
        lines: &mut Lines<F>,
    ) -> Result<(), E>
    where
        E: From<InspectError> + From<StorageError>,
        F: FnMut(&[u8]) -> Result<(), E>,
    {
        let mut wanted = filter.limit.unwrap_or(u64::MAX);
        let ended = self.records(section, filter.incidentals, |record| {
            if !filter.takes(record) {
                return Ok(());
            }
            wanted = wanted.checked_sub(1).ok_or(End::Enough)?;
            lines.add(record).map_err(End::Failed)
        });
        match ended {
            Ok(()) | Err(End::Enough) => Ok(()),
            Err(End::Failed(error)) => Err(error),
        }
    }

    /// The words that begin with `prefix`; if there is a `top`, this many, the most frequent first.
    fn wanted_counts(
        &self,
        prefix: &str,
        top: Option<u64>,
    ) -> Result<Vec<WordCount>, StorageError> {
        let mut counts = self.counts()?;
        counts.retain(|counted| counted.word.starts_with(prefix));
        if let Some(top) = top {
            counts.sort_by_key(|counted| Reverse(counted.count));
            counts.truncate(usize::try_from(top).unwrap_or(usize::MAX));
        }
        Ok(counts)
    }

    fn add_counts<E, F>(&self, counts: &[WordCount], lines: &mut Lines<F>) -> Result<(), E>
    where
        E: From<InspectError>,
        F: FnMut(&[u8]) -> Result<(), E>,
    {
        counts.iter().try_for_each(|WordCount { word, count }| {
            lines.add(&Record::Count(Count {
                word: (&**word).into(),
                count: *count,
            }))
        })
    }

    fn history<E, F>(&self, lines: &mut Lines<F>) -> Result<(), E>
    where
        E: From<InspectError> + From<StorageError>,
        F: FnMut(&[u8]) -> Result<(), E>,
    {
        for stored in self.reader.checkpoints() {
            let (name, checkpoint) = stored?;
            lines.add(&Milestone::Checkpoint {
                name,
                position: checkpoint.position.0,
                reached: last_of(&checkpoint.timeline),
                events: checkpoint.timeline.len(),
                at_ms: checkpoint.created_at_ms,
            })?;
        }
        for release in self.releases(0)? {
            let release = release?;
            if let Some(commit) = release.commit {
                lines.add(&Milestone::Commit {
                    commit: commit.number,
                    position: commit.position.0,
                    outputs: release.released.len(),
                    at_ms: commit.committed_at_ms,
                })?;
            }
        }
        for made in self.reader.switches() {
            let Switch { record, .. } = made?;
            let (position, reached) = (record.position.0, record.reached.0);
            let (events_left, at_ms) = (record.events_left, record.made_at_ms);
            lines.add(&match record.checkpoint_id {
                Some(checkpoint) => Milestone::Restore {
                    checkpoint,
                    position,
                    reached,
                    events_left,
                    events_back: record.events_back,
                    at_ms,
                },
                None => Milestone::Rollback {
                    position,
                    reached,
                    events_left,
                    at_ms,
                },
            })?;
        }
        lines.add(&Milestone::Present {
            position: self.stored.record.scalars.position.0,
            reached: last_of(&self.timeline),
            events: self.timeline.len(),
        })
    }
}

fn last_of(timeline: &PositionSet) -> u64 {
    timeline.last().map_or(0, |last| last.0)
}
