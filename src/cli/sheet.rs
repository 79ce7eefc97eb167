//! Records on standard output: JSON lines for machines, or a table for people.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;
use serde_json::Value;

use super::line::write_line;

/// How records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Jsonl,
    Table,
}

/// Records of one kind: printed as they come, or at the end as a table.
pub(super) struct Sheet<'o, W> {
    format: Format,
    output: &'o mut W,
    table: Table,
    /// Columns that a record may lack.
    optional: &'static [&'static str],
}

impl<'o, W: Write> Sheet<'o, W> {
    /// An empty sheet; where a record lacks one of the `optional` columns it is left blank.
    pub(super) fn new(
        format: Format,
        output: &'o mut W,
        optional: &'static [&'static str],
    ) -> Self {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        Self {
            format,
            output,
            table,
            optional,
        }
    }

    /// Adds a record, which must be an object. Its `type` is no column of a table.
    pub(super) fn add(&mut self, record: &impl Serialize) -> anyhow::Result<()> {
        if self.format == Format::Jsonl {
            return Ok(write_line(self.output, record)?);
        }
        let mut value = serde_json::to_value(record)?;
        if let Some(members) = value.as_object_mut() {
            for &column in self.optional {
                members.entry(column).or_insert("".into());
            }
        }
        let members = value.as_object().into_iter().flatten();
        let members = members.filter(|(name, _)| *name != "type");
        if self.table.header().is_none() {
            self.table.set_header(members.clone().map(|(name, _)| name));
        }
        self.table.add_row(members.map(|(_, value)| shown(value)));
        Ok(())
    }

    /// Ends the sheet: prints the table, if it is one, under a title.
    pub(super) fn end(self, title: &str) -> io::Result<()> {
        match self.format {
            Format::Jsonl => Ok(()),
            Format::Table if self.table.row_count() == 0 => {
                writeln!(self.output, "{title}: none\n")
            }
            Format::Table => writeln!(self.output, "{title}\n{}\n", self.table),
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        other => other.to_string(),
    }
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
