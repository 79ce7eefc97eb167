//! `dump`: shows what a resting directory holds.

use std::io::{self, BufWriter, Write};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use exactly_once::inspect::Section;

use super::resting::RestingArgs;
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
    #[command(flatten)]
    resting: RestingArgs,
    /// Show only this section
    #[arg(long, value_name = "SECTION", value_parser = section_parser())]
    only: Option<Section>,
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

fn section_parser() -> impl TypedValueParser<Value = Section> {
    let names = PossibleValuesParser::new(Section::ALL.map(Section::name));
    names.map(|name| Section::of_name(&name).expect("only names of sections are taken"))
}

/// Prints the sections that were asked for.
pub(super) fn run(args: &DumpArgs) -> anyhow::Result<()> {
    let inspection = args.resting.inspection(args.incidentals, args.timeout)?;
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let sections = args.only.map_or(Section::ALL.to_vec(), |one| vec![one]);
    for section in sections {
        // Pending outputs have neither.
        let optional = match section {
            Section::Outputs => &["offset", "commit"][..],
            _ => &[],
        };
        let mut sheet = Sheet::new(args.format, &mut output, optional);
        inspection.records(section, |record| sheet.add(record))?;
        sheet.end(section.name())?;
    }
    Ok(output.flush()?)
}
