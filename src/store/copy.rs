//! Looking at a resting directory without changing a byte of it.
//!
//! sled has no read-only open: it zeroes the tail of its log and writes a snapshot. So it is
//! given a copy of the files, in a temporary directory that goes when this does.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Loss, OpenError, StorageError};
use crate::patience::Patience;
use crate::store::directory::{RestingDirectory, unusable};
use crate::store::guard::Handle;
use crate::store::load::{self, Stored};
use crate::store::reader::{DurablePosition, Reader};
use crate::store::record::{Format, HeadRecord};
use crate::store::sled_db;
use crate::store::writer::{check_format, find_loss};

/// A copy of a resting state directory's database, open for reading.
pub(crate) struct RestingCopy {
    reader: Reader,
    format: Format,
    /// The directory itself, where it was.
    original: PathBuf,
    /// Dropped before the directory that it is open in.
    _db: Handle<sled::Db>,
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
        patience: &Patience,
    ) -> Result<Self, OpenError> {
        let directory = RestingDirectory::lock(path)?;
        let temporary = std::env::temp_dir();
        let copy = tempfile::Builder::new()
            .prefix("exactly-once-copy-")
            .tempdir()
            .map_err(unusable(
                &temporary,
                "making a temporary directory for a copy",
            ))?;
        for file in directory.database_files()? {
            if let Some(name) = file.file_name() {
                fs::copy(&file, copy.path().join(name))
                    .map_err(unusable(&file, "copying it to the temporary directory"))?;
            }
        }
        let (db, trees) = sled_db::open(copy.path(), cache_bytes, patience)?;
        let Some(format) = load::format(&trees)? else {
            return Err(directory.database_is_foreign());
        };
        check_format(&format, path)?;
        Ok(Self {
            reader: Reader::new(trees, DurablePosition::default()),
            format,
            original: path.to_owned(),
            _db: db,
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
        let sets = self.reader.live_sets()?;
        self.reader.check_fit(&record, &sets)?;
        if let Some(loss) = self.loss(&record)? {
            return Err(OpenError::AnsweredLost {
                path: self.original.clone(),
                loss,
            });
        }
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
    /// [`OpenError::WatermarkGone`] if nobody can tell.
    pub(crate) fn loss(&self, record: &HeadRecord) -> Result<Option<Loss>, OpenError> {
        find_loss(&self.original, &self.format, record)
    }

    /// The seed of the event ids' fingerprints.
    pub(crate) fn seed(&self) -> u64 {
        self.format.seed
    }

    /// The reader of the copy.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }
}
