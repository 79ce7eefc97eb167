//! `get`: looks up one event id or one word.

use std::io::Write;

use clap::Args;
use exactly_once::inspect::Query;
use serde::Deserialize;

use crate::cli::state::StateArgs;
use crate::cli::streams::format::{FormatArgs, OutputFormat, number_of, print_text};
use crate::cli::streams::json_lines::write_record;
use crate::cli::streams::printable::printable;
use crate::cli::streams::stdout;

/// Look up one event id or one word
///
/// Prints a sentence or a JSON line. For an id: whether it is in the present state; if it is, its
/// position, its word and the count in its reply; and whether an output with the id was released,
/// in this state or in one that was left. For a word: its count. Reads a copy of a directory at
/// rest, or asks the process that has it open.
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
    #[command(flatten)]
    format: FormatArgs,
}

/// What was found, as it is read again from JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Found {
    Event {
        event_id: String,
        in_state: bool,
        #[serde(flatten)]
        event: Option<Event>,
        released: bool,
    },
    Word {
        word: String,
        count: u64,
    },
}

#[derive(Deserialize)]
struct Event {
    position: u64,
    word: String,
    count: u64,
}

impl Found {
    fn sentence(&self) -> String {
        match self {
            Self::Event {
                event_id,
                in_state,
                event,
                released,
            } => {
                let mut text = match event {
                    None => format!("{event_id} is not in the state"),
                    Some(Event {
                        position,
                        word,
                        count,
                    }) => format!("{event_id} is number {count} of {word}, at position {position}"),
                };
                text += match (in_state, released) {
                    (true, true) => "; its output is released",
                    (true, false) => "; its output is not released",
                    (false, true) => "; an output with this id was released",
                    (false, false) => "",
                };
                text
            }
            Self::Word { word, count } => format!("{word}: {}", number_of(*count, "event")),
        }
    }
}

/// Prints what was found.
pub(crate) fn run(args: &GetArgs) -> anyhow::Result<()> {
    let of_event = args.event_id.clone();
    let of_event = of_event.map(|event_id| Query::GetEvent { event_id });
    let of_word = args.word.clone().map(|word| Query::GetWord { word });
    for query in of_event.into_iter().chain(of_word) {
        args.state
            .answer(&query, |record| match args.format.get() {
                OutputFormat::Jsonl => {
                    let mut output = stdout::json_lines()?;
                    write_record(&mut output, record)?;
                    Ok(output.flush()?)
                }
                OutputFormat::Table => {
                    let found: Found = serde_json::from_slice(record)?;
                    Ok(print_text(&printable(&found.sentence()))?)
                }
            })?;
    }
    Ok(())
}
