//! `dump`: shows what a resting directory holds.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table};
use exactly_once::inspect::{Inspection, Record, Section};

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

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Jsonl,
    Table,
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
        match args.format {
            Format::Jsonl => print_lines(&inspection, section, &mut output)?,
            Format::Table => print_table(&inspection, section, &mut output)?,
        }
    }
    Ok(output.flush()?)
}

fn print_lines(
    inspection: &Inspection,
    section: Section,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    inspection.records(section, |record| -> anyhow::Result<()> {
        serde_json::to_writer(&mut *output, record).map_err(io::Error::from)?;
        Ok(output.write_all(b"\n")?)
    })
}

fn print_table(
    inspection: &Inspection,
    section: Section,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    inspection.records(section, |record| -> anyhow::Result<()> {
        let members = members(record)?;
        if table.header().is_none() {
            table.set_header(members.iter().map(|(name, _)| name));
        }
        table.add_row(members.into_iter().map(|(_, value)| value));
        Ok(())
    })?;
    let title = format!("{section:?}").to_lowercase();
    match table.row_count() {
        0 => writeln!(output, "{title}: none\n")?,
        _ => writeln!(output, "{title}\n{table}\n")?,
    }
    Ok(())
}

/// A record's members, with the same columns for every record of a section.
fn members(record: &Record<'_>) -> anyhow::Result<Vec<(String, String)>> {
    let mut value = serde_json::to_value(record)?;
    if let (Record::Output { .. }, Some(members)) = (record, value.as_object_mut()) {
        for column in ["offset", "commit"] {
            members.entry(column).or_insert("".into());
        }
    }
    let members = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "type");
    let shown = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => printable(text),
        other => other.to_string(),
    };
    Ok(members
        .map(|(name, value)| (name.clone(), shown(value)))
        .collect())
}

/// A text whose control characters, which could steer a terminal, are escaped.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            control if control.is_control() => shown.extend(control.escape_default()),
            other => shown.push(other),
        }
    }
    shown
}
