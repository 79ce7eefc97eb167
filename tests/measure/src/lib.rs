//! What the programs `peers` and `scale` share.
//!
//! ```text
//! harness                     the tools of the main program's `bench`, included from its source
//! node, conversation          the real binary as a process: from a file to a file, or on pipes
//! machine, chart              the machine that it ran on, and pictures
//! contest, peer, reply        `peers`: the same job by other stores
//! standings                   the results of `peers`
//! growth                      `scale`: the same directory at growing sizes
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

/// Number of different words of the events.
const WORDS: u64 = 10_000;

/// Makes a directory in another one. It is removed with its content when the value is dropped.
pub fn directory_in(parent: &Path, prefix: &str) -> anyhow::Result<TempDir> {
    std::fs::create_dir_all(parent).context("making the --directory")?;
    let directory = tempfile::Builder::new().prefix(prefix).tempdir_in(parent);
    directory.context("making a directory; choose another place with --directory")
}
