//! Building a directory from a dump: the way of a state to another machine, or into a smaller file.
//!
//! The database is built in the directory itself, and the directory's sentinel names it when it is
//! whole and closed, so that one which was not finished is never taken for a state.

mod lines;
mod loader;

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::engine::Engine;
use crate::error::{OpenError, StorageError};
use crate::inspect::View;
use crate::options::Options;
use crate::storage_timeout::StorageTimeout;
use crate::store::{BuildSite, HeldDirectory, has_no_state};
use crate::verify::{self, Progress, Report};
use loader::Loader;

/// Why a dump could not be loaded. Nothing is left of the attempt.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is something in the directory already.
    #[error(
        "{} is not empty; name a directory that does not exist yet, or an empty one",
        path.display()
    )]
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
    /// There is no dump at all.
    #[error(
        "the input is empty, and a dump has at least its digest; did the command fail that was to \
         make it?"
    )]
    Empty,
    /// The dump ends before its digest.
    #[error(
        "the dump ends after {lines} lines without its digest: it is cut off, or only a part; make \
         it again, whole"
    )]
    CutOff {
        /// How many lines there are.
        lines: u64,
    },
    /// Something follows the end of the dump.
    #[error(
        "the dump ends with its digest in line {digest_line}, and more follows it ({text}); load \
         one dump at a time, with nothing after it"
    )]
    Trailing {
        /// The number of the digest's line, from 1.
        digest_line: u64,
        /// How what follows begins.
        text: String,
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
#[non_exhaustive]
pub struct Loaded {
    /// How many events were ever accepted.
    pub positions: u64,
    /// How many outputs have been released.
    pub outputs: u64,
    /// How many checkpoints there are.
    pub checkpoints: u64,
}

/// A state that has been built and is not the present one of its directory yet. Nothing is left of
/// one that is dropped.
#[derive(Debug)]
pub struct Built {
    loaded: Loaded,
    site: BuildSite,
}

impl Built {
    /// Opens a copy of it, to look at.
    ///
    /// # Errors
    ///
    /// [`OpenError`], by what stands in the way.
    pub fn inspect(&self, timeout: &StorageTimeout) -> Result<View, OpenError> {
        View::of_site(&self.site, timeout)
    }

    /// Checks everything that it holds.
    ///
    /// # Errors
    ///
    /// As of [`verify::verify`].
    pub fn verify(
        &self,
        timeout: &StorageTimeout,
        on_progress: impl FnMut(Progress),
    ) -> Result<Report, OpenError> {
        verify::verify_site(&self.site, timeout, on_progress)
    }

    /// Bytes that its files have.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if they cannot be listed.
    pub fn bytes(&self) -> Result<u64, OpenError> {
        self.site.bytes()
    }

    /// Makes it the state of the directory, and says what it holds.
    ///
    /// # Errors
    ///
    /// [`LoadError::Open`] if that cannot be; nothing is left of it then.
    pub fn put_in_place(self) -> Result<Loaded, LoadError> {
        self.site.finish()?;
        Ok(self.loaded)
    }
}

/// Builds the state which a dump shows, in a directory that has none.
///
/// What the dump was made without stays unknown: without `incidentals` its times are those of 1970.
///
/// # Errors
///
/// [`LoadError`]; the directory is as it was.
pub fn build(
    path: impl AsRef<Path>,
    input: impl BufRead,
    options: &Options,
) -> Result<Built, LoadError> {
    let path = path.as_ref();
    if !has_no_state(path)? {
        return Err(LoadError::NotEmpty {
            path: path.to_owned(),
        });
    }
    build_at(
        BuildSite::in_empty(path, &options.storage_timeout)?,
        input,
        options,
    )
}

/// Builds the state which a dump shows, in a directory that has one already, beside it.
///
/// # Errors
///
/// [`LoadError`]; the directory is as it was.
pub fn build_next(
    held: &HeldDirectory,
    input: impl BufRead,
    options: &Options,
) -> Result<Built, LoadError> {
    build_at(held.next()?, input, options)
}

fn build_at(site: BuildSite, input: impl BufRead, options: &Options) -> Result<Built, LoadError> {
    let options = Options {
        // A snapshot may only be taken of a whole state.
        snapshot_interval_events: u64::MAX,
        ..options.clone()
    };
    let engine = Engine::build(&site, &options)?;
    let loaded = Loader::new(engine).load(input)?;
    Ok(Built { loaded, site })
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
