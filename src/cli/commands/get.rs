//! `get`: looks up one event id or one word.

use std::io::Write;

use clap::Args;
use exactly_once::inspect::Query;

use crate::cli::state::StateArgs;
use crate::cli::streams::json_lines::write_record;
use crate::cli::streams::stdout;

/// Look up one event id or one word
///
/// Prints a JSON line. For an id: whether it is in the present state; if it is, its position, its
/// word and the count in its reply; and whether an output with the id was released, in this state
/// or in one that was left. For a word: its count. Reads a copy of a directory at rest, or asks the
/// process that has it open.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once get --data-dir state sample.txt:0
  exactly-once get --data-dir state --word the")]
pub(crate) struct GetArgs {
    #[command(flatten)]
    state: StateArgs,
    /// Event id to look up
    #[arg(value_name = "EVENT_ID", required_unless_present = "word")]
    event_id: Option<String>,
    /// Look up the count of this word instead
    #[arg(long, value_name = "WORD", conflicts_with = "event_id")]
    word: Option<String>,
}

/// Prints what was found.
pub(crate) fn run(args: &GetArgs) -> anyhow::Result<()> {
    let of_event = args.event_id.clone();
    let of_event = of_event.map(|event_id| Query::GetEvent { event_id });
    let of_word = args.word.clone().map(|word| Query::GetWord { word });
    let mut output = stdout::json_lines()?;
    for query in of_event.into_iter().chain(of_word) {
        let print = |record: &[u8]| Ok(write_record(&mut output, record)?);
        args.state.answer(&query, print)?;
    }
    Ok(output.flush()?)
}
