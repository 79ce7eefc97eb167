//! `verify`: checks a resting directory and reports damage.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use exactly_once::verify::{Progress, Report, verify};
use exactly_once::{OnTimeout, StorageTimeout};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use thiserror::Error;

use crate::cli::cleanup;
use crate::cli::streams::format::{FormatArgs, number_of};
use crate::cli::streams::stderr::say;
use crate::cli::timeout::TimeoutArgs;
use crate::cli::verbosity::Verbosity;

/// Check the whole content of a state directory, without changing it
///
/// Reads every block, record and set, and computes again what is stored: the counts from the
/// events, the released outputs from the commits, the digests. Checks every page of the database
/// file too, even those that no request needs. Prints what it read, and each finding on standard
/// error. sled cannot open a database without writing to it, so the directory is copied: beside it,
/// or in the system's temporary directory (TMPDIR) if that is impossible. The copy is removed as
/// soon as it is open.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once verify --data-dir state
  exactly-once verify --data-dir state | jq -r '.findings[].text'

Exit status: 0 if nothing is wrong; 1, 2 and 4 as for every command; 3 if the directory is not a
state directory, holds no state, or cannot be entered or copied; 5 if a limit of the system prevents
reading the copy, which says nothing about the directory; otherwise the lowest of these that
was found
  10 lost         answered requests are gone, or this cannot be known: the database is missing,
                  empty or older than its watermark, or the watermark is missing
  11 unreadable   the database cannot be opened or read, or does not respond
  12 journal      a block of the journal is missing or damaged, or an id is twice in the state
  13 sets         a position set is damaged or missing, or belongs to no record
  14 counts       the counts are not those of the events of the state
  15 outputs      the released outputs are not those of the commits, or would be released twice
  16 checkpoints  a checkpoint is damaged or does not fit the journal
  17 snapshots    a counts snapshot is damaged, or has not the counts of its events
  18 digests      the content of a tree does not have the stored digest
  19 index        a stored run of the index is damaged, or does not fit the journal
  20 files        a slot of the watermark is damaged, or the folder blobs is not empty: this
                  program writes nothing into it
  21 pages        a page of the database file is damaged; if this is the only finding, no request
                  needs the page, and compact or backup writes a sound directory")]
pub(crate) struct VerifyArgs {
    /// State directory
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

/// The exit status of the gravest class; those of the others follow in order.
const FIRST_STATUS: u8 = 10;

/// The directory is damaged; the findings have been printed.
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
    let report = verify(&args.data_dir, &storage_timeout(args), show);
    bar.finish_and_clear();
    let report = report?;
    print(args.format, &report)?;
    match status_of(&report) {
        0 => Ok(()),
        status => Err(Damaged { status }.into()),
    }
}

/// Returns the time limit; passing it is a finding too.
fn storage_timeout(args: &VerifyArgs) -> StorageTimeout {
    let format = args.format;
    StorageTimeout {
        then: OnTimeout::new(move |error| {
            let report = Report::of_unreadable(error);
            // If the line cannot be printed, the status says the same.
            print(format, &report).unwrap_or_default();
            cleanup::exit(status_of(&report));
        }),
        ..args.timeout.storage_timeout()
    }
}

fn progress_bar(quiet: bool) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {percent} % of {human_len} events read");
    ProgressBar::new(0).with_style(style.expect("the template is well-formed"))
}

fn print(format: FormatArgs, report: &Report) -> io::Result<()> {
    for finding in &report.findings {
        say(format_args!("{}: {}", finding.class.name(), finding.text));
    }
    if report.more_findings > 0 {
        say(format_args!("and {} more findings", report.more_findings));
    }
    format.print(report, sentence)
}

fn sentence(report: &Report) -> String {
    let found = report.findings.len() as u64 + report.more_findings;
    let what = match report.clean {
        true => "nothing is wrong".to_owned(),
        false => number_of(found, "finding"),
    };
    format!(
        "{what}; {}, {}, {} and {} pending, {}",
        number_of(report.events, "event"),
        number_of(report.words, "word"),
        number_of(report.outputs, "output"),
        HumanCount(report.pending),
        number_of(report.checkpoints, "checkpoint"),
    )
}

fn status_of(report: &Report) -> u8 {
    let gravest = report.findings.first();
    gravest.map_or(0, |gravest| FIRST_STATUS + gravest.class as u8)
}
