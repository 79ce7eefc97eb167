//! The directory for the files of a bench.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use exactly_once::program::Scratch;
use exactly_once::{Engine, Handle, Options};

use crate::cli::files::refuse_inside_a_state;

/// A directory that is removed with its content when this is dropped.
pub(super) struct BenchDirectory(Scratch);

impl BenchDirectory {
    pub(super) fn new(parent: &Path) -> anyhow::Result<Self> {
        refuse_inside_a_state(&parent.join("state"))?;
        let directory = Scratch::new_in(parent);
        let making = || format!("making a directory for the bench in {}", parent.display());
        Ok(Self(directory.with_context(making)?))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Removes the state of the run before, if there was one.
    pub(super) fn remove_state(&self) -> anyhow::Result<()> {
        if self.state().exists() {
            fs::remove_dir_all(self.state()).context("removing the state of the run before")?;
        }
        Ok(())
    }

    pub(super) fn open(&self) -> anyhow::Result<Handle> {
        Ok(Engine::open(self.state(), &Options::default())?.share()?)
    }
}
