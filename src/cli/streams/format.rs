//! The form of what a command prints: JSON lines for programs, tables and sentences for people.

use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::streams::json_lines::print_line;
use crate::cli::streams::printable::printable;
use crate::cli::streams::stdout;

/// How records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A JSON object on each line
    Jsonl,
    /// Tables or sentences
    Table,
}

/// The option for the form of the output.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct FormatArgs {
    /// Form of the output [default: table on a terminal, jsonl elsewhere]
    #[arg(long, value_name = "FORMAT")]
    format: Option<OutputFormat>,
}

impl FormatArgs {
    /// The form that was asked for, or that fits standard output.
    pub(crate) fn get(self) -> OutputFormat {
        self.format
            .unwrap_or_else(|| match io::stdout().is_terminal() {
                true => OutputFormat::Table,
                false => OutputFormat::Jsonl,
            })
    }

    /// Prints a record as a JSON line, or what it says as a sentence.
    pub(crate) fn print<R: Serialize>(
        self,
        record: &R,
        sentence: impl FnOnce(&R) -> String,
    ) -> io::Result<()> {
        match self.get() {
            OutputFormat::Jsonl => print_line(record),
            OutputFormat::Table => print_text(&printable(&sentence(record))),
        }
    }
}

/// Prints text, in which text from outside is printable already.
pub(crate) fn print_text(text: &str) -> io::Result<()> {
    let mut output = stdout::text()?;
    writeln!(output, "{text}")?;
    output.flush()
}

/// A number of things: `1 word`, `2 words`.
pub(crate) fn number_of(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {noun}{s}", indicatif::HumanCount(count))
}
