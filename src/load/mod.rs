//! Builds a state directory from a dump, for example on another machine or to get a smaller file.
//!
//! The database is built in the directory itself. The directory's sentinel names it only after it
//! is complete and closed, so an unfinished one is never taken for a state.

mod error;
mod loader;

use std::io::BufRead;
use std::path::Path;

use crate::engine::Engine;
use crate::error::OpenError;
use crate::inspect::View;
use crate::store::Options;
use crate::store::StorageTimeout;
use crate::store::{BuildSite, LockedDirectory, can_take_state};
use crate::verify::{self, Progress, Report};
pub use error::LoadError;
pub use loader::Loaded;
use loader::Loader;

/// A state that was built, and is not the present one of its directory yet. Dropping it removes it.
#[derive(Debug)]
pub struct Built {
    loaded: Loaded,
    site: BuildSite,
}

impl Built {
    /// Opens a view of a copy of it.
    ///
    /// # Errors
    ///
    /// Those of [`View::open`].
    pub fn inspect(&self, timeout: &StorageTimeout) -> Result<View, OpenError> {
        View::of_site(&self.site, timeout)
    }

    /// Checks its whole content.
    ///
    /// # Errors
    ///
    /// Those of [`verify::verify`].
    pub fn verify(
        &self,
        timeout: &StorageTimeout,
        on_progress: impl FnMut(Progress),
    ) -> Result<Report, OpenError> {
        verify::verify_site(&self.site, timeout, on_progress)
    }

    /// Returns the size of its files in bytes.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if they cannot be listed.
    pub fn bytes(&self) -> Result<u64, OpenError> {
        self.site.bytes()
    }

    /// Makes it the state of the directory, and returns its figures.
    ///
    /// # Errors
    ///
    /// [`LoadError::Open`] if this fails; the new state is removed then.
    pub fn put_in_place(self) -> Result<Loaded, LoadError> {
        self.site.finish()?;
        Ok(self.loaded)
    }
}

/// Builds the state of a dump in a directory that is empty or does not exist. The times of a dump
/// without incidentals become 1970.
///
/// # Errors
///
/// The [`LoadError`] that says what is wrong with the directory, the dump or the disk. The
/// directory is then as it was.
pub fn build(
    path: impl AsRef<Path>,
    input: impl BufRead,
    options: &Options,
) -> Result<Built, LoadError> {
    let path = path.as_ref();
    if !can_take_state(path)? {
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

/// Builds the state of a dump in a locked directory, beside the present state.
///
/// # Errors
///
/// Those of [`build`].
pub fn build_next(
    held: &LockedDirectory,
    input: impl BufRead,
    options: &Options,
) -> Result<Built, LoadError> {
    build_at(held.next()?, input, options)
}

fn build_at(site: BuildSite, input: impl BufRead, options: &Options) -> Result<Built, LoadError> {
    let options = Options {
        // A counts snapshot may be taken only of a complete state.
        snapshot_interval_events: u64::MAX,
        ..options.clone()
    };
    let engine = Engine::build(&site, &options)?;
    let loaded = Loader::new(engine).load(input)?;
    Ok(Built { loaded, site })
}

/// Does the same as [`build`], and makes the state that of the directory.
///
/// # Errors
///
/// Those of [`build`].
pub fn load(
    path: impl AsRef<Path>,
    input: impl BufRead,
    options: &Options,
) -> Result<Loaded, LoadError> {
    build(path, input, options)?.put_in_place()
}
