//! `peers`: the same job on the same events by exactly-once and by other embedded stores.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use exactly_once_measure::contest::{Contest, Plan, System};
use exactly_once_measure::machine::Machine;
use exactly_once_measure::node::Binary;
use exactly_once_measure::peer::Store;
use exactly_once_measure::record::command;
use exactly_once_measure::standings::Standings;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");

/// Measures exactly-once beside other embedded stores that do the same job durably
///
/// All take the same events in the order of arrival, count each id once, and answer each event with
/// the count of its word and whether its id was a duplicate, after that is on stable storage. Every
/// reply is compared with a plain fold of the events; a wrong one is an error.
///
/// exactly-once is a process that reads a file of JSON lines and writes one. The others get decoded
/// events in memory, with ids as text, and give their replies as values. Each first tries several
/// batch sizes with fewer events, and then uses the best one. A batch is one durable transaction.
/// Nothing is sorted, and no event is read before its batch.
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
    /// Measure only these other stores
    #[arg(long, value_delimiter = ',', value_name = "STORE")]
    only: Vec<Store>,
    /// Release build of exactly-once, if it is not in its usual place in the main package
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Directory on the disk to measure. The state is put into a new directory there, which is
    /// removed at the end
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
        command: command("peers"),
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
