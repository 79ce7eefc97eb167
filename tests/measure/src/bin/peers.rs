//! `peers`: the same job on the same events by exactly-once and by other embedded stores.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use exactly_once_measure::contest::{Contest, Plan, System};
use exactly_once_measure::machine::Machine;
use exactly_once_measure::node::Binary;
use exactly_once_measure::peer::Store;
use exactly_once_measure::standings::Standings;

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
/// Progress goes to standard error.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  cargo run --release --bin peers
  cargo run --release --bin peers -- --text peers.txt --svg peers.svg
  cargo run --release --bin peers -- --events 1000000 --peer-events 1000000 --only redb,fjall")]
struct Args {
    #[command(flatten)]
    plan: Plan,
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
    /// Tables for people, or a JSON line for machines
    #[arg(long, default_value = "table")]
    format: Format,
    /// Also draw a chart of bars into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Also write a record with command, machine and tables to this file
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Jsonl,
    Table,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let stores = match args.only.as_slice() {
        [] => Store::value_variants(),
        only => only,
    };
    let mut systems = vec![System::Node(Binary::new(args.binary, Vec::new())?)];
    systems.extend(stores.iter().copied().map(System::Peer));
    let job = args.plan.job();
    let contest = Contest::new(args.plan, &args.directory)?;
    let before_us = contest.bare_p50_us()?;
    let systems = contest.measure(&systems)?;
    let standings = Standings {
        command: command(),
        machine: Machine::of(&args.directory),
        job,
        bare_us: [before_us, contest.bare_p50_us()?],
        systems,
    };
    match args.format {
        Format::Jsonl => println!("{}", serde_json::to_string(&standings)?),
        Format::Table => print!("{}", standings.tables()),
    }
    if let Some(path) = &args.svg {
        fs::write(path, standings.svg()?).context("writing the --svg")?;
    }
    if let Some(path) = &args.text {
        fs::write(path, standings.record()).context("writing the --text")?;
    }
    Ok(())
}

/// The command that was given. Of a path only the last part stays, so that a record tells nothing
/// of where it was made.
fn command() -> String {
    let features = if cfg!(feature = "rocksdb") {
        "--features rocksdb "
    } else {
        ""
    };
    let mut command = format!("cargo run --release {features}--bin peers --");
    for argument in std::env::args().skip(1) {
        command += " ";
        command += argument.rsplit('/').next().unwrap_or_default();
    }
    command
}
