//! What became of the records of an input.

use clap::ValueEnum;
use indicatif::HumanCount;
use serde::Serialize;
use thiserror::Error;

use crate::cli::import::batch::Batch;
use crate::cli::import::plan::{Plan, Select};
use crate::cli::import::source::Source;
use crate::cli::streams::format::number_of;
use crate::cli::streams::stderr;
use crate::cli::verbosity::Verbosity;

/// The form of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SummaryForm {
    /// A line for people
    Text,
    /// A JSON object for each file
    Json,
    /// No summary
    None,
}

/// What became of the records of an input.
#[derive(Debug, Default)]
pub(super) struct Tally {
    records: u64,
    skipped: u64,
    /// The line and the reason of the first record that was left out.
    first_skipped: Option<(u64, String)>,
    unfinished: u64,
    pub(super) new: u64,
    pub(super) seen: u64,
    pub(super) conflicts: u64,
    /// The line of the first conflict.
    pub(super) first_conflict: Option<u64>,
}

/// Too many records were left out.
#[derive(Debug, Error)]
#[error(
    "{source_name}: {} left out, the first in line {line}: {reason}; all others are counted; \
     accept that with --skip-bad {skipped}",
    number_of(*skipped, "record")
)]
pub(crate) struct TooManySkipped {
    source_name: String,
    skipped: u64,
    line: u64,
    reason: String,
}

/// Another file came under the name of an earlier one.
#[derive(Debug, Error)]
#[error(
    "{source_name}: {difference}; so this is another file than before, or a last line without a \
     newline was counted before it was finished, which --growing prevents; name the input by \
     --source NAME, or take --id-by prefix for a log that is rotated ({new} of its events were \
     counted under the old name)"
)]
pub(crate) struct Rotated {
    pub(super) source_name: String,
    pub(super) difference: Difference,
    pub(super) new: u64,
}

/// How a file differs from the one that was counted under its name.
#[derive(Debug, Error)]
pub(crate) enum Difference {
    #[error("line {line} has another word than what was counted from there before")]
    Word { line: u64 },
    #[error("it ends at byte {end}, but something was counted from there before")]
    End { end: u64 },
}

/// The summary as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    r#type: &'static str,
    source: &'a str,
    records: u64,
    new: u64,
    seen_before: u64,
    conflicts: u64,
    skipped: u64,
    unfinished: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_conflict_line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_skipped: Option<Skipped<'a>>,
}

#[derive(Serialize)]
struct Skipped<'a> {
    line: u64,
    reason: &'a str,
}

impl Tally {
    /// Adds what a batch has, besides the outcomes of its events.
    pub(super) fn add(&mut self, batch: &Batch) {
        self.records += batch.records;
        self.skipped += batch.skipped;
        self.unfinished += batch.unfinished;
        if self.first_skipped.is_none() {
            self.first_skipped.clone_from(&batch.first_skipped);
        }
    }

    /// Adds the outcomes of events.
    pub(super) fn add_outcomes(&mut self, other: &Self) {
        self.new += other.new;
        self.seen += other.seen;
        self.conflicts += other.conflicts;
        self.first_conflict = self.first_conflict.or(other.first_conflict);
    }

    /// Fails if more records were left out than is accepted.
    pub(super) fn check(&self, source: &Source, accepted: u64) -> Result<(), TooManySkipped> {
        match &self.first_skipped {
            Some((line, reason)) if self.skipped > accepted => Err(TooManySkipped {
                source_name: source.shown(),
                skipped: self.skipped,
                line: *line,
                reason: reason.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Prints the summary on standard error.
    pub(super) fn tell(
        &self,
        source: &Source,
        plan: &Plan,
        form: SummaryForm,
        verbosity: Verbosity,
    ) {
        match form {
            SummaryForm::Text if !verbosity.quiet => {
                stderr::tell(self.line(&source.shown(), unit(plan)));
            }
            SummaryForm::Json => {
                let shown = source.shown();
                let json = serde_json::to_string(&self.shown(&shown));
                stderr::tell(json.unwrap_or_default());
            }
            SummaryForm::Text | SummaryForm::None => {}
        }
    }

    fn line(&self, shown: &str, unit: &str) -> String {
        let count = |count| HumanCount(count).to_string();
        let mut line = format!(
            "{shown}: {}, {} new, {} seen before, {}",
            number_of(self.records, unit),
            count(self.new),
            count(self.seen),
            number_of(self.conflicts, "conflict")
        );
        if let Some(first) = self.first_conflict {
            line += &format!(" (first: line {first}: its id was counted with another word)");
        }
        line += &format!(", {} skipped", count(self.skipped));
        if let Some((first, reason)) = &self.first_skipped {
            line += &format!(" (first: line {first}: {reason})");
        }
        if self.unfinished > 0 {
            line += ", the unfinished last line is left";
        }
        line
    }

    fn shown<'a>(&'a self, source: &'a str) -> Shown<'a> {
        let first = self.first_skipped.as_ref();
        Shown {
            r#type: "imported",
            source,
            records: self.records,
            new: self.new,
            seen_before: self.seen,
            conflicts: self.conflicts,
            skipped: self.skipped,
            unfinished: self.unfinished,
            first_conflict_line: self.first_conflict,
            first_skipped: first.map(|(line, reason)| Skipped {
                line: *line,
                reason,
            }),
        }
    }
}

/// What the records of an input are called.
fn unit(plan: &Plan) -> &'static str {
    match plan.select {
        Select::Table { .. } => "row",
        Select::Words => "word",
        _ => "line",
    }
}
