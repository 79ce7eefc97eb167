//! `get`: what a resting directory says of one event id, or of one word.

use std::io;

use clap::Args;
use serde::Serialize;

use super::line::write_line;
use super::resting::RestingArgs;
use super::timeout::TimeoutArgs;

/// Look one event id up, or one word
///
/// Prints a JSON line. Of an id: whether the present state has seen it, then its position, its word
/// and the count that its reply gave, and whether an output with the id has been committed, in this
/// state or in one that was left. Of a word: its count. Reads a copy, as dump does, and fails while
/// a run holds the directory.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once get --data-dir state sample.txt:0
  exactly-once get --data-dir state --word the")]
pub(super) struct GetArgs {
    #[command(flatten)]
    resting: RestingArgs,
    /// The event id to look up
    #[arg(value_name = "EVENT_ID", required_unless_present = "word")]
    event_id: Option<String>,
    /// Look up the count of this word instead
    #[arg(long, value_name = "WORD", conflicts_with = "event_id")]
    word: Option<String>,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

/// The count of a word, which is 0 if no event of the state carries it.
#[derive(Debug, Serialize)]
struct FoundWord<'a> {
    word: &'a str,
    count: u64,
}

/// Prints what was found.
pub(super) fn run(args: &GetArgs) -> anyhow::Result<()> {
    let inspection = args.resting.inspection(false, args.timeout)?;
    let mut output = io::stdout().lock();
    if let Some(event_id) = &args.event_id {
        write_line(&mut output, &inspection.event(event_id)?)?;
    }
    if let Some(word) = &args.word {
        let count = inspection.word_count(word)?;
        write_line(&mut output, &FoundWord { word, count })?;
    }
    Ok(())
}
