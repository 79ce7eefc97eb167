//! `checkpoints`: what a resting directory has saved.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, Subcommand};
use exactly_once::WordCount;
use exactly_once::inspect::{CheckpointSummary, Difference, Inspection, Record, WordDifference};
use serde::Serialize;

use super::resting::RestingArgs;
use super::sheet::{Format, Sheet};
use super::timeout::TimeoutArgs;

/// Show the saved checkpoints, one of them, or how two of them differ
///
/// Reads a copy, as dump does, and fails while a run holds the directory.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once checkpoints list --data-dir state --format table
  exactly-once checkpoints show before --data-dir state
  exactly-once checkpoints diff before --data-dir state")]
pub(super) struct CheckpointsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all of them: name, time, events, pending outputs and position
    ///
    /// Pending are the outputs that would be pending after restoring it now.
    List(Shared),
    /// Show one of them, and the counts that it has
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        shared: Shared,
    },
    /// Show how one of them differs from another, or from the present state
    ///
    /// First how many events only the first has, only the second and both; then each word whose
    /// counts differ.
    Diff {
        /// The name of the first
        first: String,
        /// The name of the second; the present state if it is left out
        second: Option<String>,
        #[command(flatten)]
        shared: Shared,
    },
}

/// What all of them take.
#[derive(Debug, Args)]
struct Shared {
    #[command(flatten)]
    resting: RestingArgs,
    /// JSON lines for machines, or tables for people
    #[arg(long, default_value = "jsonl")]
    format: Format,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

impl Shared {
    fn inspection(&self) -> anyhow::Result<Inspection> {
        self.resting.inspection(false, self.timeout)
    }
}

/// The last millisecond of the year 9999: RFC 3339 has no later one.
const END_OF_YEARS_MS: u64 = 253_402_300_799_999;

/// What is shown, by its type.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Shown<'a> {
    Checkpoint {
        name: &'a str,
        /// In RFC 3339, UTC.
        created_at: String,
        events: u64,
        pending: u64,
        position: u64,
    },
    Events {
        only_in_first: u64,
        only_in_second: u64,
        in_both: u64,
    },
    CountDiffers(&'a WordDifference),
}

impl<'a> Shown<'a> {
    fn checkpoint(summary: &'a CheckpointSummary) -> Self {
        let &CheckpointSummary {
            ref name,
            created_at_ms,
            events,
            pending,
            position,
        } = summary;
        let created_at = UNIX_EPOCH + Duration::from_millis(created_at_ms.min(END_OF_YEARS_MS));
        Self::Checkpoint {
            name,
            created_at: humantime::format_rfc3339_millis(created_at).to_string(),
            events,
            pending,
            position,
        }
    }
}

/// Prints what was asked for.
pub(super) fn run(args: &CheckpointsArgs) -> anyhow::Result<()> {
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match &args.action {
        Action::List(shared) => {
            let inspection = shared.inspection()?;
            let mut sheet = Sheet::new(shared.format, &mut output, &[]);
            for summary in inspection.checkpoint_summaries() {
                sheet.add(&Shown::checkpoint(&summary?))?;
            }
            sheet.end("checkpoints")?;
        }
        Action::Show { name, shared } => {
            let (summary, counts) = shared.inspection()?.checkpoint(name)?;
            let summary = Shown::checkpoint(&summary);
            print(shared.format, &mut output, "checkpoint", [summary])?;
            let counts = counts
                .iter()
                .map(|WordCount { word, count }| Record::Count {
                    word,
                    count: *count,
                });
            print(shared.format, &mut output, "counts", counts)?;
        }
        Action::Diff {
            first,
            second,
            shared,
        } => {
            let Difference {
                only_in_first,
                only_in_second,
                in_both,
                words,
            } = shared.inspection()?.difference(first, second.as_deref())?;
            let events = Shown::Events {
                only_in_first,
                only_in_second,
                in_both,
            };
            print(shared.format, &mut output, "events", [events])?;
            let words = words.iter().map(Shown::CountDiffers);
            print(shared.format, &mut output, "counts that differ", words)?;
        }
    }
    Ok(output.flush()?)
}

fn print(
    format: Format,
    output: &mut impl Write,
    title: &str,
    records: impl IntoIterator<Item = impl Serialize>,
) -> anyhow::Result<()> {
    let mut sheet = Sheet::new(format, output, &[]);
    for record in records {
        sheet.add(&record)?;
    }
    Ok(sheet.end(title)?)
}
