//! The arguments of `bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::streams::format::FormatArgs;

/// Measure how fast this machine answers requests
///
/// Makes requests, answers them from a file to a file, and then one at a time. Reports events per
/// second, latencies, bytes on disk, memory, the time of each stage, and the time of a bare write
/// of 4 KiB with fdatasync. All files are made in a new directory, which is removed at the end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once bench --events 20000 --runs 1
  exactly-once bench
  exactly-once bench --events 5000000 --runs 5 --directory /mnt/disk
  exactly-once bench --events 20000 --old-duplicates 20000 --runs 1
  exactly-once bench --events 20000 --ids replayed --format jsonl | jq .events_per_second")]
pub(crate) struct BenchArgs {
    /// Number of events to send
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) events: u64,
    /// Kind of event ids
    #[arg(long, default_value = "uuid")]
    pub(super) ids: Ids,
    /// Share of events that repeat an earlier one, chosen evenly from all before it
    #[arg(long, default_value_t = 0.02, value_name = "SHARE", value_parser = share)]
    pub(super) duplicates: f64,
    /// Start a new process after each run, and send it this many old events again, in any order
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) old_duplicates: u64,
    /// Number of different words
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) words: u64,
    /// Number of runs, each on a new state; the median is reported
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) runs: u64,
    /// Answer all events once more in each run, while `stats --watch` and `outputs --follow` run;
    /// adds a commit after each 100,000 events
    #[arg(long)]
    pub(super) watched: bool,
    /// Number of requests to send one at a time; 0 for none
    #[arg(long, default_value_t = 2_000)]
    pub(super) lone: u32,
    /// Parent of the new directory, on the disk to measure
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) directory: PathBuf,
    #[command(flatten)]
    pub(super) format: FormatArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Ids {
    /// Random UUIDs
    Uuid,
    /// Short ids that count up
    Sequential,
    /// Random UUIDs, sent twice in the same order; only the second time is measured
    Replayed,
}

/// Parses a share from 0 to below 1; the first event cannot repeat another.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to below 1, such as 0.02".to_owned()),
    }
}
