//! Looking at a resting directory without changing a byte of it.
//!
//! sled has no read-only open: it zeroes the tail of its log and writes a snapshot. So it is
//! given a copy of the files, in a temporary directory that goes when this does.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::error::OpenError;
use crate::patience::Patience;
use crate::store::directory::{RestingDirectory, unusable};
use crate::store::load::Stored;
use crate::store::reader::{DurablePosition, Reader};
use crate::store::sled_db;
use crate::store::writer::{check_format, find_loss};

/// A copy of a resting state directory's database, open for reading.
pub(crate) struct RestingCopy {
    reader: Reader,
    stored: Stored,
    /// Dropped before the directory that it is open in.
    _db: sled::Db,
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
        let durable = DurablePosition::default();
        let reader = Reader::new(trees, durable.clone());
        check_format(&reader.format()?, path)?;
        let stored = reader.stored()?;
        durable.advance(stored.record.scalars.position);
        if let Some(loss) = find_loss(path, &stored.format, &stored.record)? {
            return Err(OpenError::AnsweredLost {
                path: path.to_owned(),
                loss,
            });
        }
        Ok(Self {
            reader,
            stored,
            _db: db,
            _copy: copy,
        })
    }

    /// What the state consists of.
    pub(crate) fn stored(&self) -> &Stored {
        &self.stored
    }

    /// The reader of the copy.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }
}
