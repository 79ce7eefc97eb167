//! The committing side: one transaction (or one insert), one flush and one fdatasync a group.

use std::fs::File;
use std::path::Path;

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError};

use crate::error::{Loss, OpenError, StorageError};
use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::store::block::{Block, Groups};
use crate::store::directory::{Directory, FORMAT};
use crate::store::group::{Checkpoint, Commit, Group, SnapshotHeader};
use crate::store::load::{
    self, ABSORBED_SET, CLOSED_SET, FIRST_FREE_SET, LiveSets, RELEASED_SET, StoredHead,
};
use crate::store::reader::{DurablePosition, Reader};
use crate::store::record::{
    self, CheckpointRecord, CommitRecord, Format, HeadRecord, Scalars, SetRecord, SnapshotRecord,
};
use crate::store::set_codec::{self, PieceKey};
use crate::store::sled_db::{self, Trees, failed, guarded};
use crate::store::watermark::{Mark, Watermark};

/// A set of at most this many ranges is stored in its record: below 1.3 KB in the worst case.
const MAX_INLINE_RANGES: usize = 64;

const COMMITTING: &str = "committing a group";

/// The store of one state directory. It belongs to the thread that commits.
#[derive(Debug)]
pub(crate) struct Store {
    db: sled::Db,
    trees: Trees,
    /// Our own handle on sled's file: sled's flush is no fsync.
    file: File,
    /// Opened with the first use: a loss must be told before the watermark forgets it.
    watermark: Option<Watermark>,
    /// What was gone at the open, and accepted.
    loss: Option<Loss>,
    durable: DurablePosition,
    seed: u64,
    record: HeadRecord,
    /// The last group that was a transaction.
    base: u64,
    /// The live sets as they are stored.
    stored: LiveSets,
    has_failed: bool,
    /// Dropped last: the lock is given up when sled is done with the files.
    directory: Directory,
}

impl Store {
    /// Opens the database of a locked directory.
    pub(super) fn open(
        mut directory: Directory,
        cache_bytes: u64,
        accept_loss: bool,
    ) -> Result<Self, OpenError> {
        let file = directory.prepare()?;
        let (db, trees) = sled_db::open(directory.path(), cache_bytes)?;
        let format = match load::format(&trees)? {
            Some(format) => format,
            None if directory.is_new() => create(&db, &trees, &file)?,
            None => return Err(directory.database_is_foreign()),
        };
        check_format(&format, directory.path())?;
        directory.finish_creation()?;
        let StoredHead { record, base } = load::head(&trees)?;
        let loss = match find_loss(directory.path(), &record) {
            Ok(loss) => loss,
            Err(OpenError::WatermarkGone { loss, .. }) if accept_loss => Some(loss),
            Err(error) => return Err(error),
        };
        if let Some(loss) = loss.filter(|_| !accept_loss) {
            let path = directory.path().to_owned();
            return Err(OpenError::AnsweredLost { path, loss });
        }
        let stored = load::live_sets(&trees)?;
        load::check_fit(&trees, &record.scalars, &stored)?;
        let durable = DurablePosition::default();
        durable.advance(record.scalars.position);
        let has_failed = false;
        Ok(Self {
            db,
            trees,
            file,
            watermark: None,
            loss,
            durable,
            seed: format.seed,
            record,
            base,
            stored,
            has_failed,
            directory,
        })
    }

    /// The state's scalars as they are stored.
    pub(crate) fn scalars(&self) -> &Scalars {
        &self.record.scalars
    }

    /// The live sets as they are stored.
    pub(crate) fn live_sets(&self) -> &LiveSets {
        &self.stored
    }

    /// The seed of the event ids' fingerprints.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The next group that writes anything, and the last one that was a transaction.
    pub(crate) fn next_groups(&self) -> Groups {
        Groups {
            group: self.record.group + 1,
            base: self.base,
        }
    }

    /// The state directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What the database had lost when it was opened, if that was accepted.
    pub(crate) fn loss(&self) -> Option<Loss> {
        self.loss
    }

    /// Begins to be used: from here on a loss that was found at the open counts as told.
    ///
    /// # Errors
    ///
    /// [`StorageError::Watermark`] if the watermark cannot be written.
    pub(crate) fn begin(&mut self) -> Result<(), StorageError> {
        if self.watermark.is_some() {
            return Ok(());
        }
        let unusable = |error| StorageError::Watermark(Box::new(error));
        if self.loss.is_some() {
            Watermark::replace(self.path(), mark_of(&self.record)).map_err(unusable)?;
        }
        self.watermark = Some(Watermark::open(self.path()).map_err(unusable)?);
        Ok(())
    }

    /// The last durable position, as it advances.
    pub(crate) fn durable(&self) -> DurablePosition {
        self.durable.clone()
    }

    /// A reader of what is durable.
    pub(crate) fn reader(&self) -> Reader {
        Reader::new(self.trees.clone(), self.durable.clone())
    }

    /// Makes a group durable: when this returns `Ok`, neither a kill nor a power cut takes it
    /// back.
    ///
    /// # Errors
    ///
    /// Any [`StorageError`] is final. Whether the group took effect is decided by the next
    /// open, and every further call returns [`StorageError::Stopped`].
    pub(crate) fn commit(&mut self, group: &Group) -> Result<(), StorageError> {
        self.check_running()?;
        if group.is_empty() {
            return Ok(());
        }
        let result = self.write(group);
        if result.is_err() {
            self.stop();
        }
        result
    }

    /// Refuses every further commit: memory is ahead of the disk, and only a new open can tell
    /// by how much.
    pub(crate) fn stop(&mut self) {
        self.has_failed = true;
        // Dropping the database flushes it, which after an error in mid-commit could make half
        // a transaction durable. A handle that is never dropped keeps it from that.
        std::mem::forget(self.db.clone());
    }

    /// Whether no call has failed yet.
    ///
    /// # Errors
    ///
    /// [`StorageError::Stopped`] if one has.
    pub(crate) fn check_running(&self) -> Result<(), StorageError> {
        if self.has_failed {
            Err(StorageError::Stopped)
        } else {
            Ok(())
        }
    }

    fn write(&mut self, group: &Group) -> Result<(), StorageError> {
        let mut record = HeadRecord {
            group: group.number,
            next_set: self.record.next_set,
            scalars: group.scalars.clone(),
        };
        assert_eq!(
            group.number,
            self.record.group + 1,
            "groups are committed in order"
        );
        let watermark = self.watermark.as_ref();
        let watermark = watermark.expect("whoever commits has begun to use the store");
        match group.as_lone_block() {
            Some(block) => self.insert_block(block)?,
            None => {
                let batches = guarded(COMMITTING, || self.batches(group, &mut record))?;
                guarded(COMMITTING, || batches.apply(&self.trees, COMMITTING))?;
            }
        }
        guarded(COMMITTING, || {
            self.db.flush().map(drop).map_err(failed(COMMITTING))
        })?;
        // sled's flush is pwrite and sync_file_range: it survives a kill, not a power cut.
        self.file.sync_data().map_err(StorageError::Sync)?;
        watermark.advance(mark_of(&record))?;
        self.record = record;
        for (stored, new) in [
            (&mut self.stored.closed, &group.closed),
            (&mut self.stored.settled.released, &group.released),
            (&mut self.stored.settled.absorbed, &group.absorbed),
        ] {
            if let Some(new) = new {
                *stored = new.clone();
            }
        }
        self.durable.advance(group.scalars.position);
        Ok(())
    }

    /// Writes the block of a group that is nothing else. One insert is atomic as it is, and a
    /// transaction would make sled write twice: a lone request would wait half as long again.
    /// The block says which group it is of, and the journal's end says where the head is.
    fn insert_block(&self, block: &Block) -> Result<(), StorageError> {
        let key = block.first.0.to_be_bytes();
        let journal = self.trees.journal.sled();
        let insert = || {
            journal
                .insert(key, &*block.bytes)
                .map(drop)
                .map_err(failed(COMMITTING))
        };
        guarded(COMMITTING, insert)
    }

    /// Everything the transaction will write, prepared outside of it: it holds a lock that
    /// keeps all readers waiting.
    fn batches(&self, group: &Group, record: &mut HeadRecord) -> Result<Batches, StorageError> {
        let mut batches = Batches::default();
        for block in &group.blocks {
            batches
                .journal
                .insert(&block.first.0.to_be_bytes(), &*block.bytes);
        }
        for (set, stored, new) in [
            (CLOSED_SET, &self.stored.closed, &group.closed),
            (RELEASED_SET, &self.stored.settled.released, &group.released),
            (ABSORBED_SET, &self.stored.settled.absorbed, &group.absorbed),
        ] {
            if let Some(new) = new {
                batches.put_changed_pieces(set, stored, new);
            }
        }
        for (name, checkpoint) in &group.checkpoints {
            if let Some(old) = load::checkpoint_record(&self.trees, name)? {
                batches.remove_set(&self.trees, &old.timeline)?;
            }
            batches.put_checkpoint(name, checkpoint, record);
        }
        for commit in &group.commits {
            batches.put_commit(commit, record);
        }
        batches.put_snapshots(&self.trees, group, record)?;
        batches.meta.insert("head", record::encode(record));
        Ok(batches)
    }
}

/// Writes what a new database begins with, and makes it durable.
fn create(db: &sled::Db, trees: &Trees, file: &File) -> Result<Format, StorageError> {
    const ACTION: &str = "creating the database";
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), FORMAT);
    let format = Format {
        format: FORMAT,
        seed,
    };
    let scalars = Scalars {
        open_from: Position::FIRST,
        ..Scalars::default()
    };
    let record = HeadRecord {
        group: 0,
        next_set: FIRST_FREE_SET,
        scalars,
    };
    let mut batches = Batches::default();
    batches.meta.insert("format", record::encode(&format));
    batches.meta.insert("head", record::encode(&record));
    guarded(ACTION, || {
        batches.apply(trees, ACTION)?;
        db.flush().map(drop).map_err(failed(ACTION))
    })?;
    file.sync_data().map_err(StorageError::Sync)?;
    Ok(format)
}

fn mark_of(record: &HeadRecord) -> Mark {
    Mark {
        group: record.group,
        position: record.scalars.position,
    }
}

/// What a database has lost, if its end is before the last answer.
///
/// # Errors
///
/// [`OpenError::WatermarkGone`] if nobody can tell.
pub(super) fn find_loss(path: &Path, record: &HeadRecord) -> Result<Option<Loss>, OpenError> {
    let answered = Watermark::read(path)?;
    let loss = Loss {
        answered: answered.map(|mark| (mark.group, mark.position.0)),
        found: (record.group, record.scalars.position.0),
    };
    match answered {
        None => Err(OpenError::WatermarkGone {
            path: path.to_owned(),
            loss,
        }),
        Some(answered) => Ok((record.group < answered.group).then_some(loss)),
    }
}

pub(super) fn check_format(format: &Format, path: &Path) -> Result<(), OpenError> {
    if format.format == FORMAT {
        return Ok(());
    }
    let (path, found) = (path.to_owned(), format.format.to_string());
    Err(OpenError::UnknownFormat {
        path,
        found,
        known: FORMAT,
    })
}

/// One batch a tree, applied in one transaction.
#[derive(Default)]
struct Batches {
    meta: sled::Batch,
    journal: sled::Batch,
    sets: sled::Batch,
    counts: sled::Batch,
    checkpoints: sled::Batch,
    commits: sled::Batch,
}

impl Batches {
    fn apply(&self, trees: &Trees, action: &'static str) -> Result<(), StorageError> {
        let trees = (
            trees.meta.sled(),
            trees.journal.sled(),
            trees.sets.sled(),
            trees.counts.sled(),
            trees.checkpoints.sled(),
            trees.commits.sled(),
        );
        let applied = trees.transaction(|(meta, journal, sets, counts, checkpoints, commits)| {
            meta.apply_batch(&self.meta)?;
            journal.apply_batch(&self.journal)?;
            sets.apply_batch(&self.sets)?;
            counts.apply_batch(&self.counts)?;
            checkpoints.apply_batch(&self.checkpoints)?;
            commits.apply_batch(&self.commits)?;
            Ok::<(), ConflictableTransactionError<()>>(())
        });
        applied.map_err(|error| match error {
            TransactionError::Storage(error) => failed(action)(error),
            TransactionError::Abort(()) => unreachable!("the closure never aborts"),
        })
    }

    fn put_changed_pieces(&mut self, set: u64, stored: &PositionSet, new: &PositionSet) {
        for (piece, value) in new.pieces_changed_since(stored) {
            let key = PieceKey { set, piece };
            match set_codec::encode(key, value) {
                Some(bytes) => self.sets.insert(&key.bytes(), bytes),
                None => self.sets.remove(&key.bytes()),
            }
        }
    }

    /// Stores a set that never changes, in the record itself if it is small.
    fn put_set(&mut self, set: &PositionSet, record: &mut HeadRecord) -> SetRecord {
        let ranges: Vec<(Position, Position)> = set
            .ranges()
            .take(MAX_INLINE_RANGES + 1)
            .map(|r| (r.first, r.last))
            .collect();
        if ranges.len() <= MAX_INLINE_RANGES {
            return SetRecord::Ranges(ranges);
        }
        let number = record.next_set;
        record.next_set += 1;
        self.put_changed_pieces(number, &PositionSet::default(), set);
        SetRecord::Pieces(number)
    }

    fn remove_set(&mut self, trees: &Trees, set: &SetRecord) -> Result<(), StorageError> {
        if let SetRecord::Pieces(number) = set {
            for entry in trees.sets.with_prefix(*number) {
                self.sets.remove(entry?.0);
            }
        }
        Ok(())
    }

    fn put_checkpoint(&mut self, name: &str, checkpoint: &Checkpoint, record: &mut HeadRecord) {
        let stored = CheckpointRecord {
            timeline: self.put_set(&checkpoint.timeline, record),
            events: checkpoint.timeline.len(),
            position: checkpoint.position,
            last_commit: checkpoint.last_commit,
            source: checkpoint.source.clone(),
            committed_source: checkpoint.committed_source.clone(),
            created_at_ms: checkpoint.created_at_ms,
        };
        self.checkpoints.insert(name, record::encode(&stored));
    }

    fn put_commit(&mut self, commit: &Commit, record: &mut HeadRecord) {
        let stored = CommitRecord {
            first_output: commit.first_output,
            released: self.put_set(&commit.released, record),
            committed_at_ms: commit.committed_at_ms,
        };
        self.commits
            .insert(&commit.number.to_be_bytes(), record::encode(&stored));
    }

    fn put_snapshots(
        &mut self,
        trees: &Trees,
        group: &Group,
        record: &mut HeadRecord,
    ) -> Result<(), StorageError> {
        let writes = &group.snapshots;
        for (snapshot, block) in &writes.blocks {
            self.counts.insert(
                &load::counts_key(*snapshot, block.number),
                block.bytes.as_slice(),
            );
        }
        for &snapshot in &writes.removed {
            if let Some(old) = load::snapshot_record(trees, snapshot)? {
                self.remove_set(trees, &old.timeline)?;
            }
            self.counts.remove(&load::counts_key(snapshot, 0));
        }
        for &(snapshot, number) in &writes.removed_blocks {
            self.counts.remove(&load::counts_key(snapshot, number));
        }
        if let Some(header) = &writes.finished {
            self.put_snapshot_header(header, record);
        }
        Ok(())
    }

    fn put_snapshot_header(&mut self, header: &SnapshotHeader, record: &mut HeadRecord) {
        let stored = SnapshotRecord {
            timeline: self.put_set(&header.timeline, record),
            position: header.position,
            blocks: header.blocks,
            words: header.words,
            digest: header.digest,
        };
        self.counts.insert(
            &load::counts_key(header.snapshot, 0),
            record::encode(&stored),
        );
    }
}
