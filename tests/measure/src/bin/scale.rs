//! `scale`: measures how costs grow with the number of ids in one state directory.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Parser;
use exactly_once_measure::chart::{Curve, panels};
use exactly_once_measure::directory_in;
use exactly_once_measure::growth::{Growth, Plan};
use exactly_once_measure::node::Binary;
use serde_json::Value;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");

/// Measures exactly-once on one state directory that grows
///
/// Measures at each size: the rate of new events; the time to the first reply after SIGKILL and
/// after a clean end; the rates of the last events sent again and of old ones in any order; the
/// latency of lone requests and of checkpoints; a restore; memory and disk. Prints one JSON object
/// for each size; progress goes to standard error. All replies are checked.
///
/// A size of 100,000,000 takes about ten gigabytes of disk, and the memory that the node needs for
/// its ids. A run that is killed leaves its directory `scale-…`.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  cargo run --release --bin scale -- --record sizes.jsonl
  cargo run --release --bin scale -- --ids 20000,50000 --slice 20000 --random 500 --lone 50
  cargo run --release --bin scale -- --plot sizes.jsonl --svg sizes.svg")]
struct Args {
    /// Sizes to measure, in ids, each larger than the one before
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1000000,3000000,10000000,30000000,100000000"
    )]
    ids: Vec<u64>,
    #[command(flatten)]
    plan: Plan,
    /// Release build of exactly-once, if it is not in its usual place in the main package
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Give this argument to `run`; can be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    node_arg: Vec<String>,
    /// Directory on the disk to measure. The state is put into a new directory there, which is
    /// removed at the end
    #[arg(long, value_name = "DIR", default_value = DIRECTORY, hide_default_value = true)]
    directory: PathBuf,
    /// Also append the JSON lines to this file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Measure nothing, and draw the sizes recorded in this file
    #[arg(long, value_name = "FILE", requires = "svg")]
    plot: Option<PathBuf>,
    /// Draw the picture into this file
    #[arg(long, value_name = "FILE", requires = "plot")]
    svg: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match (&args.plot, &args.svg) {
        (Some(results), Some(svg)) => plot(results, svg),
        _ => measure(args),
    }
}

fn measure(args: Args) -> anyhow::Result<()> {
    ensure!(
        args.ids.is_sorted_by(|one, next| one < next) && args.ids.first() > Some(&0),
        "each of the --ids must be larger than the one before, and than 0"
    );
    let binary = Binary::new(args.binary, args.node_arg)?;
    let open = |path| OpenOptions::new().create(true).append(true).open(path);
    let record = args.record.map(open).transpose();
    let mut record = record.context("opening the --record")?;
    let directory = directory_in(&args.directory, "scale-")?;
    let mut growth = Growth::new(binary, directory.path(), args.plan);
    for &ids in &args.ids {
        let line = growth.measure(ids)?;
        println!("{line}");
        if let Some(record) = &mut record {
            writeln!(record, "{line}").context("writing the --record")?;
        }
    }
    Ok(())
}

/// Draws recorded sizes as four panels over the number of ids.
fn plot(results: &Path, svg: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(results).context("reading the recorded results")?;
    let sizes = text.lines().map(serde_json::from_str);
    let sizes = sizes.collect::<Result<Vec<Value>, _>>();
    fs::write(
        svg,
        picture(&sizes.context("reading the recorded results")?)?,
    )
    .context("writing the --svg")
}

fn picture(sizes: &[Value]) -> anyhow::Result<String> {
    let curve = |name, figure: &str| -> Curve<'static> {
        let point = |size: &Value| Some((size["ids"].as_f64()?, size.pointer(figure)?.as_f64()?));
        (name, sizes.iter().filter_map(point).collect())
    };
    let memory = vec![
        curve("highest of all phases", "/peak_memory_bytes"),
        curve(
            "first request after a clean end",
            "/after_clean_end/peak_memory_bytes",
        ),
    ];
    let seconds = vec![
        curve("after SIGKILL", "/after_kill/first_reply_seconds"),
        curve("after a clean end", "/after_clean_end/first_reply_seconds"),
    ];
    let rates = vec![
        curve("new", "/ingest/rate"),
        curve("replayed", "/replay/rate"),
    ];
    let bytes = vec![curve("after the ingest", "/bytes_an_id")];
    panels(
        "ids, logarithmic",
        &[
            ("events a second", rates),
            ("peak memory, bytes", memory),
            ("seconds to the first reply", seconds),
            ("bytes on disk an id", bytes),
        ],
    )
}
