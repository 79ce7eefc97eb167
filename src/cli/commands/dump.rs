//! `dump`: shows the content of a state directory.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use exactly_once::inspect::{Filter, Query, Section};

use crate::cli::state::StateArgs;
use crate::cli::streams::format::FormatArgs;
use crate::cli::streams::table::{RecordKind, Sheet};

/// Show the content of a state directory, without changing it
///
/// Prints sorted JSON lines, or tables on a terminal: the same state gives the same bytes. sled
/// cannot open a database without writing to it, so a directory at rest is copied: beside it, or in
/// the system's temporary directory (TMPDIR) if that is impossible. The copy is removed as soon as
/// it is open. If a process has the directory open, it is asked, and shows what was durable at one
/// moment.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once dump --data-dir state
  exactly-once dump --data-dir state --only checkpoints --format table
  exactly-once dump --data-dir state --only counts --prefix th --limit 3
  exactly-once dump --data-dir state --only outputs | jq -r .word")]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    state: StateArgs,
    /// Show only this section
    #[arg(long, value_name = "SECTION", value_parser = section_parser())]
    only: Option<Section>,
    #[command(flatten)]
    format: FormatArgs,
    /// Also show what differs between two runs of the same requests: times, the number of
    /// groups, the seed of the fingerprints
    #[arg(long)]
    incidentals: bool,
    /// Show only words, checkpoints and event ids that begin with this
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Show at most this many records of each section [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

fn section_parser() -> impl TypedValueParser<Value = Section> {
    let names = PossibleValuesParser::new(Section::ALL.map(Section::name));
    names.map(|name| Section::of_name(&name).expect("only names of sections are taken"))
}

/// Prints the requested sections.
pub(crate) fn run(args: &DumpArgs) -> anyhow::Result<()> {
    let query = Query::Dump(Filter {
        only: args.only,
        prefix: args.prefix.clone(),
        limit: args.limit,
        incidentals: args.incidentals,
    });
    let sections = Section::ALL.into_iter();
    let shown = sections.filter(|section| args.only.is_none_or(|only| only == *section));
    let kinds: Vec<RecordKind> = shown.map(kind_of).collect();
    let mut sheet = Sheet::new(args.format.get(), &kinds)?;
    args.state.answer(&query, |record| sheet.add(record))?;
    Ok(sheet.end()?)
}

/// How the records of a section are shown in a table.
fn kind_of(section: Section) -> RecordKind {
    RecordKind {
        optional: section.optional_members(),
        ..RecordKind::new(section.record_type(), section.name())
    }
}
