//! `dump`: shows what a resting directory holds.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use exactly_once::inspect::{Inspection, Section};

use super::sheet::{Format, Sheet};
use super::timeout::TimeoutArgs;

/// Show what a data directory holds, without changing a byte of it
///
/// Prints JSON lines or tables, sorted: the same state gives the same bytes. A copy is made in the
/// system's temporary directory (TMPDIR), as sled cannot open a database without writing to it; it
/// is removed at the end, but not where the command is killed. While a run holds the directory,
/// dump says which process does, and fails.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once dump --data-dir state
  exactly-once dump --data-dir state --only counts --format table
  exactly-once dump --data-dir state --only outputs | jq -r .word")]
pub(super) struct DumpArgs {
    /// Where the state lives
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    data_dir: PathBuf,
    /// Show only this section
    #[arg(long, value_name = "SECTION")]
    only: Option<SectionName>,
    /// JSON lines for machines, or tables for people
    #[arg(long, default_value = "jsonl")]
    format: Format,
    /// Also show what differs between two runs of the same requests: times, the number of
    /// groups, the seed of the fingerprints
    #[arg(long)]
    incidentals: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SectionName {
    Meta,
    Counts,
    Checkpoints,
    Commits,
    Outputs,
    Seen,
}

impl From<SectionName> for Section {
    fn from(name: SectionName) -> Self {
        match name {
            SectionName::Meta => Self::Meta,
            SectionName::Counts => Self::Counts,
            SectionName::Checkpoints => Self::Checkpoints,
            SectionName::Commits => Self::Commits,
            SectionName::Outputs => Self::Outputs,
            SectionName::Seen => Self::Seen,
        }
    }
}

/// Prints the sections that were asked for.
pub(super) fn run(args: &DumpArgs) -> anyhow::Result<()> {
    let inspection = Inspection::open(
        &args.data_dir,
        args.incidentals,
        &args.timeout.storage_timeout(),
    )?;
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let sections = args
        .only
        .map_or(Section::ALL.to_vec(), |name| vec![name.into()]);
    for section in sections {
        // Pending outputs have neither.
        let optional = match section {
            Section::Outputs => &["offset", "commit"][..],
            _ => &[],
        };
        let mut sheet = Sheet::new(args.format, &mut output, optional);
        inspection.records(section, |record| sheet.add(record))?;
        sheet.end(&format!("{section:?}").to_lowercase())?;
    }
    Ok(output.flush()?)
}
