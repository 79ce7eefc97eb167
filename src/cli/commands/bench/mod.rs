//! `bench`: how fast this machine answers events that the command makes itself.

mod latency;
mod report;
mod throughput;
mod watchers;
mod workload;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use exactly_once::program::Scratch;
use exactly_once::{Engine, Handle, Options};

use crate::cli::files::refuse_inside_a_state;
use crate::cli::streams::json_lines::print_line;
use crate::cli::streams::table::Format;
use crate::cli::verbosity::Verbosity;
use report::Report;

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
    events: u64,
    /// What the ids look like, or that all of them have been sent before
    #[arg(long, default_value = "uuid")]
    ids: Ids,
    /// The share of events that repeat an earlier one, chosen evenly from all before it
    #[arg(long, default_value_t = 0.02, value_name = "SHARE", value_parser = share)]
    duplicates: f64,
    /// How many different words there are
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    words: u64,
    /// How often all of them are answered, each time on a new state; what is told is the median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Answer all of them once more in each run, while `stats --watch` and `outputs --follow` look
    /// on; a commit is sent with each 100,000 events then
    #[arg(long)]
    watched: bool,
    /// How many requests are sent one at a time; 0 leaves that out
    #[arg(long, default_value_t = 2_000)]
    lone: u64,
    /// Where the bench directory is made: on the disk that is measured
    #[arg(long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// A table for people, or JSON lines for machines; by default a table on a terminal
    #[arg(long)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ids {
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

/// Measures, and prints what was found.
pub(crate) fn run(args: &BenchArgs, verbosity: Verbosity) -> anyhow::Result<()> {
    let home = BenchDirectory::new(&args.directory)?;
    let say = |line: &str| {
        if !verbosity.quiet {
            crate::cli::streams::stderr::say(line);
        }
    };
    say("making the requests");
    workload::write(args, &home.requests())?;
    let (mut runs, mut watched) = (Vec::new(), Vec::new());
    for run in 1..=args.runs {
        say(&format!("answering them, {run} of {}", args.runs));
        // One after the other, as the machine may be quicker at one time than at another.
        for (is_watched, results) in [(false, &mut runs), (true, &mut watched)] {
            if is_watched && !args.watched {
                continue;
            }
            home.remove_state()?;
            if args.ids == Ids::Replayed {
                throughput::answer(&home, false)?;
            }
            results.push(throughput::answer(&home, is_watched)?);
        }
    }
    say("answering lone requests");
    let latency = latency::measure(&home, args.lone)?;
    let report = Report::new(args, runs, watched, latency);
    let format = args.format.unwrap_or(if io::stdout().is_terminal() {
        Format::Table
    } else {
        Format::Jsonl
    });
    match format {
        Format::Table => report.print_table(),
        Format::Jsonl => Ok(print_line(&report)?),
    }
}

/// A directory for the files of a run, removed with all in it when this is dropped.
struct BenchDirectory(Scratch);

impl BenchDirectory {
    fn new(parent: &Path) -> anyhow::Result<Self> {
        refuse_inside_a_state(&parent.join("state"))?;
        let directory = Scratch::new_in(parent);
        let making = || format!("making a directory for the bench in {}", parent.display());
        Ok(Self(directory.with_context(making)?))
    }

    fn requests(&self) -> PathBuf {
        self.0.path().join("requests.jsonl")
    }

    fn replies(&self) -> PathBuf {
        self.0.path().join("replies.jsonl")
    }

    fn bare(&self) -> PathBuf {
        self.0.path().join("bare")
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    fn remove_state(&self) -> anyhow::Result<()> {
        match fs::remove_dir_all(self.state()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).context("removing the state of the run before")
            }
            _ => Ok(()),
        }
    }

    fn open(&self) -> anyhow::Result<Handle> {
        Ok(Engine::open(self.state(), &Options::default())?.share()?)
    }
}
