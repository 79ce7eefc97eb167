//! `bench`: measures how fast this machine answers generated events.

mod args;
mod directory;
mod harness;
mod lone;
mod old_duplicates;
mod report;
mod throughput;
mod watchers;

use anyhow::Context;

use crate::cli::streams::format::OutputFormat;
use crate::cli::streams::json_lines::print_line;
use crate::cli::streams::stderr;
use crate::cli::verbosity::Verbosity;
pub(crate) use args::BenchArgs;
use args::Ids;
use directory::BenchDirectory;
use harness::workload::{self, Event};

/// Events between two commits, so that `outputs --follow` has outputs to print.
const EVENTS_A_COMMIT: u64 = 100_000;

/// A commit request without `msg_id`, so that it gets no reply.
const COMMIT: &str = "{\"body\":{\"type\":\"commit\"}}\n";

/// Measures, and prints the report.
pub(crate) fn run(args: &BenchArgs, verbosity: Verbosity) -> anyhow::Result<()> {
    let home = BenchDirectory::new(&args.directory)?;
    let say = |line: &str| {
        if !verbosity.quiet {
            stderr::say(line);
        }
    };
    say("making the requests");
    workload::write(&home.path("requests.jsonl"), requests(args))
        .context("writing the requests")?;
    if args.old_duplicates > 0 {
        let distinct = numbers(args).max().map_or(0, |last| last + 1);
        let request = |number, msg_id| event(args, number).request(msg_id);
        old_duplicates::write(&home, args.old_duplicates, distinct, request)?;
    }
    let (mut runs, mut watched, mut old) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=args.runs {
        say(&format!("answering them, run {run} of {}", args.runs));
        // In turn, as the speed of the machine may change over time.
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
        if args.old_duplicates > 0 {
            old.push(old_duplicates::answer(&home, args.old_duplicates)?);
        }
    }
    say("answering requests one at a time");
    let lone_and_bare = lone::measure(&home, args.lone, args.words)?;
    let report = report::report(args, runs, watched, old, lone_and_bare);
    match args.format.get() {
        OutputFormat::Table => report::print_tables(&report),
        OutputFormat::Jsonl => Ok(print_line(&report)?),
    }
}

/// The requests, with commits between them if there are watched runs.
fn requests(args: &BenchArgs) -> impl Iterator<Item = String> {
    numbers(args).zip(0_u64..).map(|(number, msg_id)| {
        let has_commit = args.watched && (msg_id + 1).is_multiple_of(EVENTS_A_COMMIT);
        event(args, number).request(msg_id) + if has_commit { COMMIT } else { "" }
    })
}

/// The numbers of the events, in the order in which they are sent.
fn numbers(args: &BenchArgs) -> impl Iterator<Item = u64> {
    workload::numbers(args.duplicates).take(args.events as usize)
}

/// The event of a number.
fn event(args: &BenchArgs, number: u64) -> Event {
    let mut event = Event::new(number, args.words);
    if args.ids == Ids::Sequential {
        event.id = format!("event-{number}");
    }
    event
}
