//! Records on standard output: JSON lines for machines, or tables for people.

use std::io::{self, BufWriter, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Map, Value};

use super::line::write_record;
use super::printable::printable;
use super::stdout::{self, Stdout};

/// How records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Jsonl,
    Table,
}

/// Records of one kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// The `type` of the records.
    pub(super) name: &'static str,
    /// What stands above their table.
    pub(super) title: &'static str,
    /// Columns that a record may lack.
    pub(super) optional: &'static [&'static str],
}

impl Kind {
    /// Records that all have the same columns.
    pub(super) const fn new(name: &'static str, title: &'static str) -> Self {
        Self {
            name,
            title,
            optional: &[],
        }
    }
}

/// Records, printed as they come; in tables, each kind in one of its own.
pub(super) struct Sheet<'k> {
    format: Format,
    output: BufWriter<Stdout>,
    /// The kinds that are still to come, in order.
    kinds: &'k [Kind],
    table: Table,
}

impl<'k> Sheet<'k> {
    /// An empty sheet. Records come in the order of their kinds.
    pub(super) fn new(format: Format, kinds: &'k [Kind]) -> io::Result<Self> {
        Ok(Self {
            format,
            output: match format {
                Format::Jsonl => stdout::json_lines()?,
                Format::Table => stdout::text()?,
            },
            kinds,
            table: new_table(),
        })
    }

    /// Adds a record, a JSON object. Its `type` is no column of a table.
    pub(super) fn add(&mut self, record: &[u8]) -> anyhow::Result<()> {
        if self.format == Format::Jsonl {
            return Ok(write_record(&mut self.output, record)?);
        }
        let mut record: Map<String, Value> = serde_json::from_slice(record)?;
        let name = record.shift_remove("type");
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        while self.kinds.first().is_some_and(|kind| kind.name != name) {
            self.end_table()?;
        }
        for &column in self.kinds.first().map_or(&[][..], |kind| kind.optional) {
            record.entry(column).or_insert("".into());
        }
        if self.table.header().is_none() {
            self.table.set_header(record.keys());
        }
        self.table.add_row(record.values().map(shown));
        Ok(())
    }

    /// Ends the sheet: prints the tables that are left.
    pub(super) fn end(mut self) -> io::Result<()> {
        while self.format == Format::Table && !self.kinds.is_empty() {
            self.end_table()?;
        }
        self.output.flush()
    }

    fn end_table(&mut self) -> io::Result<()> {
        let Some((kind, rest)) = self.kinds.split_first() else {
            return Ok(());
        };
        self.kinds = rest;
        let table = std::mem::replace(&mut self.table, new_table());
        if table.row_count() == 0 {
            return writeln!(self.output, "{}: none\n", kind.title);
        }
        writeln!(self.output, "{}\n{table}\n", kind.title)
    }
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    }
}
