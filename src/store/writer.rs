//! Persists groups: each takes one transaction or one insert, one flush and one fdatasync.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::info;

use crate::error::{Loss, OpenError, StorageError};
use crate::state::position::Position;
use crate::store::bytes::FORMAT;
use crate::store::bytes::block::Groups;
use crate::store::bytes::fingerprint::Fingerprints;
use crate::store::bytes::record::{FormatRecord, HeadRecord, Scalars};
use crate::store::bytes::release_pack::ReleasePack;
use crate::store::bytes::tree_name::TreeName;
use crate::store::cache::Cache;
use crate::store::database::trees::Trees;
use crate::store::database::view::DatabaseViews;
use crate::store::database::{Database, failed};
use crate::store::decode::{self, FIRST_FREE_SET, LiveSets, StoredHead};
use crate::store::directory::generation::DATABASE;
use crate::store::directory::identity::leads_to;
use crate::store::directory::space::SpaceFloor;
use crate::store::directory::watermark::{Mark, Watermark, find_loss};
use crate::store::directory::{Directory, foreign_database};
use crate::store::group::Group;
use crate::store::options::Options;
use crate::store::reader::{Durable, DurableState, Reader};
use crate::store::transaction::Transaction;
use crate::store::unpersisted::{Persisted, Receipt, Unpersisted};
use crate::store::watchdog::Watchdog;

/// A clean end opens sled again, for a quick next start, if sled has written this fraction of
/// [`Options::reopen_bytes`] since it was opened.
const CLEAN_END_SHARE: u64 = 8;

/// Bytes that sled may use for pages: few, as [`Cache`] keeps what is read more than once.
const SLED_CACHE_BYTES: u64 = 4 << 20;

const PERSISTING: &str = "persisting a group";

/// Where the store has spent its time until now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StoreTimes {
    /// Writing groups to sled.
    pub(crate) write: Duration,
    /// Syncing sled's file.
    pub(crate) sync: Duration,
    /// Number of these syncs.
    pub(crate) syncs: u64,
    /// Opening sled again.
    pub(crate) reopen: Duration,
    /// The longest time that one of these took.
    pub(crate) longest_reopen: Duration,
    /// How often sled was opened again.
    pub(crate) reopened: u64,
}

/// The store of one state directory. It persists groups for the driver: only it opens an
/// [`Unpersisted`] group.
#[derive(Debug)]
pub(crate) struct Store {
    trees: Trees,
    /// Our own handle on sled's file, to sync it: sled's flush does no fsync.
    file: File,
    /// Opened with the first group, so that a loss is reported before the watermark forgets it.
    watermark: Option<Watermark>,
    /// True if one slot of the watermark was unreadable when the store was opened.
    has_damaged_slot: bool,
    /// The loss that was found when the store was opened, and accepted.
    loss: Option<Loss>,
    durable: Durable,
    format: FormatRecord,
    record: HeadRecord,
    /// The number of the last group before the open that was a transaction.
    base: u64,
    /// The live sets as they are stored.
    stored: LiveSets,
    /// The last pack of releases.
    pack: ReleasePack,
    has_failed: bool,
    /// Bytes that sled has written to its log since it was opened.
    flushed_bytes: u64,
    times: StoreTimes,
    reopen_bytes: u64,
    views: Mutex<DatabaseViews>,
    cache: Cache,
    /// The folder with the files of the database.
    folder: PathBuf,
    /// Dropped last: the lock must outlive sled's use of the files.
    directory: Directory,
}

impl Store {
    pub(super) fn open(
        mut directory: Directory,
        options: &Options,
        watchdog: &Watchdog,
    ) -> Result<Self, OpenError> {
        let accept_loss = options.accept_loss;
        let file = {
            let _watched = watchdog.watch("preparing the database");
            directory.prepare()?
        };
        let folder = directory.folder();
        let trees = Trees::new(Database::open(&folder, SLED_CACHE_BYTES, watchdog)?);
        if !trees.database.sled_tree_is_readable()? {
            let path = directory.path().to_owned();
            return Err(OpenError::EmptyPageDamaged { path });
        }
        let format = match decode::format(&trees)? {
            Some(format) => format,
            None if directory.is_new() => create(&trees, &file, options)?,
            None => return Err(foreign_database(directory.path(), &folder)),
        };
        decode::check_format(&format, directory.path())?;
        let StoredHead { record, base } = decode::head(&trees)?;
        {
            let _watched = watchdog.watch("creating the directory");
            directory.finish_creation(mark_of(&format, &record))?;
        }
        let slots = Watermark::slots(&folder)?;
        let loss = match find_loss(directory.path(), slots, format.seed, &record) {
            Err(_) if directory.is_being_built() => None,
            Err(OpenError::WatermarkUnusable { loss, .. }) if accept_loss => Some(loss),
            found => found?,
        };
        if let Some(loss) = loss.filter(|_| !accept_loss) {
            let path = directory.path().to_owned();
            return Err(OpenError::AnsweredLost { path, loss });
        }
        let stored = decode::live_sets(&trees, &record.scalars)?;
        let pack = decode::check_fit(&trees, &record, &stored)?;
        let durable = Durable::default();
        durable.advance(record.scalars.position, record.group);
        let has_failed = false;
        Ok(Self {
            trees,
            file,
            watermark: None,
            has_damaged_slot: slots.contains(&None),
            loss,
            durable,
            format,
            record,
            base,
            stored,
            pack,
            has_failed,
            flushed_bytes: 0,
            times: StoreTimes::default(),
            reopen_bytes: options.reopen_bytes,
            views: Mutex::default(),
            cache: options.cache(),
            folder,
            directory,
        })
    }

    /// Returns the scalars as they are stored.
    pub(crate) fn scalars(&self) -> &Scalars {
        &self.record.scalars
    }

    /// Returns the live sets as they are stored.
    pub(crate) fn live_sets(&self) -> &LiveSets {
        &self.stored
    }

    pub(crate) fn fingerprints(&self) -> Fingerprints {
        self.format.fingerprints()
    }

    /// Returns the number of the first group after the open, and of the last transaction before it.
    pub(crate) fn first_groups(&self) -> Groups {
        Groups {
            group: self.record.group + 1,
            base: self.base,
        }
    }

    /// Returns the cache of what is stored.
    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Returns a check of the free space on the disk of the directory.
    pub(crate) fn space_floor(&self, floor_bytes: u64) -> SpaceFloor {
        SpaceFloor::new(
            &self.folder,
            floor_bytes,
            self.trees.database.watchdog().clone(),
        )
    }

    /// Returns the loss that was found when the store was opened, if it was accepted.
    pub(crate) fn loss(&self) -> Option<Loss> {
        self.loss
    }

    /// Opens the watermark. A loss that was found when the store was opened counts as reported now.
    fn begin(&mut self) -> Result<(), StorageError> {
        if self.watermark.is_some() || self.directory.is_being_built() {
            return Ok(());
        }
        let unusable = |error| match error {
            OpenError::Storage(error) => error,
            error => StorageError::Watermark(Box::new(error)),
        };
        if self.loss.is_some() || self.has_damaged_slot {
            Watermark::replace(&self.folder, mark_of(&self.format, &self.record))
                .map_err(unusable)?;
        }
        self.watermark = Some(Watermark::open(&self.folder).map_err(unusable)?);
        Ok(())
    }

    /// Adds a listener that is called once for each stuck call of the storage.
    pub(crate) fn when_stuck(&self, listener: impl Fn(&StorageError) + Send + 'static) {
        self.trees.database.watchdog().tell(Box::new(listener));
    }

    /// Returns the receipt for the last durable group.
    pub(crate) fn receipt(&self) -> Receipt {
        Receipt {
            group: self.record.group,
        }
    }

    /// Returns the end of what is durable, which advances with each group.
    pub(crate) fn durable(&self) -> Durable {
        self.durable.clone()
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::new(self.trees.clone(), self.durable.clone())
    }

    /// Returns the present durable moment, which stays readable while later groups are persisted.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the database cannot be read.
    pub(crate) fn view(&self) -> Result<DurableState, StorageError> {
        self.check_running()?;
        let view = self
            .views
            .lock()
            .open(self.record.group, || self.trees.last_keys())?;
        let durable = Durable::default();
        durable.advance(self.record.scalars.position, self.record.group);
        Ok(DurableState {
            format: self.format,
            record: self.record.clone(),
            reader: Reader::new(self.trees.at(view), durable),
        })
    }

    /// Makes a group durable and only then releases its replies. After that neither a kill nor a
    /// power cut can undo the group.
    ///
    /// # Errors
    ///
    /// Every [`StorageError`] is final. The next open decides whether the group took effect, and
    /// every further call returns [`StorageError::Stopped`].
    pub(crate) fn persist<R: Default>(
        &mut self,
        unpersisted: &mut Unpersisted<R>,
    ) -> Result<Persisted<R>, StorageError> {
        self.check_running()?;
        let group = &unpersisted.group;
        let persisted = self.begin().and_then(|()| match group.is_empty() {
            true => Ok(()),
            false => self.write(group),
        });
        if let Err(error) = persisted {
            self.stop();
            return Err(error);
        }
        Ok(Persisted {
            replies: std::mem::take(&mut unpersisted.replies),
            receipt: self.receipt(),
        })
    }

    pub(crate) fn times(&self) -> StoreTimes {
        self.times
    }

    /// True once sled has written enough since it was opened for the next start to take long.
    pub(crate) fn should_reopen(&self) -> bool {
        self.flushed_bytes >= self.reopen_bytes
    }

    /// True once sled has written enough to be opened again even under load.
    pub(crate) fn must_reopen(&self) -> bool {
        self.flushed_bytes >= self.reopen_bytes + self.reopen_bytes / 4
    }

    /// Opens sled again, so that the next start has little to read. Does nothing if another
    /// directory has taken the place of this one.
    ///
    /// # Errors
    ///
    /// Every [`StorageError`] is final, as for [`Store::persist`].
    pub(crate) fn reopen(&mut self) -> Result<(), StorageError> {
        self.flushed_bytes = 0;
        if !self.is_in_its_place() {
            return Ok(());
        }
        let started = Instant::now();
        let reopened = self.trees.database.reopen();
        let result = reopened.and_then(|()| match self.is_in_its_place() {
            true => Ok(()),
            false => Err(StorageError::Removed),
        });
        if result.is_err() {
            self.stop();
        }
        let pause = started.elapsed();
        self.times.reopen += pause;
        self.times.longest_reopen = self.times.longest_reopen.max(pause);
        self.times.reopened += 1;
        info!(ms = pause.as_millis(), "opened sled again");
        result
    }

    /// Refuses every further group: the state in memory is ahead of the disk, and only a new open
    /// can tell by how much.
    pub(crate) fn stop(&mut self) {
        self.has_failed = true;
        self.trees.database.keep_open_until_exit();
    }

    /// Waits for the readers and closes the database. Later reads get [`StorageError::Stopped`].
    ///
    /// # Errors
    ///
    /// [`StorageError`] if closing fails; what was persisted stays durable.
    pub(crate) fn close(mut self) -> Result<(), StorageError> {
        self.check_running()?;
        self.begin()?;
        if self.flushed_bytes >= self.reopen_bytes / CLEAN_END_SHARE {
            self.reopen()?;
        }
        self.trees.database.close()?;
        let _watched = self.trees.database.watchdog().watch("closing");
        if self.directory.is_being_built() {
            let mark = mark_of(&self.format, &self.record);
            let finished = self.directory.finish_building(mark);
            finished.map_err(|error| StorageError::Watermark(Box::new(error)))?;
        }
        self.watermark.map_or(Ok(()), Watermark::close)
    }

    /// Checks that no call has failed yet.
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
            digests: self.record.digests.clone(),
            journal: self.record.journal,
        };
        for block in &group.blocks {
            let bytes = size_of::<u64>() + block.bytes.len();
            record.journal.add(block.first, bytes as u64);
        }
        if let Some(last) = group.blocks.last() {
            record.digests.journal = last.checksum();
        }
        assert_eq!(
            group.number,
            self.record.group + 1,
            "groups are persisted in order"
        );
        let started = Instant::now();
        self.keep_blocks_for_views(group)?;
        match group.as_lone_block() {
            // One insert is atomic. A transaction would make sled write twice, so that a lone
            // request would take half as long again. The block has the number of its group, and the
            // end of the journal gives the head.
            Some(block) => {
                let key = block.first.0.to_be_bytes();
                self.trees[TreeName::Journal].insert(PERSISTING, key, &block.bytes)?;
            }
            None => {
                let mut transaction = Transaction::default();
                let (stored, pack) = (&self.stored, &mut self.pack);
                transaction.put_group(&self.trees, group, stored, pack, &mut record)?;
                let views = self.views.get_mut();
                transaction.apply(&self.trees, views, &mut record, PERSISTING)?;
            }
        }
        self.flushed_bytes += flush(&self.trees, PERSISTING)?;
        // sled's flush is pwrite and sync_file_range, which survive a kill but not a power cut.
        let written = Instant::now();
        let watchdog = self.trees.database.watchdog();
        let _watched = watchdog.watch("making a group durable");
        self.file.sync_data().map_err(StorageError::Sync)?;
        self.times.write += written - started;
        self.times.sync += written.elapsed();
        self.times.syncs += 1;
        self.check_that_the_file_has_a_name()?;
        if !self.directory.is_being_built() {
            let watermark = self.watermark.as_ref();
            let watermark = watermark.expect("a store that persists has begun to be used");
            watermark.advance(mark_of(&self.format, &record))?;
        }
        self.record = record;
        self.stored.take(group);
        self.durable.advance(group.scalars.position, group.number);
        Ok(())
    }

    /// True if the file that is synced is the one that sled would open.
    fn is_in_its_place(&self) -> bool {
        leads_to(&self.folder.join(DATABASE), &self.file)
    }

    /// Gives the views the value that a group replaces in the journal: only the last block ever
    /// changes.
    fn keep_blocks_for_views(&mut self, group: &Group) -> Result<(), StorageError> {
        let views = self.views.get_mut();
        views.forget_closed();
        if let Some(first) = group.blocks.first().filter(|_| !views.is_empty()) {
            let key = first.first.0.to_be_bytes();
            let replaced = self.trees[TreeName::Journal].get(key)?;
            views.keep(TreeName::Journal, &key, replaced.as_ref());
        }
        Ok(())
    }

    /// Checks that the database file was not removed, as writes to a removed file are lost.
    fn check_that_the_file_has_a_name(&self) -> Result<(), StorageError> {
        let metadata = self.file.metadata().map_err(StorageError::Sync)?;
        if metadata.nlink() == 0 {
            return Err(StorageError::Removed);
        }
        Ok(())
    }
}

/// Writes the first records of a new database and makes them durable.
fn create(trees: &Trees, file: &File, options: &Options) -> Result<FormatRecord, StorageError> {
    const ACTION: &str = "creating the database";
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), FORMAT);
    let format = FormatRecord {
        format: FORMAT,
        seed,
        fingerprint_bits: options.fingerprint_bits,
    };
    let scalars = Scalars {
        open_from: Position::FIRST,
        ..Scalars::default()
    };
    let mut record = HeadRecord {
        next_set: FIRST_FREE_SET,
        scalars,
        ..HeadRecord::default()
    };
    let mut transaction = Transaction::default();
    transaction.put_format(&format);
    transaction.apply(trees, &DatabaseViews::default(), &mut record, ACTION)?;
    flush(trees, ACTION)?;
    let _watched = trees.database.watchdog().watch(ACTION);
    file.sync_data().map_err(StorageError::Sync)?;
    Ok(format)
}

/// Makes sled write everything to its file, and returns the number of bytes written.
fn flush(trees: &Trees, action: &'static str) -> Result<u64, StorageError> {
    let flushed = trees
        .database
        .call(action, |open| open.db.flush().map_err(failed(action)))?;
    Ok(flushed as u64)
}

fn mark_of(format: &FormatRecord, record: &HeadRecord) -> Mark {
    Mark {
        database: format.seed,
        group: record.group,
        position: record.scalars.position,
    }
}
