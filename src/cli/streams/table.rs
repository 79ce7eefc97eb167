//! Records on standard output: JSON lines for machines, or tables for people.

use std::io::{self, BufWriter, Write};

use clap::ValueEnum;
use comfy_table::{ColumnConstraint, ContentArrangement, LineStyle, Table, Width};
use serde_json::{Map, Value};

use crate::cli::streams::json_lines::write_record;
use crate::cli::streams::printable::printable;
use crate::cli::streams::stdout::{self, Stdout};

/// Rows in a page. A table is printed in pages, as a row takes up to a kilobyte of memory besides
/// its text.
const PAGE_ROWS: usize = 1_000;
/// Bytes of text in a page, with every row as long as the longest, as cells are padded.
const PAGE_BYTES: usize = 1 << 20;

/// How records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Jsonl,
    Table,
}

/// A kind of records, and how its table looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordKind {
    /// The `type` of the records.
    pub(crate) name: &'static str,
    /// The line above their table.
    pub(crate) title: &'static str,
    /// Columns that a record may lack.
    pub(crate) optional: &'static [&'static str],
}

impl RecordKind {
    /// A kind whose records all have the same columns.
    pub(crate) const fn new(name: &'static str, title: &'static str) -> Self {
        Self {
            name,
            title,
            optional: &[],
        }
    }
}

/// Prints records as they come; as tables, a table for each kind.
pub(crate) struct Sheet<'k> {
    format: OutputFormat,
    output: BufWriter<Stdout>,
    /// The kinds whose tables have not ended, in order.
    kinds: &'k [RecordKind],
    page: Page,
}

/// The rows of a table that are not printed yet.
struct Page {
    table: Table,
    /// Bytes of the longest row.
    row_bytes: usize,
    /// Column widths of the page before; empty for the first page.
    widths: Vec<u16>,
}

impl Page {
    /// The first page of a table.
    fn new() -> Self {
        Self::after(Vec::new())
    }

    fn after(widths: Vec<u16>) -> Self {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        Self {
            table,
            row_bytes: widths.iter().map(|&width| usize::from(width)).sum(),
            widths,
        }
    }

    fn is_first(&self) -> bool {
        self.widths.is_empty()
    }

    fn is_full(&self) -> bool {
        let rows = self.table.row_count();
        rows >= PAGE_ROWS || rows * self.row_bytes >= PAGE_BYTES
    }

    fn add(&mut self, record: &Map<String, Value>) {
        if self.is_first() && self.table.header().is_none() {
            self.table.set_header(record.keys());
        }
        let row: Vec<String> = record.values().map(shown).collect();
        let bytes = row.iter().map(String::len).sum();
        self.row_bytes = self.row_bytes.max(bytes);
        self.table.add_row(row);
    }

    /// Makes the columns at least as wide as those of the page before, if there is room.
    fn align(&mut self) {
        let own = self.table.column_max_content_widths();
        let columns = self.table.column_iter().zip(own);
        let widths = columns.enumerate().map(|(number, (column, own))| {
            let width = own.saturating_add(column.padding_width());
            width.max(self.widths.get(number).copied().unwrap_or_default())
        });
        let widths: Vec<u16> = widths.collect();
        let room = self.table.width().unwrap_or(u16::MAX);
        let wanted = widths.iter().map(|&width| u32::from(width) + 1);
        let is_room = wanted.sum::<u32>() <= u32::from(room);
        if !self.is_first() && is_room {
            let at_least = |&width: &u16| ColumnConstraint::LowerBoundary(Width::Fixed(width));
            self.table.set_constraints(widths.iter().map(at_least));
        }
        self.widths = widths;
    }
}

impl<'k> Sheet<'k> {
    /// An empty sheet. Records must come in the order of their kinds.
    pub(crate) fn new(format: OutputFormat, kinds: &'k [RecordKind]) -> io::Result<Self> {
        Ok(Self {
            format,
            output: match format {
                OutputFormat::Jsonl => stdout::json_lines()?,
                OutputFormat::Table => stdout::text()?,
            },
            kinds,
            page: Page::new(),
        })
    }

    /// Adds a record, a JSON object. Its `type` is not a column. A table leaves out records of
    /// other kinds, such as the digest of a dump, which must come last.
    pub(crate) fn add(&mut self, record: &[u8]) -> anyhow::Result<()> {
        if self.format == OutputFormat::Jsonl {
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
        if self.page.is_full() {
            self.print_page()?;
        }
        self.page.add(&record);
        Ok(())
    }

    /// Ends the sheet: prints the tables that are left.
    pub(crate) fn end(mut self) -> io::Result<()> {
        while self.format == OutputFormat::Table && !self.kinds.is_empty() {
            self.end_table()?;
        }
        self.output.flush()
    }

    /// Prints a page that is not the last. It has no line below the last row, as the next page
    /// begins with one.
    fn print_page(&mut self) -> io::Result<()> {
        let title = self.kinds.first().map_or("", |kind| kind.title);
        if self.page.is_first() {
            writeln!(self.output, "{title}")?;
        }
        self.page.align();
        self.page.table.style_mut().bottom_border = LineStyle::none();
        writeln!(self.output, "{}", self.page.table)?;
        self.page = Page::after(std::mem::take(&mut self.page.widths));
        Ok(())
    }

    fn end_table(&mut self) -> io::Result<()> {
        let Some((kind, rest)) = self.kinds.split_first() else {
            return Ok(());
        };
        self.kinds = rest;
        let mut page = std::mem::replace(&mut self.page, Page::new());
        if page.table.row_count() == 0 {
            return writeln!(self.output, "{}: none\n", kind.title);
        }
        if page.is_first() {
            writeln!(self.output, "{}", kind.title)?;
        } else {
            page.align();
        }
        writeln!(self.output, "{}\n", page.table)
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    }
}
