//! Building a directory from a dump: the way of a state to another machine, or into a smaller file.
//!
//! The database is built in the directory itself, and the directory's sentinel names it when it is
//! whole and closed, so that one which was not finished is never taken for a state.

mod error;
mod loader;

use std::io::BufRead;
use std::path::Path;

use crate::engine::Engine;
use crate::error::OpenError;
use crate::inspect::View;
use crate::store::Options;
use crate::store::StorageTimeout;
use crate::store::{BuildSite, LockedDirectory, has_no_state};
use crate::verify::{self, Progress, Report};
pub use error::LoadError;
pub use loader::Loaded;
use loader::Loader;

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
    held: &LockedDirectory,
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
