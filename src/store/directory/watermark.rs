//! The watermark: a small file of our own that says up to which group replies have been given.
//!
//! If the end of its file is damaged, sled opens it as an older database without an error. So the
//! number of each group is written here after the group's fdatasync and before its replies. A
//! database that opens with a lower number has lost something that was answered, and is refused.
//! The mark also identifies its database, as that of another directory may have a higher number.
//!
//! The file is created whole and synced, then overwritten in place. A mark is within one sector of
//! a disk, so a power cut leaves the old mark or the new one in each slot. The file is synced only
//! now and then, as an older watermark refuses no sound database.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Loss, OpenError, StorageError};
use crate::state::position::Position;
use crate::store::bytes::record::HeadRecord;
use crate::store::directory::files::{replace_file, unusable};
use crate::store::threads;

/// The name of the file. Its bytes change with every group that is answered.
pub(crate) const WATERMARK: &str = "watermark";
pub(crate) const NEW_WATERMARK: &str = "watermark.new";
const MAGIC: &[u8; 8] = b"eo-mark2";
const SLOT_BYTES: u64 = 4096;
const MARK_BYTES: usize = 40;
/// How often the file is synced. After a power cut, a start may not notice a loss from about the
/// last second.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The end of the durable groups whose replies may have been given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The seed of the database's fingerprints, which identifies the database.
    pub(crate) database: u64,
    /// The last such group.
    pub(crate) group: u64,
    /// The journal's last position in that group.
    pub(crate) position: Position,
}

impl Mark {
    /// The mark as its slot stores it.
    pub(crate) fn bytes(self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.database.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.group.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.position.0.to_le_bytes());
        let checksum = xxh3_64(&bytes[..32]);
        bytes[32..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; MARK_BYTES]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = bytes[at..].first_chunk::<8>();
            u64::from_le_bytes(*bytes.expect("a mark has five times eight bytes"))
        };
        let is_whole = bytes.starts_with(MAGIC) && number(32) == xxh3_64(&bytes[..32]);
        is_whole.then(|| Self {
            database: number(8),
            group: number(16),
            position: Position(number(24)),
        })
    }
}

/// Returns what a database has lost, if its end is before the last answered group.
///
/// # Errors
///
/// [`OpenError::WatermarkUnusable`] if the latest mark is not of this database, or there is none.
pub(crate) fn find_loss(
    path: &Path,
    slots: [Option<Mark>; 2],
    database: u64,
    record: &HeadRecord,
) -> Result<Option<Loss>, OpenError> {
    let answered = latest(slots).filter(|mark| mark.database == database);
    let loss = Loss {
        answered: answered.map(|mark| (mark.group, mark.position.0)),
        found: (record.group, record.scalars.position.0),
    };
    match answered {
        None => Err(OpenError::WatermarkUnusable {
            path: path.to_owned(),
            loss,
        }),
        Some(answered) => Ok((record.group < answered.group).then_some(loss)),
    }
}

/// The watermark of a directory that this process writes to.
#[derive(Debug)]
pub(crate) struct Watermark {
    file: Arc<File>,
    syncing: Syncing,
}

impl Watermark {
    /// Replaces or creates the file, with this mark in both slots.
    pub(crate) fn replace(directory: &Path, mark: Mark) -> Result<(), OpenError> {
        let mut slot = mark.bytes().to_vec();
        slot.resize(SLOT_BYTES as usize, 0);
        replace_file(directory, WATERMARK, NEW_WATERMARK, &slot.repeat(2))
    }

    /// Up to where replies have been given in a directory; `None` if neither slot can be read.
    pub(crate) fn read(directory: &Path) -> Result<Option<Mark>, OpenError> {
        Self::slots(directory).map(latest)
    }

    /// The mark in each slot. One that cannot be read must be repaired before the next group, which
    /// may be written over the other one.
    pub(crate) fn slots(directory: &Path) -> Result<[Option<Mark>; 2], OpenError> {
        let path = directory.join(WATERMARK);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok([None; 2]),
            file => file.map_err(unusable(&path, "opening it"))?,
        };
        let slot = |number: u64| {
            let mut bytes = [0; MARK_BYTES];
            match file.read_exact_at(&mut bytes, number * SLOT_BYTES) {
                Ok(()) => Ok(Mark::parse(&bytes)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                Err(error) => Err(unusable(&path, "reading it")(error)),
            }
        };
        Ok([slot(0)?, slot(1)?])
    }

    /// Opens the file to advance it.
    pub(crate) fn open(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(WATERMARK);
        let file = File::options().write(true).open(&path);
        let file = Arc::new(file.map_err(unusable(&path, "opening it to write"))?);
        let syncing = Syncing::start(Arc::clone(&file))?;
        Ok(Self { syncing, file })
    }

    /// Syncs the file a last time.
    ///
    /// # Errors
    ///
    /// [`StorageError::Watermark`] if a sync failed.
    pub(crate) fn close(self) -> Result<(), StorageError> {
        let Self { mut syncing, .. } = self;
        syncing.finish();
        syncing.check()
    }

    /// Writes the mark of a group that is about to be answered.
    ///
    /// # Errors
    ///
    /// [`StorageError::Watermark`] if the file cannot be written, or an earlier sync failed.
    pub(crate) fn advance(&self, mark: Mark) -> Result<(), StorageError> {
        self.syncing.check()?;
        let slot = mark.group % 2 * SLOT_BYTES;
        self.file
            .write_all_at(&mark.bytes(), slot)
            .map_err(unwritable)?;
        self.syncing.is_due.store(true, Ordering::Release);
        Ok(())
    }
}

/// The mark of the later group.
fn latest(slots: [Option<Mark>; 2]) -> Option<Mark> {
    slots.into_iter().flatten().max_by_key(|mark| mark.group)
}

fn unwritable(error: io::Error) -> StorageError {
    StorageError::Watermark(Box::new(error))
}

/// A thread that syncs the file about once a second while it changes.
#[derive(Debug)]
struct Syncing {
    is_due: Arc<AtomicBool>,
    /// The error of the first sync that failed.
    failure: Arc<OnceLock<io::Error>>,
    /// Ends the thread when it is dropped.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncing {
    fn start(file: Arc<File>) -> Result<Self, StorageError> {
        let is_due = Arc::<AtomicBool>::default();
        let failure = Arc::<OnceLock<io::Error>>::default();
        let (end, ended) = channel();
        let (due, failed) = (Arc::clone(&is_due), Arc::clone(&failure));
        let sync = move || {
            if due.swap(false, Ordering::AcqRel)
                && let Err(error) = file.sync_data()
            {
                // The first failure is kept; later ones tell no more.
                failed.set(error).unwrap_or_default();
            }
        };
        let thread = threads::start("watermark", move || {
            while ended.recv_timeout(SYNC_EVERY) == Err(RecvTimeoutError::Timeout) {
                sync();
            }
            sync();
        })?;
        Ok(Self {
            is_due,
            failure,
            end: Some(end),
            thread: Some(thread),
        })
    }

    fn check(&self) -> Result<(), StorageError> {
        match self.failure.get() {
            None => Ok(()),
            Some(failure) => {
                let code = failure.raw_os_error();
                let text = || io::Error::new(failure.kind(), failure.to_string());
                Err(unwritable(
                    code.map_or_else(text, io::Error::from_raw_os_error),
                ))
            }
        }
    }

    /// Waits until the thread has made a last sync.
    fn finish(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // The thread only syncs, and puts a failure into `failure`.
            thread.join().unwrap_or_default();
        }
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(group: u64) -> Mark {
        Mark {
            database: 7,
            group,
            position: Position(10 * group),
        }
    }

    fn damage(directory: &Path, slot: u64) {
        let file = File::options()
            .write(true)
            .open(directory.join(WATERMARK))
            .expect("it is there");
        file.write_all_at(b"x", slot * SLOT_BYTES + 9)
            .expect("it can be written");
    }

    #[test]
    fn the_later_slot_counts_and_a_torn_one_does_not() {
        let directory = tempfile::tempdir().expect("there is room");
        let read = || Watermark::read(directory.path()).expect("it can be read");
        assert_eq!(read(), None);
        Watermark::replace(directory.path(), mark(0)).expect("there is room");
        assert_eq!(read(), Some(mark(0)));
        let watermark = Watermark::open(directory.path()).expect("it is there");
        for group in 1..=5 {
            watermark.advance(mark(group)).expect("there is room");
            assert_eq!(read(), Some(mark(group)));
        }
        damage(directory.path(), 1);
        assert_eq!(read(), Some(mark(4)));
        damage(directory.path(), 0);
        assert_eq!(read(), None);
        Watermark::replace(directory.path(), mark(2)).expect("there is room");
        assert_eq!(read(), Some(mark(2)));
    }
}
