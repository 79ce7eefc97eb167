//! What the programs `peers`, `scale`, `duplicates` and `imports` share.
//!
//! ```text
//! harness                     the tools of the main program's `bench`, included from its source
//! node, conversation          the real binary as a process: from a file to a file, or on pipes
//! machine, record, chart      the machine that it ran on, records and pictures
//! contest, peer, reply        `peers`: the same job by other stores
//! standings                   the results of `peers`
//! growth                      `scale`: the same directory at growing sizes
//! old, mixed                  `duplicates`: old ones in any order, or some among new events
//! lone                        `duplicates`: lone requests, alone and beside old duplicates
//! entrants, rounds            the systems of `duplicates`, and how their rates compare
//! new_events                  the state of `duplicates`, and the old ones
//! client, stream              a client of the control socket, and a stream on standard input
//! imports                     `imports`: data in its own form, beside the shell of SQLite
//! sqlite_node                 `sqlite_node`: a node on SQLite, which is a process too
//! ```
//!
//! exactly-once itself is measured from outside, as a process.

pub mod chart;
mod client;
pub mod contest;
mod conversation;
pub mod entrants;
pub mod growth;
#[path = "../../../src/cli/commands/bench/harness/mod.rs"]
mod harness;
pub mod imports;
pub mod lone;
pub mod machine;
pub mod mixed;
mod new_events;
pub mod node;
pub mod old;
pub mod peer;
pub mod record;
mod reply;
mod rounds;
pub mod sqlite_node;
pub mod standings;
mod stream;

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
