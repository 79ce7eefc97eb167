//! The arguments of `bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::streams::table::OutputFormat;

/// Measure how fast this machine answers
///
/// Makes requests, has a node answer them from a file to a file, and then one at a time, and
/// reports events a second, latencies, bytes on disk, memory and the time of each stage, beside
/// what a bare write of 4 KiB and fdatasync takes here. Everything is made in a directory of its
/// own, which goes at the end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once bench --events 20000 --runs 1
  exactly-once bench
  exactly-once bench --events 5000000 --runs 5 --directory /mnt/disk
  exactly-once bench --events 20000 --ids replayed --format jsonl | jq .events_per_second")]
pub(crate) struct BenchArgs {
    /// How many events are sent
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) events: u64,
    /// What the ids look like, or that all of them have been sent before
    #[arg(long, default_value = "uuid")]
    pub(super) ids: Ids,
    /// The share of events that repeat an earlier one, chosen evenly from all before it
    #[arg(long, default_value_t = 0.02, value_name = "SHARE", value_parser = share)]
    pub(super) duplicates: f64,
    /// How many different words there are
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) words: u64,
    /// How often all of them are answered, each time on a new state; what is told is the median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) runs: u64,
    /// Answer all of them once more in each run, while `stats --watch` and `outputs --follow` look
    /// on; a commit is sent with each 100,000 events then
    #[arg(long)]
    pub(super) watched: bool,
    /// How many requests are sent one at a time; 0 leaves that out
    #[arg(long, default_value_t = 2_000)]
    pub(super) lone: u32,
    /// Where the bench directory is made: on the disk that is measured
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) directory: PathBuf,
    /// A table for people, or JSON lines for machines; by default a table on a terminal
    #[arg(long)]
    pub(super) format: Option<OutputFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Ids {
    /// Random UUIDs
    Uuid,
    /// Short ids that count up
    Sequential,
    /// Random UUIDs, sent a second time in the same order; only that is measured
    Replayed,
}

/// A share from 0 to below 1, as the first event can repeat nothing.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to below 1, such as 0.02".to_owned()),
    }
}
