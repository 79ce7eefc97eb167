//! `duplicates`: how fast duplicates are answered, of which most are old, and how they delay lone
//! requests.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use exactly_once_measure::entrants::Entrants;
use exactly_once_measure::machine::Machine;
use exactly_once_measure::node::Binary;
use exactly_once_measure::record::{command, record};
use exactly_once_measure::{lone, mixed, old};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");

/// Measures how fast exactly-once answers duplicates of old events
///
/// Every system is a process. For `old` and `mixed`, it reads a file of JSON lines and writes one,
/// and its time is that from before its start until after its end. For `lone`, it is on pipes, and
/// the time is that of each lone request. Rounds alternate the order of the systems. All replies
/// are checked; a wrong one is an error.
///
/// Prints tables. Progress goes to standard error. A run that is killed leaves its directory
/// `duplicates-…`.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    work: Work,
}

#[derive(Debug, Subcommand)]
enum Work {
    /// Old duplicates, in any order, sent to a process that was just started
    ///
    /// Each system first answers new events, and keeps its state. In each round, every system is
    /// started on its state, answers the duplicates, and ends. Every reply is compared with the
    /// expected one. The node on SQLite is the program `sqlite_node` of this package.
    #[command(after_help = "\
Examples:
  cargo build --release
  cargo run --release --bin duplicates -- old
  cargo run --release --bin duplicates -- old --id-kind text --text old.txt
  cargo run --release --bin duplicates -- old --ids 100000000 --no-sqlite --runs 3
  cargo run --release --bin duplicates -- old --binary build-1 --binary build-2")]
    Old {
        #[command(flatten)]
        plan: old::Plan,
        /// Leave the node on SQLite out
        #[arg(long)]
        no_sqlite: bool,
        #[command(flatten)]
        setting: Setting,
    },
    /// A stream of new events of which a share repeats any earlier one, or a recent one
    ///
    /// In each round, every system answers the same events from an empty state. Also shows the rate
    /// of each ten million events, or of each quarter of fewer than 40,000,000 events. The numbers
    /// of replies and of duplicates among them are checked.
    ///
    /// `--share 0` measures new ids; `--share 0.3 --recent 1000` measures recent duplicates.
    /// 40,000,000 events take up to fifteen gigabytes of disk.
    #[command(after_help = "\
Examples:
  cargo run --release --bin duplicates -- mixed
  cargo run --release --bin duplicates -- mixed --share 0
  cargo run --release --bin duplicates -- mixed --share 0.3 --recent 1000
  cargo run --release --bin duplicates -- mixed --share 0.5 --text mixed.txt --svg mixed.svg
  cargo run --release --bin duplicates -- mixed --binary build-1 --binary build-2 --runs 3")]
    Mixed {
        #[command(flatten)]
        plan: mixed::Plan,
        #[command(flatten)]
        setting: Setting,
        /// Also draw the rates over the events into this file
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Lone requests on the control socket, alone and beside a stream of old duplicates
    ///
    /// Each system first answers new events, and keeps its state. In each round, every system is
    /// started on its state. A client of its control socket sends requests for new events one at a
    /// time, first alone, then while old duplicates are streamed to standard input. The table has
    /// the latencies of both kinds, and the rate of the stream meanwhile. The other builds are
    /// compared to the first one.
    ///
    /// The requests of the stream are held in memory: 1,000,000 take about 150 MB.
    #[command(after_help = "\
Examples:
  cargo run --release --bin duplicates -- lone
  cargo run --release --bin duplicates -- lone --ids 1000000 --requests 500 --text lone.txt
  cargo run --release --bin duplicates -- lone --binary build-1 --binary build-2 --runs 5")]
    Lone {
        #[command(flatten)]
        plan: lone::Plan,
        #[command(flatten)]
        setting: Setting,
    },
}

/// What all kinds of work have in common.
#[derive(Debug, Args)]
struct Setting {
    /// Release build of exactly-once, if it is not in its usual place in the main package; can be
    /// repeated to compare builds, which are then told apart by the names of their files
    #[arg(long, value_name = "FILE")]
    binary: Vec<PathBuf>,
    /// Give this argument to `run` of exactly-once; can be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    node_arg: Vec<String>,
    /// Directory on the disk to measure. All files are put into a new directory there, which is
    /// removed at the end
    #[arg(long, value_name = "DIR", default_value = DIRECTORY, hide_default_value = true)]
    directory: PathBuf,
    /// Also write a record with command, machine and tables to this file
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
}

impl Setting {
    fn entrants(&self) -> anyhow::Result<Entrants> {
        let paths: Vec<_> = match self.binary.as_slice() {
            [] => vec![None],
            paths => paths.iter().cloned().map(Some).collect(),
        };
        let binary = |path| Binary::new(path, self.node_arg.clone());
        let binaries = paths.into_iter().map(binary);
        Entrants::new(binaries.collect::<Result<_, _>>()?, &self.directory)
    }

    /// Prints tables, and writes the record.
    fn report(&self, tables: &str) -> anyhow::Result<()> {
        print!("{tables}");
        let Some(path) = &self.text else {
            return Ok(());
        };
        let machine = Machine::of(&self.directory);
        let record = record(&command("duplicates"), &machine, tables);
        fs::write(path, record).context("writing the --text")
    }
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().work {
        Work::Old {
            plan,
            no_sqlite,
            setting,
        } => {
            let mut entrants = setting.entrants()?;
            if !no_sqlite {
                entrants.add_sqlite()?;
            }
            setting.report(&old::measure(&plan, &entrants)?)
        }
        Work::Mixed { plan, setting, svg } => {
            let results = mixed::measure(&plan, &setting.entrants()?)?;
            setting.report(&results.tables())?;
            match svg {
                Some(path) => fs::write(path, results.svg()?).context("writing the --svg"),
                None => Ok(()),
            }
        }
        Work::Lone { plan, setting } => {
            setting.report(&lone::measure(&plan, &setting.entrants()?)?)
        }
    }
}
