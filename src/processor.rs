//! The one place of order: deduplicate, apply, collect what must be written, answer.
//!
//! A [`Processor`] applies requests in memory, ahead of the disk, and hands out what they change
//! as [`Group`]s. Its answers may be shown to nobody before their group is durable. It knows
//! neither JSON nor threads nor the clock: times come from the caller and no answer depends on
//! them.

use std::collections::BTreeMap;

use tracing::warn;

use crate::error::StorageError;
use crate::journal::{Cursor, Entry, EventId, Journal};
use crate::request::{Answer, Outcome, Position, Refusal, Reply, Request};
use crate::seen::Index;
use crate::snapshots::Snapshots;
use crate::state::State;
use crate::state::counts::Counts;
use crate::state::position_set::PositionSet;
use crate::state::timeline::Timeline;
use crate::statistics::Statistics;
use crate::store::{Checkpoint, Commit, Group, Head, Reader, SpaceFloor, Store};

/// A transaction of more control requests than this would hold much of sled's garbage: it keeps
/// about 1 KB a write until the commit ends.
const MAX_CONTROLS_A_GROUP: usize = 1_000;

/// A group of 80 blocks reaches 176 MB/s with a real fdatasync, and is durable in 2.5 ms; more
/// gains little.
const MAX_JOURNAL_BYTES_A_GROUP: usize = 1 << 20;

/// The state machine: requests in, answers and groups out.
#[derive(Debug)]
pub(crate) struct Processor {
    state: State,
    journal: Journal,
    index: Index,
    snapshots: Snapshots,
    reader: Reader,
    floor: SpaceFloor,
    /// Why requests are refused at present, if they are.
    refusal: Option<Refusal>,
    /// Behind the last event that was found again: a replay in order asks for the next one.
    replay: Option<Cursor>,
    changes: Changes,
    now_ms: u64,
    statistics: Statistics,
}

/// What the requests since the last group have changed, beside the journal.
#[derive(Debug, Default)]
struct Changes {
    head: bool,
    closed: bool,
    released: bool,
    absorbed: bool,
    checkpoints: BTreeMap<String, Checkpoint>,
    commits: Vec<Commit>,
}

/// The earlier positions of an event id.
#[derive(Debug, Default)]
struct Twins {
    /// The word of the one that is in the timeline, if one is.
    present_word: Option<Box<str>>,
    /// Whether the output of one of them is settled.
    is_settled: bool,
    /// The word that the output of one of them was released with.
    released_word: Option<Box<str>>,
}

impl Processor {
    /// Builds the state that the store holds.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something stored cannot be read or does not fit together.
    pub(crate) fn open(
        store: &Store,
        floor: SpaceFloor,
        snapshot_interval_events: u64,
    ) -> Result<Self, StorageError> {
        let (reader, head, sets) = (store.reader(), store.head(), store.live_sets());
        let timeline = Timeline::new(sets.closed.clone(), Position(head.open_from));
        let state = State {
            timeline,
            released: sets.released.clone(),
            absorbed: sets.absorbed.clone(),
            counts: Counts::default(),
            pending: 0,
            last_commit: head.last_commit,
            outputs: head.outputs,
            source: head.source.clone(),
            committed_source: head.committed_source.clone(),
        };
        let mut processor = Self {
            state,
            journal: Journal::open(reader.clone(), head.position())?,
            index: build_index(&reader, store.seed(), head.position())?,
            snapshots: Snapshots::open(reader.clone(), snapshot_interval_events)?,
            reader,
            floor,
            refusal: None,
            replay: None,
            changes: Changes::default(),
            now_ms: 0,
            statistics: Statistics::default(),
        };
        let timeline = processor.state.timeline.up_to(head.position());
        processor.move_counts(&PositionSet::default(), &timeline)?;
        processor.state.pending = processor.state.unsettled(&timeline).len();
        Ok(processor)
    }

    /// Prepares for requests that arrived at a time: looks at the free space of the disk.
    ///
    /// # Errors
    ///
    /// [`StorageError::Space`] if the disk does not answer.
    pub(crate) fn begin_batch(&mut self, now_ms: u64) -> Result<(), StorageError> {
        self.now_ms = now_ms;
        self.refusal = self.floor.check()?;
        Ok(())
    }

    /// Whether everything before a request must be durable before it can be applied: a request
    /// that moves the state reads checkpoints, commits and snapshots from the store.
    pub(crate) fn needs_durable(request: &Request<'_>) -> bool {
        matches!(request, Request::Restore { .. } | Request::Rollback)
    }

    /// Applies one request in memory.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the store cannot be read; the processor must not be used any more.
    pub(crate) fn apply(&mut self, request: &Request<'_>) -> Result<Answer, StorageError> {
        if let Err(refusal) = request.check_lengths() {
            return Ok(Err(refusal));
        }
        if let Some(refusal) = &self.refusal {
            return Ok(Err(refusal.clone()));
        }
        match *request {
            Request::Process { event_id, word } => self.process(event_id, word).map(Ok),
            Request::Checkpoint { checkpoint_id } => Ok(Ok(self.checkpoint(checkpoint_id))),
            Request::Restore { checkpoint_id } => self.restore(checkpoint_id),
            Request::Commit => Ok(Ok(self.commit())),
            Request::Rollback => self.rollback().map(Ok),
            Request::Advance { source } => {
                self.state.source = Some(source.to_vec());
                self.changes.head = true;
                Ok(Ok(Reply::Advanced))
            }
        }
    }

    fn process(&mut self, event_id: &str, word: &str) -> Result<Reply, StorageError> {
        let id = EventId::new(event_id);
        if let Some(original_word) = self.next_in_replay(&id)? {
            return Ok(self.duplicate(event_id, word, original_word));
        }
        let fingerprint = self.index.fingerprint(event_id);
        let twins = self.twins(&id, fingerprint)?;
        if let Some(original_word) = twins.present_word {
            return Ok(self.duplicate(event_id, word, original_word));
        }
        let count = self.state.counts.add(word, 1);
        let position = self.journal.append(&Entry {
            event_id: id,
            word,
            count,
        });
        self.index.insert(fingerprint, position);
        if twins.is_settled {
            self.state.absorbed.insert(position);
            self.changes.absorbed = true;
        } else {
            self.state.pending += 1;
        }
        if let Some(released) = twins.released_word.filter(|released| **released != *word) {
            self.statistics.conflicts += 1;
            warn!(
                event_id,
                word,
                released = &*released,
                "conflict: released with another word"
            );
        }
        self.statistics.accepted += 1;
        Ok(Reply::Processed {
            count,
            outcome: Outcome::Accepted,
        })
    }

    fn duplicate(&mut self, event_id: &str, word: &str, original_word: Box<str>) -> Reply {
        let count = self.state.counts.get(word);
        self.statistics.duplicates += 1;
        if *original_word == *word {
            return Reply::Processed {
                count,
                outcome: Outcome::Duplicate,
            };
        }
        self.statistics.conflicts += 1;
        warn!(
            event_id,
            word,
            original_word = &*original_word,
            "conflict: counted with another word"
        );
        Reply::Processed {
            count,
            outcome: Outcome::Conflict { original_word },
        }
    }

    /// The word of the event behind the last one that was found again, if it is the wanted one
    /// and in the timeline.
    fn next_in_replay(&mut self, wanted: &EventId<'_>) -> Result<Option<Box<str>>, StorageError> {
        let Some(replay) = &mut self.replay else {
            return Ok(None);
        };
        match replay.next()? {
            Some((position, entry))
                if entry.event_id == *wanted && self.state.timeline.contains(position) =>
            {
                Ok(Some(entry.word.into()))
            }
            _ => {
                self.replay = None;
                Ok(None)
            }
        }
    }

    /// Finds the earlier positions of an id. Every candidate of the index is compared with the
    /// journal: a shared fingerprint must never drop an event.
    fn twins(
        &mut self,
        wanted: &EventId<'_>,
        fingerprint: crate::seen::Fingerprint,
    ) -> Result<Twins, StorageError> {
        let mut twins = Twins::default();
        for position in self.index.candidates(fingerprint)? {
            let (word, behind) = self.journal.with_entry(position, |entry| {
                (entry.event_id == *wanted).then(|| Box::<str>::from(entry.word))
            })?;
            let Some(word) = word else { continue };
            twins.is_settled |= self.state.is_settled(position);
            if self.state.timeline.contains(position) {
                twins.present_word = Some(word);
                self.replay = behind;
            } else if self.state.released.contains(position) {
                twins.released_word = Some(word);
            }
        }
        Ok(twins)
    }

    fn checkpoint(&mut self, name: &str) -> Reply {
        let head = self.journal.head();
        let checkpoint = Checkpoint {
            timeline: self.state.timeline.up_to(head),
            head: head.0,
            last_commit: self.state.last_commit,
            source: self.state.source.clone(),
            committed_source: self.state.committed_source.clone(),
            created_at_ms: self.now_ms,
        };
        self.changes.checkpoints.insert(name.to_owned(), checkpoint);
        Reply::CheckpointSaved
    }

    fn restore(&mut self, name: &str) -> Result<Answer, StorageError> {
        let Some(mut checkpoint) = self.reader.checkpoint(name)? else {
            return Ok(Err(Refusal::UnknownCheckpoint {
                checkpoint_id: name.to_owned(),
            }));
        };
        self.absorb_released_since(&checkpoint)?;
        self.move_to(checkpoint.timeline.clone())?;
        self.state.source = checkpoint.source.clone();
        self.state.committed_source = checkpoint.committed_source.clone();
        if checkpoint.last_commit != self.state.last_commit {
            checkpoint.last_commit = self.state.last_commit;
            self.changes.checkpoints.insert(name.to_owned(), checkpoint);
        }
        Ok(Ok(Reply::Restored {
            counts: self.state.counts.sorted(),
        }))
    }

    /// Settles the positions of a checkpoint whose id was released under another position since
    /// the checkpoint's last commit. Those of earlier commits were settled when it was saved.
    fn absorb_released_since(&mut self, checkpoint: &Checkpoint) -> Result<(), StorageError> {
        if checkpoint.last_commit == self.state.last_commit {
            return Ok(());
        }
        let unsettled = self.state.unsettled(&checkpoint.timeline);
        let mut released = PositionSet::default();
        for commit in self.reader.commits_from(checkpoint.last_commit + 1) {
            commit?
                .released
                .ranges()
                .for_each(|range| released.insert_range(range));
        }
        let released = released.difference(&checkpoint.timeline);
        // Either side finds the same pairs, so the shorter way is taken.
        let from_released = released.len() < unsettled.len();
        let (walked, sought) = if from_released {
            (&released, &unsettled)
        } else {
            (&unsettled, &released)
        };
        for (position, twin) in self.pairs(walked, sought)? {
            self.state
                .absorbed
                .insert(if from_released { twin } else { position });
            self.changes.absorbed = true;
        }
        Ok(())
    }

    /// Every pair of a position in `walked` and one in `sought` that carry the same id.
    fn pairs(
        &mut self,
        walked: &PositionSet,
        sought: &PositionSet,
    ) -> Result<Vec<(Position, Position)>, StorageError> {
        if walked.is_empty() || sought.is_empty() {
            return Ok(Vec::new());
        }
        let mut likely = Vec::new();
        let index = &self.index;
        self.journal.walk(walked, |position, entry| {
            let fingerprint = entry.event_id.with_text(|text| index.fingerprint(text));
            let twins = index.candidates(fingerprint)?.into_iter();
            likely.extend(
                twins
                    .filter(|&t| sought.contains(t))
                    .map(|twin| (position, twin)),
            );
            Ok(())
        })?;
        let mut pairs = Vec::new();
        for (position, twin) in likely {
            let (id, _) = self
                .journal
                .with_entry(position, |e| e.event_id.with_text(str::to_owned))?;
            let wanted = EventId::new(&id);
            let (is_twin, _) = self
                .journal
                .with_entry(twin, |entry| entry.event_id == wanted)?;
            if is_twin {
                pairs.push((position, twin));
            }
        }
        Ok(pairs)
    }

    fn commit(&mut self) -> Reply {
        let pending = self
            .state
            .unsettled(&self.state.timeline.up_to(self.journal.head()));
        let output_count = pending.len();
        debug_assert_eq!(output_count, self.state.pending);
        if self.state.committed_source != self.state.source {
            self.state.committed_source = self.state.source.clone();
            self.changes.head = true;
        }
        if output_count > 0 {
            self.state.last_commit += 1;
            self.state.released = self.state.released.union(&pending);
            self.changes.commits.push(Commit {
                number: self.state.last_commit,
                first_output: self.state.outputs,
                released: pending,
                committed_at_ms: self.now_ms,
            });
            self.state.outputs += output_count;
            self.state.pending = 0;
            self.changes.released = true;
        }
        Reply::Committed { output_count }
    }

    fn rollback(&mut self) -> Result<Reply, StorageError> {
        let discarded_count = self.state.pending;
        if discarded_count > 0 {
            let timeline = self.state.timeline.up_to(self.journal.head());
            let pending = self.state.unsettled(&timeline);
            self.move_to(timeline.difference(&pending))?;
        }
        if self.state.source != self.state.committed_source {
            self.state.source = self.state.committed_source.clone();
            self.changes.head = true;
        }
        Ok(Reply::RolledBack { discarded_count })
    }

    /// Makes another timeline the present one.
    fn move_to(&mut self, target: PositionSet) -> Result<(), StorageError> {
        let head = self.journal.head();
        let present = self.state.timeline.up_to(head);
        self.move_counts(&present, &target)?;
        self.state.pending = self.state.unsettled(&target).len();
        self.state.timeline = Timeline::new(target, head.next());
        self.changes.closed = true;
        self.changes.head = true;
        self.replay = None;
        Ok(())
    }

    /// Turns the counts of the timeline `present` into those of `target`: from the nearest
    /// counts that are known, the present ones or a snapshot's, over the difference.
    fn move_counts(
        &mut self,
        present: &PositionSet,
        target: &PositionSet,
    ) -> Result<(), StorageError> {
        let distance =
            |from: &PositionSet| from.difference(target).len() + target.difference(from).len();
        let target_head = target.last().map_or(0, |last| last.0);
        let nearest = self
            .snapshots
            .candidates(target_head)
            .map(|snapshot| (distance(&snapshot.timeline) + snapshot.words, snapshot))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(snapshot_distance, _)| *snapshot_distance < distance(present));
        let counts = &mut self.state.counts;
        let from = match nearest {
            None => present,
            Some((_, snapshot)) => {
                counts.clear();
                self.reader.load_snapshot(snapshot, |word, count| {
                    counts.add(word, count);
                })?;
                &snapshot.timeline
            }
        };
        self.journal.walk(&from.difference(target), |_, entry| {
            counts.remove(entry.word);
            Ok(())
        })?;
        self.journal.walk(&target.difference(from), |_, entry| {
            counts.add(entry.word, 1);
            Ok(())
        })
    }

    /// Whether the requests since the last group are enough for one transaction.
    pub(crate) fn group_is_full(&self) -> bool {
        let controls = self.changes.checkpoints.len() + self.changes.commits.len();
        controls >= MAX_CONTROLS_A_GROUP
            || self.journal.unwritten_bytes() >= MAX_JOURNAL_BYTES_A_GROUP
    }

    /// Everything that changed since the last call, to be made durable before any answer given
    /// since then is shown.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a snapshot in work met one.
    pub(crate) fn take_group(&mut self) -> Result<Group, StorageError> {
        let head = self.journal.head();
        if self.snapshots.is_due(head.0, self.state.counts.words()) {
            self.begin_snapshot();
        }
        let changes = std::mem::take(&mut self.changes);
        let state = &self.state;
        Ok(Group {
            head: Head {
                position: head.0,
                open_from: state.timeline.open_from().0,
                last_commit: state.last_commit,
                outputs: state.outputs,
                source: state.source.clone(),
                committed_source: state.committed_source.clone(),
            },
            head_changed: changes.head,
            blocks: self.journal.take_unwritten(),
            closed: changes.closed.then(|| state.timeline.closed().clone()),
            released: changes.released.then(|| state.released.clone()),
            absorbed: changes.absorbed.then(|| state.absorbed.clone()),
            checkpoints: changes.checkpoints,
            commits: changes.commits,
            snapshots: self.snapshots.take_writes()?,
        })
    }

    /// The groups of a clean end: what is left, and a last snapshot if the tail is long. `None`
    /// when nothing is left to write.
    ///
    /// # Errors
    ///
    /// As [`Processor::take_group`].
    pub(crate) fn take_last_group(&mut self) -> Result<Option<Group>, StorageError> {
        if self.snapshots.is_due_at_the_end(self.journal.head().0) {
            self.begin_snapshot();
        }
        self.snapshots.wait()?;
        let group = self.take_group()?;
        Ok((!group.is_empty() || !self.snapshots.is_idle()).then_some(group))
    }

    fn begin_snapshot(&mut self) {
        let head = self.journal.head();
        let timeline = self.state.timeline.up_to(head);
        self.snapshots
            .begin(timeline, head.0, self.state.counts.present());
    }

    /// What has happened since the start, and where the state is now.
    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            pending: self.state.pending,
            position: self.journal.head().0,
            durable_position: self.reader.durable().0,
            index_bytes: self.index.memory_bytes() as u64,
            ..self.statistics
        }
    }

    /// The source position of the state.
    pub(crate) fn source(&self) -> Option<&[u8]> {
        self.state.source.as_deref()
    }
}

/// Reads the whole journal into a new index.
fn build_index(reader: &Reader, seed: u64, head: Position) -> Result<Index, StorageError> {
    let mut index = Index::new(seed);
    let mut reached = Position(0);
    for block in reader.blocks_from(Position::FIRST)? {
        let mut cursor = block?.cursor();
        while let Some((position, entry)) = cursor.next()? {
            let fingerprint = entry.event_id.with_text(|text| index.fingerprint(text));
            index.insert(fingerprint, position);
            reached = position;
        }
    }
    if reached == head {
        return Ok(index);
    }
    let (expected, found) = (format!("position {head}"), format!("position {reached}"));
    Err(StorageError::damaged(
        "the end of the journal",
        expected,
        found,
    ))
}
