//! Reads a resting directory without changing a byte of it.
//!
//! sled has no read-only open: it zeroes the tail of its log and writes a snapshot file. So it gets
//! a copy of the files. The copy lies beside the directory, where some file systems share blocks
//! and copy at once, or in the system's temporary directory if nothing can be written there. The
//! copy's names are removed as soon as sled has opened it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Loss, OpenError, StorageError};
use crate::store::bytes::FORMAT_4;
use crate::store::bytes::fingerprint::Fingerprints;
use crate::store::bytes::record::{FormatRecord, HeadRecord};
use crate::store::database::Database;
use crate::store::database::log::{DamagedPage, SledLog};
use crate::store::database::trees::Trees;
use crate::store::decode::{self, Stored, check_format};
use crate::store::directory::files::unusable;
use crate::store::directory::leftover::file_changes;
use crate::store::directory::place::state_directory_around;
use crate::store::directory::scratch::{Scratch, remove_dead};
use crate::store::directory::watermark::{Mark, Watermark, find_loss};
use crate::store::directory::{RestingDirectory, foreign_database};
use crate::store::format4;
use crate::store::reader::{Durable, Reader};
use crate::store::storage_timeout::StorageTimeout;
use crate::store::watchdog::{Watchdog, time_to_read};

/// Attempts to copy a directory without a lock file, since a writer may start during a copy.
const TRIES: usize = 3;

/// A copy of a resting state directory's database, open for reading.
pub(crate) struct RestingCopy {
    reader: Reader,
    format: FormatRecord,
    /// The directory that was copied. `slots` and `blobs` are from it.
    original: PathBuf,
    slots: [Option<Mark>; 2],
    blobs: Vec<OsString>,
    log: SledLog,
}

impl RestingCopy {
    /// Copies the database of a directory that no process writes to and opens the copy.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose variant says why.
    pub(crate) fn open(
        path: &Path,
        cache_bytes: u64,
        timeout: &StorageTimeout,
    ) -> Result<Self, OpenError> {
        let watchdog = Watchdog::start(timeout)?;
        let mut tries = 1;
        loop {
            let directory = {
                let _watched = watchdog.watch("reading the directory");
                RestingDirectory::lock(path)?
            };
            let copy = Self::of(&directory, cache_bytes, &watchdog);
            if directory.is_still_locked() || tries == TRIES {
                return copy;
            }
            tries += 1;
        }
    }

    /// Like [`RestingCopy::open`], for a directory that is already locked.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose variant says why.
    pub(super) fn of_locked(
        directory: &RestingDirectory,
        cache_bytes: u64,
        timeout: &StorageTimeout,
    ) -> Result<Self, OpenError> {
        Self::of(directory, cache_bytes, &Watchdog::start(timeout)?)
    }

    fn of(
        directory: &RestingDirectory,
        cache_bytes: u64,
        watchdog: &Watchdog,
    ) -> Result<Self, OpenError> {
        let (path, folder) = (directory.path(), directory.folder());
        let slots = {
            let _watched = watchdog.watch("reading the directory");
            Watermark::slots(&folder)?
        };
        let blobs = directory.blob_files()?;
        let copy = copy_database(directory, watchdog)?;
        let database = Database::open_copy(copy.path(), cache_bytes, watchdog)?;
        let log = SledLog::open(copy.path(), watchdog)?;
        // The names can go: all files that are read from now on are open.
        copy.remove();
        let trees = Trees::new(database);
        let Some(format) = decode::format(&trees)? else {
            return Err(foreign_database(path, &folder));
        };
        match format.format {
            FORMAT_4 => format4::upgrade(&trees)?,
            _ => check_format(&format, path)?,
        }
        Ok(Self {
            reader: Reader::new(trees, Durable::default()),
            format,
            original: path.to_owned(),
            slots,
            blobs,
            log,
        })
    }

    /// Returns the record of the head. All positions up to it count as durable from now on.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if it cannot be read or does not fit the end of the journal.
    pub(crate) fn head(&self) -> Result<HeadRecord, StorageError> {
        self.reader.head()
    }

    /// Returns the stored state, if it is whole and has lost nothing.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose variant says what is damaged or lost.
    pub(crate) fn stored(&self) -> Result<Stored, OpenError> {
        let record = self.head()?;
        if let Some(loss) = self.loss(&record)? {
            let path = self.original.clone();
            return Err(OpenError::AnsweredLost { path, loss });
        }
        let sets = self.reader.live_sets(&record.scalars)?;
        self.reader.check_fit(&record, &sets)?;
        Ok(Stored {
            format: self.format,
            record,
            sets,
        })
    }

    /// Returns what the database has lost, if it ends before the last reply.
    ///
    /// # Errors
    ///
    /// [`OpenError::WatermarkUnusable`] if the watermark cannot be used.
    pub(crate) fn loss(&self, record: &HeadRecord) -> Result<Option<Loss>, OpenError> {
        find_loss(&self.original, self.slots, self.format.seed, record)
    }

    /// True if a slot of the watermark cannot be read. The next start repairs it.
    pub(crate) fn has_damaged_slot(&self) -> bool {
        self.slots.contains(&None)
    }

    /// The files in sled's folder for values too large for its log. This program makes none.
    pub(crate) fn blobs(&self) -> &[OsString] {
        &self.blobs
    }

    /// Returns the pages that hold a message sled cannot read. The state may need none of them.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the copy cannot be read.
    pub(crate) fn damaged_pages(&self) -> Result<Vec<DamagedPage>, StorageError> {
        self.log.damaged_pages()
    }

    pub(crate) fn fingerprints(&self) -> Fingerprints {
        self.format.fingerprints()
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// Removes the copies of this directory that killed processes have left.
pub(super) fn remove_dead_copies(directory: &Path) {
    for place in beside(directory).into_iter().chain([std::env::temp_dir()]) {
        remove_dead(&place);
    }
}

/// Returns the parent of a directory, if a copy may be made there.
fn beside(directory: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(directory).ok()?;
    let is_within_another = state_directory_around(&real).is_some();
    let parent = real.parent().filter(|_| !is_within_another);
    parent.map(Path::to_owned)
}

/// Copies the database beside the directory, or to the system's temporary directory if that fails.
fn copy_database(directory: &RestingDirectory, watchdog: &Watchdog) -> Result<Scratch, OpenError> {
    remove_dead_copies(directory.path());
    let files = directory.database_files()?;
    let mut sources = Vec::new();
    for path in &files {
        let _watched = watchdog.watch("opening the database");
        let source = File::open(path).map_err(unusable(path, "opening it"))?;
        // A killed process may have left its last write in memory only, and a copy must show only
        // what is durable.
        source.sync_data().map_err(unusable(path, "syncing it"))?;
        sources.push(source);
    }
    let beside = beside(directory.path());
    let copied = beside.and_then(|beside| copy_files(&files, &sources, &beside, watchdog).ok());
    let temporary = std::env::temp_dir();
    match copied {
        Some(copy) => Ok(copy),
        None => match state_directory_around(&temporary.join("copy")) {
            None => copy_files(&files, &sources, &temporary, watchdog),
            Some(around) => Err(OpenError::InsideAnother {
                path: temporary,
                around,
            }),
        },
    }
}

fn copy_files(
    files: &[PathBuf],
    sources: &[File],
    place: &Path,
    watchdog: &Watchdog,
) -> Result<Scratch, OpenError> {
    let copy = Scratch::new_in(place);
    let action = "making a copy there (TMPDIR sets another place)";
    let copy = copy.map_err(unusable(place, action))?;
    for (path, source) in files.iter().zip(sources) {
        let Some(name) = path.file_name() else {
            continue;
        };
        let bytes = source.metadata().map_or(0, |file| file.len());
        let _watched = watchdog.watch_longer("copying the database", time_to_read(bytes));
        let copied = copy_file(source, &copy.path().join(name));
        let action = "copying the database there (TMPDIR sets another place)";
        copied.map_err(unusable(place, action))?;
    }
    Ok(copy)
}

/// Copies a file, which may be read-only, to a new file that is writable.
fn copy_file(mut source: &File, path: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let mut copy = {
        let _file_changes = file_changes();
        options.open(path)?
    };
    if rustix::fs::ioctl_ficlone(&copy, source).is_ok() {
        return Ok(());
    }
    io::copy(&mut source, &mut copy).map(drop)
}
