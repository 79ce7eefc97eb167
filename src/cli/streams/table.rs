//! Records on standard output: JSON lines for programs, or tables for people.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::{Duration, UNIX_EPOCH};

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width};
use console::Term;
use humantime::format_rfc3339_seconds;
use serde_json::{Map, Value};

use crate::cli::streams::format::OutputFormat;
use crate::cli::streams::json_lines::write_record;
use crate::cli::streams::printable::printable;
use crate::cli::streams::stdout::{self, Stdout};

/// Rows in a page. A table is printed in pages, as a row takes up to a kilobyte of memory besides
/// its text.
const PAGE_ROWS: usize = 1_000;
/// Bytes of text in a page, with every row as long as the longest, as cells are padded.
const PAGE_BYTES: usize = 1 << 20;

/// A kind of records, and how its table looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordKind {
    /// The `type` of the records.
    pub(crate) name: &'static str,
    /// The line above their table.
    pub(crate) title: &'static str,
    /// Columns that a record may lack.
    pub(crate) optional: &'static [&'static str],
    /// True if there is one record, whose members are the rows of the table.
    pub(crate) is_single: bool,
}

impl RecordKind {
    /// A kind whose records all have the same columns.
    pub(crate) const fn new(name: &'static str, title: &'static str) -> Self {
        Self {
            name,
            title,
            optional: &[],
            is_single: false,
        }
    }

    /// A kind with a single record.
    pub(crate) const fn single(name: &'static str, title: &'static str) -> Self {
        Self {
            is_single: true,
            ..Self::new(name, title)
        }
    }
}

/// A table without lines, so that much fits on a small terminal. On a terminal it is no wider than
/// that.
pub(crate) fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if io::stdout().is_terminal()
        && let Some((_, columns @ 1..)) = Term::stdout().size_checked()
    {
        table.set_width(columns);
    }
    table
}

/// Prints records as they come; as tables, a table for each kind.
pub(crate) struct Sheet<'k> {
    format: OutputFormat,
    output: BufWriter<Stdout>,
    /// The kinds whose tables have not ended, in order.
    kinds: &'k [RecordKind],
    page: Page,
    /// True if the tables have titles, as there are several.
    has_titles: bool,
    has_begun_one: bool,
}

/// The rows of a table that are not printed yet.
struct Page {
    table: Table,
    /// Bytes of the longest row.
    row_bytes: usize,
    /// The names of the columns, which the first record of the table gives.
    columns: Vec<String>,
    /// Column widths of the page before; empty for the first page.
    widths: Vec<u16>,
}

impl Page {
    /// The first page of a table.
    fn new() -> Self {
        Self::after(Vec::new(), Vec::new())
    }

    fn after(columns: Vec<String>, widths: Vec<u16>) -> Self {
        Self {
            table: new_table(),
            row_bytes: widths.iter().map(|&width| usize::from(width)).sum(),
            columns,
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
        if self.columns.is_empty() {
            self.columns = record.keys().cloned().collect();
            let names = record
                .iter()
                .map(|(name, value)| cell(value, heading(name)));
            self.table.set_header(names);
        }
        let columns = self.columns.iter();
        let members = columns.map(|name| (name, record.get(name).unwrap_or(&Value::Null)));
        let row: Vec<(&Value, String)> = members
            .map(|(name, value)| (value, shown(name, value)))
            .collect();
        let bytes = row.iter().map(|(_, text)| text.len()).sum();
        self.row_bytes = self.row_bytes.max(bytes);
        let cells = row.into_iter().map(|(value, text)| cell(value, text));
        let mut row = Row::from(cells.collect::<Vec<Cell>>());
        // On a terminal that is too narrow, a cell is cut, and not wrapped.
        row.max_height(1);
        self.table.add_row(row);
    }

    /// Adds a row for each member.
    fn add_single(&mut self, record: &Map<String, Value>) {
        for (name, value) in record {
            self.table.add_row([heading(name), shown(name, value)]);
        }
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
            has_titles: kinds.len() > 1,
            has_begun_one: false,
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
        let Some(kind) = self.kinds.first() else {
            return Ok(());
        };
        for &column in kind.optional {
            record.entry(column).or_insert("".into());
        }
        if kind.is_single {
            self.page.add_single(&record);
            return Ok(());
        }
        if self.page.is_full() {
            self.print_page()?;
        }
        self.page.add(&record);
        Ok(())
    }

    /// Ends a line that was there before.
    pub(crate) fn begin_line(&mut self) -> io::Result<()> {
        self.output.write_all(b"\n")
    }

    /// Prints what was added so far.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.page.table.row_count() > 0 {
            self.print_page()?;
        }
        self.output.flush()
    }

    /// Ends the sheet: prints the tables that are left.
    pub(crate) fn end(mut self) -> io::Result<()> {
        while self.format == OutputFormat::Table && !self.kinds.is_empty() {
            self.end_table()?;
        }
        self.output.flush()
    }

    fn print_page(&mut self) -> io::Result<()> {
        let title = self.kinds.first().map_or("", |kind| kind.title);
        if self.page.is_first() && self.has_titles {
            self.begin_table()?;
            writeln!(self.output, "{title}")?;
        }
        self.page.align();
        writeln!(self.output, "{}", self.page.table)?;
        let Page {
            columns, widths, ..
        } = &mut self.page;
        self.page = Page::after(std::mem::take(columns), std::mem::take(widths));
        Ok(())
    }

    fn end_table(&mut self) -> io::Result<()> {
        let Some((kind, rest)) = self.kinds.split_first() else {
            return Ok(());
        };
        if self.page.table.row_count() > 0 {
            self.print_page()?;
        } else if self.page.is_first() {
            self.begin_table()?;
            writeln!(self.output, "{}: none", kind.title)?;
        }
        self.kinds = rest;
        self.page = Page::new();
        Ok(())
    }

    /// Leaves a line free after the table before.
    fn begin_table(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.has_begun_one, true) {
            true => writeln!(self.output),
            false => Ok(()),
        }
    }
}

/// The text of a member.
fn shown(name: &str, value: &Value) -> String {
    match (value, value.as_u64()) {
        (_, Some(ms)) if name.ends_with("_ms") => {
            let time = UNIX_EPOCH.checked_add(Duration::from_millis(ms));
            time.map_or_else(
                || ms.to_string(),
                |time| format_rfc3339_seconds(time).to_string(),
            )
        }
        (Value::Null, _) => String::new(),
        (Value::String(text), _) => printable(text),
        (other, _) => printable(&other.to_string()),
    }
}

/// The name of a member as people read it.
fn heading(name: &str) -> String {
    name.trim_end_matches("_ms").replace('_', " ")
}

/// A cell with a text for a value: numbers stand on the right.
fn cell(value: &Value, text: String) -> Cell {
    match value {
        Value::Number(_) => Cell::new(text).set_alignment(CellAlignment::Right),
        _ => Cell::new(text),
    }
}
