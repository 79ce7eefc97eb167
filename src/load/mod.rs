//! Building a directory from a dump: the way of a state to another machine, or into a smaller file.
//!
//! The directory is built under another name and gets its own when it is whole and closed, so that
//! one which was not finished is never taken for a state.

mod lines;
mod loader;

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use thiserror::Error;

use crate::engine::Engine;
use crate::error::{OpenError, StorageError};
use crate::options::Options;
use crate::store::files::{create_directory, parent_of, sync, unusable};
use loader::Loader;

/// Why a dump could not be loaded. Nothing is left of the attempt.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is something in the directory already.
    #[error("{} is not empty; name a new directory to load into", path.display())]
    NotEmpty {
        /// The directory that was named.
        path: PathBuf,
    },
    /// The dump could not be read.
    #[error("the dump could not be read")]
    Input(#[source] io::Error),
    /// A line is none of a dump.
    #[error("line {line} is no line of a dump ({reason}): {text}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
        /// How it begins.
        text: String,
    },
    /// The dump ends before its digest.
    #[error(
        "the dump ends after {lines} lines without its digest: it is cut off, or only a part; make \
         it again, whole"
    )]
    CutOff {
        /// How many lines there are.
        lines: u64,
    },
    /// The dump does not begin as a whole one does.
    #[error(
        "the dump does not say what it is of: it is only a part (--only, --prefix, --limit); make \
         it again, whole"
    )]
    Partial,
    /// The dump is not what was written.
    #[error(
        "the dump has been changed since it was made: its digest says {expected}, and it has \
         {found}; make it again"
    )]
    Changed {
        /// What the digest says.
        expected: String,
        /// What the lines have.
        found: String,
    },
    /// The dump contradicts itself.
    #[error(
        "the dump contradicts itself, as a part of one does (--limit, --prefix): {what} {expected} \
         and {found}; make it again, whole"
    )]
    Contradiction {
        /// What is said in two places.
        what: &'static str,
        /// What one of them says.
        expected: String,
        /// What the other one says.
        found: String,
    },
    /// The disk is nearly full.
    #[error("{free_bytes} bytes are free on the disk, and {floor_bytes} are kept free; make room")]
    LowDisk {
        /// Bytes that are free.
        free_bytes: u64,
        /// Bytes that are kept free.
        floor_bytes: u64,
    },
    /// The new directory cannot be made or opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// How many events were ever accepted.
    pub positions: u64,
    /// How many outputs have been released.
    pub outputs: u64,
    /// How many checkpoints there are.
    pub checkpoints: u64,
}

/// A directory that has been built and has not got its name yet. Nothing is left of one that is
/// dropped.
#[derive(Debug)]
pub struct Built {
    loaded: Loaded,
    beside: TempDir,
    path: PathBuf,
}

impl Built {
    /// Where it is now.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.beside.path().join("state")
    }

    /// Gives it its name, and says what it holds.
    ///
    /// # Errors
    ///
    /// [`LoadError::Open`] if the name cannot be given; nothing is there then.
    pub fn put_in_place(self) -> Result<Loaded, LoadError> {
        put_in_place(&self.directory(), &self.path)?;
        Ok(self.loaded)
    }
}

/// Builds a directory that has the state which a dump shows, beside the place that it is for.
///
/// What the dump was made without stays unknown: without `incidentals` its times are those of 1970.
///
/// # Errors
///
/// [`LoadError`]; the directory of that place is as it was.
pub fn build(
    path: impl AsRef<Path>,
    input: impl BufRead,
    options: &Options,
) -> Result<Built, LoadError> {
    let path = path.as_ref();
    check_empty(path)?;
    let mut built = Built {
        loaded: Loaded::default(),
        beside: directory_beside(path)?,
        path: path.to_owned(),
    };
    let options = Options {
        // A snapshot may only be taken of a whole state.
        snapshot_interval_events: u64::MAX,
        ..options.clone()
    };
    let engine = Engine::open(built.directory(), &options)?;
    built.loaded = Loader::new(engine)?.load(input)?;
    Ok(built)
}

/// As [`build`], and puts the directory in its place.
///
/// # Errors
///
/// [`LoadError`]; the directory is as it was then.
pub fn load(
    path: impl AsRef<Path>,
    input: impl BufRead,
    options: &Options,
) -> Result<Loaded, LoadError> {
    build(path, input, options)?.put_in_place()
}

/// Checks that there is nothing where a directory is to be put.
fn check_empty(path: &Path) -> Result<(), LoadError> {
    let not_empty = || LoadError::NotEmpty {
        path: path.to_owned(),
    };
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().map_or(Ok(()), |_| Err(not_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(not_empty()),
        Err(error) => Err(unusable(path, "reading the directory")(error).into()),
    }
}

/// A new directory on the same file system, which goes if it is not put in place.
fn directory_beside(path: &Path) -> Result<TempDir, LoadError> {
    let parent = parent_of(path);
    create_directory(parent)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.unfinished-");
    let building = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent);
    Ok(building.map_err(unusable(parent, "making a directory"))?)
}

/// Gives a finished directory its name, and the mode of an empty one that has the name.
fn put_in_place(building: &Path, path: &Path) -> Result<(), LoadError> {
    if let Ok(there) = fs::metadata(path) {
        let mode = fs::set_permissions(building, there.permissions());
        mode.map_err(unusable(building, "setting its mode"))?;
    }
    fs::rename(building, path).map_err(unusable(path, "giving it its name"))?;
    Ok(sync(parent_of(path))?)
}
