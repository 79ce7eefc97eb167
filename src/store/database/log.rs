//! Checks sled's log on disk: every message that sled may read again must be whole.
//!
//! sled reads the messages of a page when it needs the page, and when it moves the page to empty a
//! segment of its file. It also moves pages that are in none of our trees, such as those of its own
//! tree. So reading every tree does not find all damage that a later run can meet.
//!
//! sled's own snapshot file lists these messages. The rest of `db` may hold anything: free
//! segments, replaced messages, and what a crash left at the end of the log. Only the listed
//! messages are checked, so a sound directory is never reported as damaged.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use crate::error::StorageError;
use crate::error::remedy::remedy;
use crate::store::database::message::{Message, SEGMENT_BYTES, messages};
use crate::store::directory::generation::DATABASE;
use crate::store::watchdog::{Watchdog, time_to_read};

/// The files of a database that sled has just opened and that is not written to.
#[derive(Debug)]
pub(crate) struct SledLog {
    database: File,
    /// `None` only if sled found nothing in the database.
    snapshot: Option<File>,
    watchdog: Watchdog,
}

/// A page with a message that sled cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DamagedPage {
    page: u64,
    /// The bytes of `db` where the message should be.
    bytes: Range<u64>,
    flaw: &'static str,
}

impl fmt::Display for DamagedPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, bytes, flaw } = self;
        let (first, last) = (bytes.start, bytes.end - 1);
        let place = format_args!("bytes {first} to {last} of db");
        write!(f, "page {page} is damaged in {place}: {flaw}")
    }
}

impl SledLog {
    /// Opens the files in a directory. sled must have opened its database there, so that its newest
    /// snapshot file describes the whole log, and nothing may have been written since. The names of
    /// the files are not needed after this.
    ///
    /// # Errors
    ///
    /// [`StorageError::Database`] if the files cannot be read.
    pub(crate) fn open(directory: &Path, watchdog: &Watchdog) -> Result<Self, StorageError> {
        let _watched = watchdog.watch("opening the files of the database");
        let open = || -> io::Result<_> {
            let mut snapshots = Vec::new();
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with("snap.") {
                    snapshots.push(entry.path());
                }
            }
            // The name ends with the position up to which the file describes the log.
            let newest = snapshots.into_iter().max();
            Ok(Self {
                database: File::open(directory.join(DATABASE))?,
                snapshot: newest.map(File::open).transpose()?,
                watchdog: watchdog.clone(),
            })
        };
        open().map_err(unreadable)
    }

    /// Checks every message that sled may read again, and returns the damaged pages.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the files cannot be read.
    pub(crate) fn damaged_pages(&self) -> Result<Vec<DamagedPage>, StorageError> {
        let Some(snapshot) = &self.snapshot else {
            return Ok(Vec::new());
        };
        let bytes = self.database.metadata().map_err(unreadable)?.len();
        let time = time_to_read(bytes);
        let _watched = self.watchdog.watch_longer("checking the pages", time);
        let mut table = Vec::new();
        (&*snapshot)
            .seek(SeekFrom::Start(0))
            .and_then(|_| (&*snapshot).read_to_end(&mut table))
            .map_err(unreadable)?;
        let messages = messages(&table).ok_or_else(|| {
            StorageError::damaged("sled's snapshot", "the places of the pages", "other bytes")
        })?;
        drop(table);
        self.check(messages).map_err(unreadable)
    }

    /// Checks these messages, and reads their segments one after the other.
    fn check(&self, mut messages: Vec<Message>) -> io::Result<Vec<DamagedPage>> {
        messages.sort_unstable_by_key(|message| message.offset);
        let mut damaged = Vec::new();
        let mut segment = Vec::new();
        for of_segment in messages.chunk_by(|a, b| a.segment_start() == b.segment_start()) {
            let start = of_segment[0].segment_start();
            let mut file = &self.database;
            file.seek(SeekFrom::Start(start))?;
            segment.clear();
            file.take(SEGMENT_BYTES).read_to_end(&mut segment)?;
            damaged.extend(of_segment.iter().filter_map(|message| {
                Some(DamagedPage {
                    page: message.page,
                    bytes: message.offset..message.offset + message.length,
                    flaw: message.flaw(&segment)?,
                })
            }));
        }
        Ok(damaged)
    }
}

fn unreadable(error: io::Error) -> StorageError {
    StorageError::Database {
        action: "checking the pages",
        remedy: remedy(None, &error),
        source: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::os::unix::fs::FileExt;
    use std::time::{Duration, Instant};

    use tempfile::TempDir;

    use super::*;
    use crate::store::storage_timeout::StorageTimeout;

    /// A closed sled database whose newest snapshot file describes its whole log.
    struct Fixture {
        directory: TempDir,
    }

    impl Fixture {
        /// Writes to a database and lets sled open it once more.
        fn new(write: impl FnOnce(&sled::Db)) -> Self {
            let directory = tempfile::tempdir().expect("a directory can be made");
            let fixture = Self { directory };
            write(&fixture.open());
            drop(fixture.open());
            fixture
        }

        /// Opens the database. Retries, as sled releases its lock a moment after it is dropped.
        fn open(&self) -> sled::Db {
            let deadline = Instant::now() + Duration::from_secs(60);
            let config = sled::Config::new().path(self.directory.path());
            let config = config.flush_every_ms(None);
            loop {
                match config.open() {
                    Ok(db) => return db,
                    Err(error) => assert!(Instant::now() < deadline, "{error}"),
                }
            }
        }

        /// A database with pages of every kind, fragments, free pages, free segments and replaced
        /// messages.
        fn with_everything() -> Self {
            Self::new(|db| {
                let trees = ["a", "b"].map(|name| db.open_tree(name).expect("it can be opened"));
                for round in 0..3_u32 {
                    for number in 0..2_000_u32 {
                        let tree = &trees[number as usize % 2];
                        let value = vec![round as u8; 300 + number as usize % 100];
                        tree.insert(number.to_be_bytes(), value)
                            .expect("it can be written");
                    }
                    db.flush().expect("it can be written");
                }
                for number in 0..600_u32 {
                    trees[0]
                        .remove((number * 2).to_be_bytes())
                        .expect("it can be written");
                }
                db.flush().expect("it can be written");
            })
        }

        fn log(&self) -> SledLog {
            let watchdog = Watchdog::start(&StorageTimeout::default()).expect("it starts");
            SledLog::open(self.directory.path(), &watchdog).expect("it can be read")
        }

        fn damaged(&self) -> Vec<DamagedPage> {
            self.log().damaged_pages().expect("it can be read")
        }

        fn table(&self) -> Vec<u8> {
            let mut table = Vec::new();
            let mut snapshot = self.log().snapshot.expect("sled has written one");
            snapshot.read_to_end(&mut table).expect("it can be read");
            table
        }

        fn messages(&self) -> Vec<Message> {
            messages(&self.table()).expect("it is a snapshot")
        }

        fn database(&self) -> File {
            let path = self.directory.path().join(DATABASE);
            File::options()
                .read(true)
                .write(true)
                .open(path)
                .expect("it can be read")
        }

        fn bytes(&self) -> Vec<u8> {
            fs::read(self.directory.path().join(DATABASE)).expect("it can be read")
        }
    }

    #[test]
    fn a_sound_database_has_no_damaged_page() {
        assert_eq!(Fixture::new(|_| {}).damaged(), []);
        let fixture = Fixture::with_everything();
        assert_eq!(fixture.damaged(), []);
        let kinds: BTreeSet<u8> = fixture.messages().iter().map(|m| m.kind).collect();
        assert_eq!(kinds.len(), 4, "{kinds:?}");
    }

    #[test]
    fn a_database_that_is_still_open_has_no_damaged_page() {
        let fixture = Fixture::with_everything();
        let db = fixture.open();
        assert_eq!(fixture.damaged(), []);
        drop(db);
    }

    #[test]
    fn each_changed_byte_of_a_message_that_sled_may_read_is_found() {
        let fixture = Fixture::with_everything();
        let mut of_kinds: BTreeMap<u8, Message> = BTreeMap::new();
        for message in fixture.messages() {
            of_kinds.insert(message.kind, message);
        }
        for message in of_kinds.values() {
            let last = message.length - 1;
            for byte in (0..last.min(40)).chain([last / 2, last]) {
                let at = message.offset + byte;
                let database = fixture.database();
                let mut old = [0];
                database
                    .read_exact_at(&mut old, at)
                    .expect("it can be read");
                database
                    .write_all_at(&[old[0] ^ 1], at)
                    .expect("it can be written");
                let found: Vec<_> = fixture.damaged();
                assert_eq!(found.len(), 1, "byte {byte} of {message:?}: {found:?}");
                assert_eq!(found[0].page, message.page);
                assert!(found[0].bytes.contains(&at));
                database.write_all_at(&old, at).expect("it can be written");
            }
        }
        assert_eq!(fixture.damaged(), []);
    }

    #[test]
    fn changed_bytes_of_what_sled_never_reads_again_are_not() {
        let fixture = Fixture::with_everything();
        let mut bytes = fixture.bytes();
        let mut is_read = vec![false; bytes.len()];
        for message in fixture.messages() {
            let start = message.offset as usize;
            is_read[start..start + message.length as usize].fill(true);
        }
        let mut changed = 0;
        for (byte, _) in bytes
            .iter_mut()
            .zip(is_read)
            .filter(|(_, is_read)| !is_read)
        {
            *byte = !*byte;
            changed += 1;
        }
        assert!(changed > bytes.len() / 4, "{changed} of {}", bytes.len());
        fixture
            .database()
            .write_all_at(&bytes, 0)
            .expect("it can be written");
        assert_eq!(fixture.damaged(), []);
    }

    #[test]
    fn a_message_that_is_zeroed_or_cut_off_is_found() {
        let fixture = Fixture::with_everything();
        let last = fixture.messages().into_iter().max_by_key(|m| m.offset);
        let last = last.expect("there are messages");
        let database = fixture.database();
        database
            .write_all_at(&[0; 40], last.offset)
            .expect("it can be written");
        let pages = |found: Vec<DamagedPage>| found.into_iter().map(|d| d.page);
        assert!(pages(fixture.damaged()).eq([last.page]));
        for length in [last.offset + 10, last.offset, last.segment_start() + 1] {
            database.set_len(length).expect("it can be written");
            assert!(pages(fixture.damaged()).any(|page| page == last.page));
        }
    }

    #[test]
    fn a_whole_message_in_the_place_of_another_is_found() {
        let fixture = Fixture::with_everything();
        let log = fixture.log();
        let changes: [fn(&mut Message); 3] = [|m| m.page += 1, |m| m.segment += 1, |m| m.kind += 1];
        for change in changes {
            let mut messages = fixture.messages();
            change(&mut messages[0]);
            let found = log.check(messages).expect("it can be read");
            assert_eq!(found.len(), 1);
            assert!(found[0].flaw.starts_with("another message"), "{found:?}");
        }
    }

    #[test]
    fn a_page_that_is_kept_in_blobs_is_found() {
        let fixture = Fixture::new(|db| {
            db.insert("large", vec![7; 200_000])
                .expect("it can be written");
            db.flush().expect("it can be written");
        });
        assert_eq!(fixture.damaged().len(), 1);
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        let table = Fixture::with_everything().table();
        assert!(messages(&table).is_some());
        assert!(messages(&table[..table.len() - 1]).is_none());
        assert!(messages(&[]).is_none());
    }
}
