//! What the programs `peers` and `scale` share.
//!
//! ```text
//! harness                     what the main program's `bench` measures with, taken from its source
//! node, conversation          the real binary as a process: from a file to a file, or on pipes
//! machine, chart              what it ran on, and pictures
//! contest, peer, reply        the same job by other stores: `peers`
//! standings                   what came of that
//! growth                      the same directory at growing sizes: `scale`
//! ```
//!
//! exactly-once itself is measured from outside, as a process.

pub mod chart;
pub mod contest;
mod conversation;
pub mod growth;
#[path = "../../../src/cli/commands/bench/harness/mod.rs"]
mod harness;
pub mod machine;
pub mod node;
pub mod peer;
mod reply;
pub mod standings;

use std::path::Path;

use anyhow::Context;
use tempfile::TempDir;

/// How many different words the events have.
const WORDS: u64 = 10_000;

/// A directory in another one, removed with all in it when this is dropped.
pub fn directory_in(parent: &Path, prefix: &str) -> anyhow::Result<TempDir> {
    std::fs::create_dir_all(parent).context("making the --directory")?;
    let directory = tempfile::Builder::new().prefix(prefix).tempdir_in(parent);
    directory.context("making a directory; choose another place with --directory")
}
