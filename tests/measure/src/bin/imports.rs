//! `imports`: how fast data in its own form is counted, beside the shell of SQLite.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use exactly_once_measure::imports::{self, Plan};
use exactly_once_measure::machine::Machine;
use exactly_once_measure::node::Binary;
use exactly_once_measure::record::{command, record};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");

/// Measures how fast data in its own form is counted
///
/// Each job is a process, from its start to its end: `import` of CSV, JSON lines, fields and lines
/// of a pattern, by itself and to a running node; the same records as requests, flat and in
/// envelopes, by `run`; and `.import` of the same CSV by the shell of SQLite, with insert-or-ignore
/// and the counts by word. Each is run on an empty state, and again, when all was seen. The
/// numbers of counted events are checked. The program sqlite3 must be installed.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  cargo build --release
  cargo run --release --bin imports
  cargo run --release --bin imports -- --records 100000 --runs 3")]
struct Arguments {
    #[command(flatten)]
    plan: Plan,
    /// Release build of exactly-once, if it is not in its usual place in the main package
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Directory on the disk to measure. All files are put into a new directory there, which is
    /// removed at the end
    #[arg(long, value_name = "DIR", default_value = DIRECTORY, hide_default_value = true)]
    directory: PathBuf,
    /// Also write a record with command, machine and table to this file
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let binary = Binary::new(arguments.binary, Vec::new())?;
    let table = imports::measure(&arguments.plan, &binary, &arguments.directory)?;
    print!("{table}");
    let Some(path) = &arguments.text else {
        return Ok(());
    };
    let machine = Machine::of(&arguments.directory);
    fs::write(path, record(&command("imports"), &machine, &table)).context("writing the --text")
}
