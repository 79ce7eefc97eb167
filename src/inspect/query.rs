//! What can be asked of a state, in one form for a running process and for a resting directory.

use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::inspect::record::{Count, Record, Section};
use crate::inspect::{CommittedOutput, DumpDigest, InspectError, LastOutput, View};
use crate::state::counts::WordCount;
use crate::state::position_set::PositionSet;
use crate::store::Switch;

/// A query about a state; as JSON, its `type` is its name in lower case with underscores. It is
/// answered by records, each a JSON object with a `type` of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Query {
    /// Figures of the state, and of the process if one is running: one record.
    Stats,
    /// The words with their counts, in byte order.
    Counts,
    /// Every checkpoint, in byte order of the names.
    ListCheckpoints,
    /// One checkpoint, then its counts.
    ShowCheckpoint {
        /// Its name.
        checkpoint_id: String,
    },
    /// How a checkpoint differs from another.
    DiffCheckpoints {
        /// The name of the first.
        first: String,
        /// The name of the second; the present state if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        second: Option<String>,
    },
    /// Released outputs, in order.
    Outputs {
        /// The offset of the first, which is 0 if neither this nor `after` is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<u64>,
        /// The output before the first: the last one that a consumer has got, which the log must
        /// have. Not together with `from`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<LastOutput>,
        /// How many at most; all if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
    },
    /// What an event id has come to: one record.
    GetEvent {
        /// The id.
        event_id: String,
    },
    /// How many events carry a word: one record.
    GetWord {
        /// The word.
        word: String,
    },
    /// Checkpoints, commits, restores and rollbacks with their times and positions, and the
    /// position of the present state.
    History,
    /// All there is, and a digest of it if nothing is left out.
    Dump(Filter),
}

/// Which records of a dump are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Only this section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Section>,
    /// Only records whose word, checkpoint or event id begins with this; those that have none
    /// of these are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// At most this many of each section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Also what differs between two runs of the same requests: times, the number of groups, the
    /// seed of the fingerprints.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incidentals: bool,
}

impl Query {
    /// The names of all queries.
    pub const NAMES: [&str; 10] = [
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
    /// Whether nothing is left out.
    fn is_whole(&self) -> bool {
        self.only.is_none() && self.prefix.is_none() && self.limit.is_none()
    }

    fn takes(&self, record: &Record<'_>) -> bool {
        let Some(prefix) = &self.prefix else {
            return true;
        };
        let name = match record {
            Record::Count(count) => &count.word,
            Record::Checkpoint(checkpoint) => &checkpoint.name,
            Record::Output(output) => &output.event_id,
            Record::Event(event) => &event.event_id,
            Record::Meta(_) | Record::Commit(_) | Record::Switch(_) | Record::Digest(_) => {
                return false;
            }
        };
        name.starts_with(&**prefix)
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
    /// A checkpoint that there is.
    Checkpoint {
        /// Its name.
        name: String,
        /// The journal's last position when it was saved.
        position: u64,
        /// The last position that it has; 0 if it has no events.
        reached: u64,
        /// How many events it has.
        events: u64,
        /// When it was saved.
        at_ms: u64,
    },
    /// A commit that released something.
    Commit {
        /// Its number, from 1.
        commit: u64,
        /// The journal's last position when it was made.
        position: u64,
        /// How many outputs it released.
        outputs: u64,
        /// When it was made.
        at_ms: u64,
    },
    /// A restore of a checkpoint.
    Restore {
        /// The checkpoint's name.
        checkpoint: String,
        /// The journal's last position when it was made.
        position: u64,
        /// The last position of the state that it led to; 0 if that had no events.
        reached: u64,
        /// How many events left the state.
        events_left: u64,
        /// How many came back into it.
        events_back: u64,
        /// When it was made.
        at_ms: u64,
    },
    /// A rollback that discarded something.
    Rollback {
        /// The journal's last position when it was made.
        position: u64,
        /// The last position of the state that it led to; 0 if that had no events.
        reached: u64,
        /// How many events left the state.
        events_left: u64,
        /// When it was made.
        at_ms: u64,
    },
    /// The present state.
    Present {
        /// The journal's last position.
        position: u64,
        /// The last position of the state; 0 if it has no events.
        reached: u64,
        /// How many events it has.
        events: u64,
    },
}

/// Why an answer ended: because of an error, or because nothing more was wanted.
enum End<E> {
    Enough,
    Failed(E),
}

impl<E: From<StorageError>> From<StorageError> for End<E> {
    fn from(error: StorageError) -> Self {
        Self::Failed(error.into())
    }
}

/// Turns records into JSON, each in the same buffer, and hands them on.
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

    fn add_output<E>(&mut self, output: &CommittedOutput<'_>) -> Result<(), E>
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
    /// [`InspectError`], or whatever `sink` returns.
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
            Query::Stats => lines.add(&self.stats()?),
            Query::Counts => self.add_counts(&self.counts()?, &mut lines),
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
            Query::Outputs { from, after, limit } => {
                let limit = limit.unwrap_or(u64::MAX);
                let sink = |output: &CommittedOutput<'_>| lines.add_output(output);
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

    /// Writes everything as a whole dump, which [`crate::load`] reads: a JSON object a line.
    ///
    /// # Errors
    ///
    /// [`InspectError`], or [`InspectError::Unwritten`] if the dump could not be written.
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
