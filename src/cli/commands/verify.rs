//! `verify`: checks a resting directory, and says what is wrong with it.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use exactly_once::verify::{Progress, Report, verify};
use exactly_once::{OnTimeout, StorageTimeout};
use indicatif::{ProgressBar, ProgressStyle};
use thiserror::Error;

use crate::cli::cleanup;
use crate::cli::streams::json_lines::print_line;
use crate::cli::streams::stderr::say;
use crate::cli::timeout::TimeoutArgs;
use crate::cli::verbosity::Verbosity;

/// Check everything that a data directory holds, without changing a byte of it
///
/// Reads every block, record and set, and works out again what is stored: the counts from the
/// events, the released outputs from the commits, the digests. Every page of the database file is
/// checked too, also those that no answer needs. Prints one JSON line; what is wrong is also said
/// on standard error. A copy is made, as sled cannot open a database without writing to it: beside
/// the directory, or in the system's temporary directory (TMPDIR) if that cannot be. It is removed
/// as soon as it is open.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once verify --data-dir state
  exactly-once verify --data-dir state | jq -r '.findings[].text'

Exit status: 0 if nothing is wrong; 1, 2 and 4 as for every command; 3 if it is no directory of
exactly-once, holds no state, or cannot be opened or copied; 5 if a limit of the system keeps the
copy from being read, which says nothing about it; otherwise the first of these that was found
  10 lost         something answered is gone, or nobody can tell: the database is missing, empty
                  or behind its watermark, or the watermark is missing
  11 unreadable   the database cannot be opened or read, or does not answer
  12 journal      a block of the journal is missing or damaged, or an id is twice in the state
  13 sets         a position set is damaged, or belongs to nothing
  14 counts       the counts are not what the events of the state add up to
  15 outputs      released outputs are not those of the commits, or would be released twice
  16 checkpoints  a checkpoint is damaged or does not fit the journal
  17 snapshots    a counts snapshot is damaged, or not what its events add up to
  18 digests      a tree holds something else than its digest says
  19 index        a stored run of the index is damaged, or has not what the journal has
  20 files        a slot of the watermark is damaged, or there are files in blobs, where this
                  program never has any
  21 pages        a page of the database file is damaged; if nothing else was found, no answer needs
                  it, and compact or backup writes a sound directory")]
pub(crate) struct VerifyArgs {
    /// Where the state lives
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

/// The status of the gravest class; the others follow in their order.
const FIRST_STATUS: u8 = 10;

/// The directory is not as it should be; everything has been said.
#[derive(Debug, Error)]
#[error("the directory is damaged")]
pub(crate) struct Damaged {
    /// The exit status of the gravest finding.
    pub(crate) status: u8,
}

/// Checks the directory and prints the report.
pub(crate) fn run(args: &VerifyArgs, verbosity: Verbosity) -> anyhow::Result<()> {
    let bar = progress_bar(verbosity.quiet);
    let show = |Progress { done, total, .. }: Progress| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let report = verify(&args.data_dir, &storage_timeout(args.timeout), show);
    bar.finish_and_clear();
    let report = report?;
    print(&report)?;
    match status_of(&report) {
        0 => Ok(()),
        status => Err(Damaged { status }.into()),
    }
}

/// A storage that does not return is a finding too.
fn storage_timeout(timeout: TimeoutArgs) -> StorageTimeout {
    StorageTimeout {
        then: OnTimeout::new(|error| {
            let report = Report::of_unreadable(error);
            // The status tells as much as the line that cannot be printed.
            print(&report).unwrap_or_default();
            cleanup::exit(status_of(&report));
        }),
        ..timeout.storage_timeout()
    }
}

fn progress_bar(quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {percent} % of {human_len} events read");
    ProgressBar::new(0).with_style(style.expect("the template is well-formed"))
}

fn print(report: &Report) -> io::Result<()> {
    for finding in &report.findings {
        say(format_args!("{}: {}", finding.class.name(), finding.text));
    }
    if report.more_findings > 0 {
        say(format_args!("and {} findings more", report.more_findings));
    }
    print_line(report)
}

fn status_of(report: &Report) -> u8 {
    let gravest = report.findings.first();
    gravest.map_or(0, |gravest| FIRST_STATUS + gravest.class as u8)
}
