//! Looking at a resting directory without changing a byte of it.
//!
//! sled has no read-only open: it zeroes the tail of its log and writes a snapshot. So it is
//! given a copy of the files, in a temporary directory that goes when this does.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Loss, OpenError, StorageError};
use crate::fingerprint::Fingerprints;
use crate::storage_timeout::StorageTimeout;
use crate::store::directory::{RestingDirectory, database_is_foreign};
use crate::store::files::unusable;
use crate::store::load::{self, Stored, check_format};
use crate::store::reader::{Durable, Reader};
use crate::store::record::{Format, HeadRecord};
use crate::store::sled_db::{Database, Trees};
use crate::store::watchdog::{Watchdog, time_to_read};
use crate::store::watermark::{Mark, Watermark, find_loss};

/// A copy of a resting state directory's database, open for reading.
pub(crate) struct RestingCopy {
    reader: Reader,
    format: Format,
    /// The directory itself, and what was there beside the database.
    original: PathBuf,
    slots: [Option<Mark>; 2],
    blobs: Vec<OsString>,
    /// Dropped after the reader of what is in it.
    _copy: TempDir,
}

impl RestingCopy {
    /// Copies the database of a directory that nobody writes to, and opens the copy.
    ///
    /// # Errors
    ///
    /// [`OpenError`], by what stands in the way.
    pub(crate) fn open(
        path: &Path,
        cache_bytes: u64,
        timeout: &StorageTimeout,
    ) -> Result<Self, OpenError> {
        let watchdog = Watchdog::start(timeout)?;
        let directory = {
            let _watched = watchdog.watch("reading the directory");
            RestingDirectory::lock(path)?
        };
        Self::of(&directory, cache_bytes, &watchdog)
    }

    /// Copies the database of a directory that is locked, and opens the copy.
    ///
    /// # Errors
    ///
    /// [`OpenError`], by what stands in the way.
    pub(super) fn of(
        directory: &RestingDirectory,
        cache_bytes: u64,
        watchdog: &Watchdog,
    ) -> Result<Self, OpenError> {
        let path = directory.path();
        let slots = {
            let _watched = watchdog.watch("reading the directory");
            Watermark::slots(path)?
        };
        let blobs = directory.blob_files()?;
        let copy = copy_database(directory, watchdog)?;
        let trees = Trees::new(Database::open(copy.path(), cache_bytes, watchdog)?);
        let Some(format) = load::format(&trees)? else {
            return Err(database_is_foreign(path));
        };
        check_format(&format, path)?;
        Ok(Self {
            reader: Reader::new(trees, Durable::default()),
            format,
            original: path.to_owned(),
            slots,
            blobs,
            _copy: copy,
        })
    }

    /// The record of the head. From here on positions up to it count as durable.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if it cannot be read, or is not that of the journal's end.
    pub(crate) fn head(&self) -> Result<HeadRecord, StorageError> {
        self.reader.head()
    }

    /// What the state consists of, if it is whole and has lost nothing.
    ///
    /// # Errors
    ///
    /// [`OpenError`], by what is damaged or gone.
    pub(crate) fn stored(&self) -> Result<Stored, OpenError> {
        let record = self.head()?;
        if let Some(loss) = self.loss(&record)? {
            let path = self.original.clone();
            return Err(OpenError::AnsweredLost { path, loss });
        }
        let sets = self.reader.live_sets()?;
        self.reader.check_fit(&record, &sets)?;
        Ok(Stored {
            format: self.format,
            record,
            sets,
        })
    }

    /// What the database has lost, if its end is before the last answer.
    ///
    /// # Errors
    ///
    /// [`OpenError::WatermarkUnusable`] if nobody can tell.
    pub(crate) fn loss(&self, record: &HeadRecord) -> Result<Option<Loss>, OpenError> {
        find_loss(&self.original, self.slots, self.format.seed, record)
    }

    /// Whether a slot of the watermark cannot be read. The next start mends it.
    pub(crate) fn has_damaged_slot(&self) -> bool {
        self.slots.contains(&None)
    }

    /// The files in sled's folder for what is too large for its log. None of ours is.
    pub(crate) fn blobs(&self) -> &[OsString] {
        &self.blobs
    }

    /// How event ids become fingerprints.
    pub(crate) fn fingerprints(&self) -> Fingerprints {
        self.format.fingerprints()
    }

    /// The reader of the copy.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// Copies the database to the system's temporary directory.
fn copy_database(directory: &RestingDirectory, watchdog: &Watchdog) -> Result<TempDir, OpenError> {
    let temporary = std::env::temp_dir();
    let making = unusable(&temporary, "making a directory for a copy");
    let mut copy = tempfile::Builder::new();
    let copy = copy
        .prefix("exactly-once-copy-")
        .tempdir()
        .map_err(making)?;
    for file in directory.database_files()? {
        let Some(name) = file.file_name() else {
            continue;
        };
        let bytes = file.metadata().map_or(0, |file| file.len());
        let _watched = watchdog.watch_longer("copying the database", time_to_read(bytes));
        fs::copy(&file, copy.path().join(name)).map_err(|error| match error.kind() {
            ErrorKind::StorageFull | ErrorKind::FileTooLarge | ErrorKind::QuotaExceeded => {
                let action = "copying the database there (TMPDIR names another place)";
                unusable(&temporary, action)(error)
            }
            _ => unusable(&file, "copying it")(error),
        })?;
    }
    Ok(copy)
}
