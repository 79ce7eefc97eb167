//! `scale`: how cost grows with the number of ids in one state directory.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Parser;
use exactly_once_measure::growth::{Growth, Plan, Size, picture};
use exactly_once_measure::node::Binary;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");

/// Measures exactly-once on one state directory that grows
///
/// At each size: the rate of new events; the first reply after SIGKILL and after a clean end; the
/// rate of the last events again and of old ones in any order; the latency of lone requests and
/// of checkpoints; a restore; memory and disk. Prints one JSON object a size, as they come;
/// progress goes to standard error. All replies are checked.
///
/// A size of 100,000,000 takes some ten gigabytes of disk and as much memory as the node needs
/// for its ids. A campaign that is killed leaves a directory `scale-…` behind.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  cargo run --release --bin scale -- --record sizes.jsonl
  cargo run --release --bin scale -- --ids 20000,50000 --slice 20000 --random 500 --lone 50
  cargo run --release --bin scale -- --plot sizes.jsonl --svg sizes.svg")]
struct Args {
    /// The sizes, in ids, each larger than the one before
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1000000,3000000,10000000,30000000,100000000"
    )]
    ids: Vec<u64>,
    /// Prepare at most so many events in a file at a time (150 bytes each), and replay as many
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    slice: u64,
    /// Old ids to send again in any order
    #[arg(long, default_value_t = 200_000)]
    random: u64,
    /// Requests to send one at a time
    #[arg(long, default_value_t = 2_000)]
    lone: u64,
    /// Restore behind so many events, or half of the size if that is less
    #[arg(long, default_value_t = 1_000_000, value_name = "EVENTS")]
    restore_back: u64,
    /// How many different words there are
    #[arg(long, default_value_t = 10_000)]
    words: u32,
    /// The release build of exactly-once, if not where the main package has it
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Give this argument to `run`; can be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    node_arg: Vec<String>,
    /// Where the state is put, in a directory that is removed at the end: the disk that is
    /// measured
    #[arg(long, value_name = "DIR", default_value = DIRECTORY, hide_default_value = true)]
    directory: PathBuf,
    /// Also append the JSON lines to this file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Measure nothing, but draw what was recorded in this file
    #[arg(long, value_name = "FILE", requires = "svg")]
    plot: Option<PathBuf>,
    /// The picture to draw
    #[arg(long, value_name = "FILE", requires = "plot")]
    svg: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match (&args.plot, &args.svg) {
        (Some(results), Some(svg)) => plot(results, svg),
        _ => measure(&args),
    }
}

fn measure(args: &Args) -> anyhow::Result<()> {
    ensure!(
        args.ids.is_sorted_by(|one, next| one < next) && args.ids.first() > Some(&0),
        "each of the --ids must be larger than the one before, and than 0"
    );
    let binary = Binary::new(args.binary.as_deref(), args.node_arg.clone())?;
    let mut record = args.record.as_deref().map(open_record).transpose()?;
    fs::create_dir_all(&args.directory).context("making the --directory")?;
    let directory = tempfile::Builder::new()
        .prefix("scale-")
        .tempdir_in(&args.directory)
        .context("making a directory; choose another with --directory")?;
    let mut growth = Growth::new(binary, directory.path().to_owned(), plan(args));
    for &ids in &args.ids {
        let line = serde_json::to_string(&growth.measure(ids)?)?;
        println!("{line}");
        if let Some(record) = &mut record {
            writeln!(record, "{line}").context("writing the --record")?;
        }
    }
    Ok(())
}

fn plan(args: &Args) -> Plan {
    Plan {
        slice: args.slice,
        random: args.random,
        lone: args.lone,
        restore_back: args.restore_back,
        words: args.words,
    }
}

fn open_record(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.context("opening the --record")
}

fn plot(results: &Path, svg: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(results).context("reading the recorded results")?;
    let mut sizes = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let size: Size = serde_json::from_str(line)
            .with_context(|| format!("line {number} is not a result of this program"))?;
        sizes.push(size);
    }
    ensure!(
        !sizes.is_empty(),
        "there are no results in the file; --record makes some"
    );
    fs::write(svg, picture(&sizes)?).context("writing the --svg")
}
