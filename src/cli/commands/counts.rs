//! `counts`: shows the words of the state with their counts.

use clap::Args;
use exactly_once::inspect::Query;

use crate::cli::state::StateArgs;
use crate::cli::streams::format::{FormatArgs, OutputFormat, print_text};
use crate::cli::streams::table::{RecordKind, Sheet};

/// How many words a table has by default.
const TOP: u64 = 20;

/// Show the words with their counts, the most frequent first
///
/// Words with equal counts are in byte order. As a table, 20 words are shown unless --top says
/// otherwise; as JSON lines, all of them. Reads a copy of a directory at rest, or asks the process
/// that has it open.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once counts --data-dir state
  exactly-once counts --data-dir state --top 3
  exactly-once counts --data-dir state --prefix th
  exactly-once counts --data-dir state | jq -r '[.word, .count] | @tsv'")]
pub(crate) struct CountsArgs {
    #[command(flatten)]
    state: StateArgs,
    /// Show this many words [default: 20 in a table, all as JSON lines]
    #[arg(long, value_name = "N")]
    top: Option<u64>,
    /// Show only words that begin with this
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

const COUNTED: &[RecordKind] = &[RecordKind::new("count", "counts")];

/// Prints the wanted words.
pub(crate) fn run(args: &CountsArgs) -> anyhow::Result<()> {
    let format = args.format.get();
    let is_cut = format == OutputFormat::Table && args.top.is_none();
    let wanted = args.top.or(is_cut.then_some(TOP));
    let query = Query::Counts {
        prefix: args.prefix.clone(),
        // One more shows that there are more.
        top: Some(wanted.unwrap_or(u64::MAX).saturating_add(1)),
    };
    let mut left = wanted.unwrap_or(u64::MAX);
    let mut has_more = false;
    let mut sheet = Sheet::new(format, COUNTED)?;
    args.state.answer(&query, |record| {
        has_more = left == 0;
        left = left.saturating_sub(1);
        match has_more {
            true => Ok(()),
            false => sheet.add(record),
        }
    })?;
    sheet.end()?;
    if is_cut && has_more {
        print_text("There are more words; --top N shows N of them.")?;
    }
    Ok(())
}
