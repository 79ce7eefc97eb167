//! `peers`: the same job on the same events by exactly-once and by other embedded stores.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use exactly_once_measure::contest::Contest;
use exactly_once_measure::event::{Event, Mixture, words};
use exactly_once_measure::machine::Machine;
use exactly_once_measure::node::Binary;
use exactly_once_measure::peer::Store;
use exactly_once_measure::standings::{Standing, Standings, command};
use exactly_once_measure::{disk, reply};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");

/// Measures exactly-once beside other embedded stores that do the same job durably
///
/// All take the same events in order of arrival, count an id once, and answer each event with the
/// count of its word after it and whether its id was a duplicate, when that is on stable storage.
/// Every reply is held against a plain fold of the events; a wrong one is an error.
///
/// exactly-once is a process that reads a file of JSON lines and writes one. The others get decoded
/// events in memory, with ids as text, and give their replies as values; each first tries several
/// sizes of batches with fewer events, and then uses the one that was best, every batch one durable
/// transaction. Nothing is sorted or looked at before its batch comes.
///
/// Prints JSON lines, or tables on a terminal; progress goes to standard error.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  cargo run --release --bin peers
  cargo run --release --bin peers -- --text peers.txt --svg peers.svg
  cargo run --release --bin peers -- --events 1000000 --peer-events 1000000 --only redb,fjall")]
struct Args {
    /// Events for exactly-once
    #[arg(long, default_value_t = 5_000_000)]
    events: usize,
    /// Events for each of the others: the same, from the first
    #[arg(long, default_value_t = 5_000_000)]
    peer_events: usize,
    /// Another stops after the batch in which so much time has passed; its rate is that of the
    /// events it did
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    peer_seconds: u64,
    /// The cache of each of the others for its pages or blocks, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    cache_mb: u32,
    /// Events with which each size of batches is tried
    #[arg(long, value_name = "EVENTS", default_value_t = 300_000)]
    trial_events: usize,
    /// Sizes of batches that are tried, in events
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000,100000")]
    batches: Vec<usize>,
    /// How often each is measured, in rounds; the run with the median rate counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The share of events that repeats an earlier one, chosen evenly from all before it
    #[arg(long, default_value_t = 0.02)]
    duplicates: f64,
    /// How many different words there are
    #[arg(long, default_value_t = 10_000)]
    words: u32,
    /// Only these of the others
    #[arg(long, value_delimiter = ',', value_name = "STORE")]
    only: Vec<Store>,
    /// The release build of exactly-once, if not where the main package has it
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where the state is put, in a directory that is removed at the end: the disk that is
    /// measured
    #[arg(long, value_name = "DIR", default_value = DIRECTORY, hide_default_value = true)]
    directory: PathBuf,
    /// Bare writes before and after, of which the median is told
    #[arg(long, default_value_t = 1000)]
    bare: u64,
    /// JSON lines for machines or tables for people, if not as standard output is a terminal
    #[arg(long)]
    format: Option<Format>,
    /// Also draw a chart of bars into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Also write a record with command, machine and tables to this file
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Jsonl,
    Table,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let binary = Binary::new(args.binary.as_deref(), Vec::new())?;
    fs::create_dir_all(&args.directory).context("making the --directory")?;
    let directory = tempfile::Builder::new()
        .prefix("peers-")
        .tempdir_in(&args.directory)
        .context("making a directory; choose another with --directory")?;
    let before_us = disk::bare_p50_us(directory.path(), args.bare)?;
    let show = Show::new(&args);
    let systems = measure(&args, &binary, directory.path(), &show)?;
    let standings = Standings {
        command: command("peers", std::env::args().skip(1)),
        machine: Machine::of(directory.path()),
        job: job(&args),
        bare_us: [before_us, disk::bare_p50_us(directory.path(), args.bare)?],
        systems,
    };
    show.end(&standings)?;
    write_files(&args, &standings)
}

fn job(args: &Args) -> String {
    format!(
        "{} events for exactly-once; for the others {} or {} s of them, whichever is less, and a \
         cache of {} MiB\nids of 36 bytes, {} % duplicates, {} words; the median of {} rounds; {} \
         events for each size of batches that was tried",
        args.events,
        args.peer_events,
        args.peer_seconds,
        args.cache_mb,
        args.duplicates * 100.0,
        args.words,
        args.runs,
        args.trial_events,
    )
}

/// How all do, exactly-once first.
fn measure(
    args: &Args,
    binary: &Binary,
    directory: &Path,
    show: &Show,
) -> anyhow::Result<Vec<Standing>> {
    let count = args.events.max(args.peer_events).max(args.trial_events);
    let mixture = Mixture::new(args.duplicates, args.words);
    let events: Vec<Event> = mixture.take(count).collect();
    let words = words(args.words);
    let decoded: Vec<_> = events.iter().map(|event| event.decoded(&words)).collect();
    let contest = Contest {
        events: &events,
        decoded: &decoded,
        expected: &reply::fold(&decoded),
        directory,
        batches: &args.batches,
        trial_events: args.trial_events,
        runs: args.runs,
        node_events: args.events,
        peer_events: args.peer_events,
        peer_time: Duration::from_secs(args.peer_seconds),
        cache_bytes: u64::from(args.cache_mb) << 20,
    };
    let (node, peers) = contest.measure(binary, stores(args))?;
    let mut systems = vec![Standing::new(binary.version()?, node, None)?];
    for (store, score) in peers {
        let peer = Standing::new(store.name(), score, systems.first())?;
        systems.push(peer);
    }
    for system in &systems {
        show.system(system)?;
    }
    Ok(systems)
}

fn stores(args: &Args) -> &[Store] {
    match args.only.is_empty() {
        true => Store::value_variants(),
        false => &args.only,
    }
}

/// Standard output.
struct Show {
    format: Format,
}

impl Show {
    fn new(args: &Args) -> Self {
        let fitting = match io::stdout().is_terminal() {
            true => Format::Table,
            false => Format::Jsonl,
        };
        Self {
            format: args.format.unwrap_or(fitting),
        }
    }

    fn system(&self, system: &Standing) -> anyhow::Result<()> {
        if self.format == Format::Jsonl {
            println!("{}", serde_json::to_string(system)?);
        }
        Ok(())
    }

    fn end(&self, standings: &Standings) -> anyhow::Result<()> {
        match self.format {
            Format::Jsonl => println!("{}", standings.json_line()?),
            Format::Table => print!("{}", standings.table()),
        }
        Ok(())
    }
}

fn write_files(args: &Args, standings: &Standings) -> anyhow::Result<()> {
    if let Some(path) = &args.svg {
        fs::write(path, standings.svg()?).context("writing the --svg")?;
    }
    if let Some(path) = &args.text {
        fs::write(path, standings.record()).context("writing the --text")?;
    }
    Ok(())
}
