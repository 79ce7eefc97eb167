//! `outputs`: shows the released outputs of a resting directory.

use std::io::{self, BufWriter, Write};

use clap::Args;

use super::line::write_line;
use super::resting::RestingArgs;
use super::timeout::TimeoutArgs;

/// Show the outputs that commits have released, in order, from any offset on
///
/// Prints a JSON line for each: offset, commit, event id, word and the count that the event's reply
/// gave. Offsets begin at 0, are dense and never change, across restores too: whoever stores the
/// last one with what it did, and asks from the next one on, reads each output exactly once.
/// Pending outputs are never shown. Reads a copy, as dump does, and fails while a run holds the
/// directory.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once outputs --data-dir state
  exactly-once outputs --data-dir state --from 100 --limit 10
  exactly-once outputs --data-dir state | jq -r .word")]
pub(super) struct OutputsArgs {
    #[command(flatten)]
    resting: RestingArgs,
    /// The offset of the first output to show: one more than the last that was read
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// Show at most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

/// Prints the outputs that were asked for.
pub(super) fn run(args: &OutputsArgs) -> anyhow::Result<()> {
    let inspection = args.resting.inspection(false, args.timeout)?;
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let limit = args.limit.unwrap_or(u64::MAX);
    inspection.committed_outputs(args.from, limit, |released| -> anyhow::Result<()> {
        Ok(write_line(&mut output, released)?)
    })?;
    Ok(output.flush()?)
}
