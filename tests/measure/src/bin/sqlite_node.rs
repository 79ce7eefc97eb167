//! `sqlite_node`: a plain node on SQLite.

use std::io::{self, BufReader, BufWriter};
use std::path::PathBuf;

use clap::Parser;
use exactly_once_measure::sqlite_node::serve;

/// The size of the buffers for requests and for replies.
const BUFFER_BYTES: usize = 1 << 20;

/// Answers requests from standard input on standard output, from a database of SQLite
///
/// Requests and replies are those of exactly-once's `process`. Up to 4,000 events are one
/// transaction, which is on stable storage before its replies are written. A transaction begins
/// when that many requests are there or the input ends, so the input must be a file.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  sqlite_node state < requests.jsonl > replies.jsonl")]
struct Args {
    /// Directory of the database, which is made if it is absent
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Args { directory } = Args::parse();
    let input = BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock());
    let output = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    serve(&directory, input, output)
}
