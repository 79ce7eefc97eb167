//! `outputs`: shows the released outputs of a directory.

use std::io::{self, BufWriter, Write};

use clap::Args;
use exactly_once::inspect::Query;

use super::source::SourceArgs;

/// Show the outputs that commits have released, in order, from any offset on
///
/// Prints a JSON line for each: offset, commit, event id, word and the count that the event's reply
/// gave. Offsets begin at 0, are dense and never change, across restores too: whoever stores the
/// last one with what it did, and asks from the next one on, reads each output exactly once.
/// Pending outputs are never shown. Reads a copy of a directory at rest, and asks the process that
/// holds it otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once outputs --data-dir state
  exactly-once outputs --data-dir state --from 100 --limit 10
  exactly-once outputs --data-dir state | jq -r .word")]
pub(super) struct OutputsArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The offset of the first output to show: one more than the last that was read
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// Show at most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// Prints the outputs that were asked for.
pub(super) fn run(args: &OutputsArgs) -> anyhow::Result<()> {
    let query = Query::Outputs {
        from: args.from,
        limit: args.limit,
    };
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    args.source.answer(&query, |record| {
        output.write_all(record)?;
        Ok(output.write_all(b"\n")?)
    })?;
    Ok(output.flush()?)
}
