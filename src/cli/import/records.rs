//! Reading the records of an input, each of which is an event or is bad.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write;
use std::io::{self, BufRead};
use std::rc::Rc;

use csv::{ByteRecord, Position, ReaderBuilder};
use exactly_once::Request;
use regex::Regex;
use sha2::{Digest, Sha256};

use crate::cli::import::json::{self, Slot};
use crate::cli::import::lines::{Line, Lines, MAX_RECORD_BYTES};
use crate::cli::import::plan::{Cell, IdFrom, Plan, Select, digest_text};
use crate::cli::import::raw::{Kept, Raw};
use crate::cli::import::selector::Pointer;
use crate::cli::import::words::{Word, Words};

/// A record of an input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// The number of its line, from 1.
    pub(super) line: u64,
    pub(super) found: Found<'a>,
}

/// What a record is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'a> {
    Event {
        event_id: &'a str,
        word: &'a str,
    },
    /// It is left out, for this reason.
    Bad(&'a str),
    /// It is left for the next import, as its end is not there yet.
    Unfinished,
}

/// Why the records of an input ended early.
pub(super) enum ReadError {
    /// The input cannot be read further.
    Unreadable(io::Error),
    /// The table has not the columns that are named.
    NoColumn(String),
    /// The sink wants no more.
    Enough,
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Takes records; false if it wants no more.
pub(super) trait Sink: FnMut(Record<'_>) -> bool {}
impl<F: FnMut(Record<'_>) -> bool> Sink for F {}

/// Reads all records of an input that begins at an offset. Returns the offset that one more record
/// would have; `None` for the words of a text.
pub(super) fn read(
    plan: &Plan,
    input: impl BufRead,
    offset: u64,
    sink: impl Sink,
) -> Result<Option<u64>, ReadError> {
    let mut maker = Maker {
        plan,
        event_id: String::new(),
        word: String::new(),
        prefix: [0; 32],
        sink,
    };
    match &plan.select {
        Select::Json(pointers) => maker.read_json(pointers, input, offset).map(Some),
        Select::Fields(fields) => maker.read_fields(fields, input, offset).map(Some),
        Select::Pattern { pattern, groups } => {
            let end = maker.read_pattern(pattern, groups, input, offset);
            end.map(Some)
        }
        Select::Words => maker.read_words(input, offset).map(|()| None),
        Select::Table { cells, .. } => maker.read_table(cells, input, offset).map(Some),
    }
}

/// Makes events of records.
struct Maker<'p, S> {
    plan: &'p Plan,
    event_id: String,
    word: String,
    /// The digest of all records up to this one, if ids are made of it.
    prefix: [u8; 32],
    sink: S,
}

impl<S: Sink> Maker<'_, S> {
    /// Reads lines, and makes an event of the texts that `select` finds in each.
    fn read_lines(
        &mut self,
        input: impl BufRead,
        offset: u64,
        mut select: impl FnMut(&str, &mut Texts) -> Result<(), String>,
    ) -> Result<u64, ReadError> {
        let mut lines = Lines::new(input, offset);
        let mut texts = Texts::default();
        while let Some(line) = lines.next()? {
            if !line.is_whole && self.plan.is_growing {
                self.give(line.number, Found::Unfinished)?;
                return Ok(line.offset);
            }
            self.add_to_prefix(|digest| match line.bytes {
                Some(bytes) => digest.update(bytes),
                // Its content was not kept.
                None => digest.update(line.offset.to_le_bytes()),
            });
            if line
                .bytes
                .is_some_and(|bytes| bytes.trim_ascii().is_empty())
            {
                continue;
            }
            let made = self.make_of_line(&line, &mut texts, &mut select);
            self.give_made(line.number, made)?;
        }
        Ok(lines.offset())
    }

    fn make_of_line(
        &mut self,
        line: &Line<'_>,
        texts: &mut Texts,
        select: &mut impl FnMut(&str, &mut Texts) -> Result<(), String>,
    ) -> Result<(), String> {
        let long = || format!("it is longer than {MAX_RECORD_BYTES} bytes");
        let bytes = line.bytes.ok_or_else(long)?;
        let text = str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        texts.clear();
        select(text, texts)?;
        self.make(texts, line.offset, |digest| digest.update(bytes))
    }

    /// Adds a record to the digest of all records up to it. It need not be a good one.
    fn add_to_prefix(&mut self, add_content: impl FnOnce(&mut Sha256)) {
        if self.plan.id_from == IdFrom::Prefix {
            let mut digest = Sha256::new_with_prefix(self.prefix);
            add_content(&mut digest);
            self.prefix = digest.finalize().into();
        }
    }

    /// Makes the event of the texts that were selected.
    fn make(
        &mut self,
        texts: &Texts,
        offset: u64,
        add_content: impl FnOnce(&mut Sha256),
    ) -> Result<(), String> {
        let mut texts = texts.iter();
        self.event_id.clear();
        match &self.plan.id_from {
            IdFrom::Selected => self.event_id.push_str(texts.next().unwrap_or_default()),
            IdFrom::Content => {
                let mut digest = Sha256::new();
                add_content(&mut digest);
                self.event_id.push_str("content:");
                self.event_id.push_str(&digest_text(&digest.finalize()));
            }
            IdFrom::Offset(name) => self.put_place(name, offset),
            IdFrom::Prefix => {
                self.event_id.push_str("prefix:");
                self.event_id.push_str(&digest_text(&self.prefix));
            }
        }
        self.word.clear();
        for (number, text) in texts.enumerate() {
            if number > 0 {
                self.word.push_str(&self.plan.join);
            }
            self.word.push_str(text);
        }
        Ok(())
    }

    fn put_place(&mut self, name: &str, offset: u64) {
        self.event_id.clear();
        write!(self.event_id, "{name}:{offset}").expect("a string takes it");
    }

    /// Gives the event that was made, or says why there is none.
    fn give_made(&mut self, line: u64, made: Result<(), String>) -> Result<(), ReadError> {
        let (event_id, word) = (&*self.event_id, &*self.word);
        let checked = made.and_then(|()| {
            let request = Request::Process { event_id, word };
            request.check_lengths().map_err(|why| why.to_string())
        });
        let found = match &checked {
            Ok(()) => Found::Event { event_id, word },
            Err(why) => Found::Bad(why),
        };
        match (self.sink)(Record { line, found }) {
            true => Ok(()),
            false => Err(ReadError::Enough),
        }
    }

    fn give(&mut self, line: u64, found: Found<'_>) -> Result<(), ReadError> {
        match (self.sink)(Record { line, found }) {
            true => Ok(()),
            false => Err(ReadError::Enough),
        }
    }

    fn read_json(
        &mut self,
        pointers: &[Pointer],
        input: impl BufRead,
        offset: u64,
    ) -> Result<u64, ReadError> {
        let wanted: Vec<&Pointer> = pointers.iter().collect();
        self.read_lines(input, offset, |line, texts| {
            let mut slots = Vec::with_capacity(wanted.len());
            json::select(line, &wanted, &mut slots)?;
            for (slot, pointer) in slots.iter().zip(&wanted) {
                let value = match slot {
                    Slot::Missing => return Err(format!("no {pointer}")),
                    Slot::Ambiguous => return Err(format!("{pointer} is there more than once")),
                    Slot::Found(value) => json::text_of(value),
                };
                let text = value
                    .map_err(|kind| format!("{pointer} is {kind}, and not a text or an integer"))?;
                texts.push(&text);
            }
            Ok(())
        })
    }

    fn read_fields(
        &mut self,
        fields: &[usize],
        input: impl BufRead,
        offset: u64,
    ) -> Result<u64, ReadError> {
        self.read_lines(input, offset, |line, texts| {
            for field in fields {
                let text = line.split_ascii_whitespace().nth(field - 1);
                texts.push(text.ok_or_else(|| format!("no field {field}"))?);
            }
            Ok(())
        })
    }

    fn read_pattern(
        &mut self,
        pattern: &Regex,
        groups: &[(String, usize)],
        input: impl BufRead,
        offset: u64,
    ) -> Result<u64, ReadError> {
        let mut places = pattern.capture_locations();
        self.read_lines(input, offset, |line, texts| {
            let found = pattern.captures_read(&mut places, line);
            found.ok_or("the pattern does not match")?;
            for (name, number) in groups {
                let (start, end) = places
                    .get(*number)
                    .ok_or_else(|| format!("group {name} matches nothing"))?;
                texts.push(&line[start..end]);
            }
            Ok(())
        })
    }

    fn read_words(&mut self, input: impl BufRead, offset: u64) -> Result<(), ReadError> {
        let name = self.plan.name().expect("the ids of words are places");
        let mut words = Words::new(input, offset);
        while let Some(word) = words.next()? {
            let Word { line, offset, .. } = word;
            if !word.is_whole && self.plan.is_growing {
                return self.give(line, Found::Unfinished);
            }
            let made = match word.text {
                Ok(text) => {
                    self.put_place(name, offset);
                    self.word = text;
                    Ok(())
                }
                Err(at) => Err(format!("not UTF-8 at byte {at}")),
            };
            self.give_made(line, made)?;
        }
        Ok(())
    }

    fn read_table(
        &mut self,
        cells: &[Cell],
        input: impl BufRead,
        offset: u64,
    ) -> Result<u64, ReadError> {
        let Select::Table {
            delimiter,
            has_quotes,
            has_header,
            ..
        } = self.plan.select
        else {
            unreachable!("only a table is read so")
        };
        let raw = Rc::<RefCell<Raw>>::default();
        let kept = Kept {
            input,
            raw: Rc::clone(&raw),
        };
        let mut rows = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .quoting(has_quotes)
            .buffer_capacity(256 << 10)
            .from_reader(kept);
        let mut row = ByteRecord::new();
        let mut next = |row: &mut ByteRecord| {
            let read = rows
                .read_byte_record(row)
                .map_err(|error| match error.into_kind() {
                    csv::ErrorKind::Io(error) => error,
                    other => io::Error::other(format!("{other:?}")),
                });
            raw.borrow_mut().row_ended(rows.position());
            read
        };
        let (columns, header_fields) = match has_header {
            true => {
                next(&mut row)?;
                let names: Vec<Cow<'_, str>> = row.iter().map(String::from_utf8_lossy).collect();
                (columns_of(cells, &names)?, Some(names.len()))
            }
            false => (columns_of(cells, &[])?, None),
        };
        let mut texts = Texts::default();
        let mut following = ByteRecord::new();
        let mut is_there = next(&mut row)?;
        while is_there {
            is_there = next(&mut following)?;
            let position = row.position().cloned().unwrap_or_else(Position::new);
            let place = raw.borrow_mut().place(&position);
            let is_unfinished = || raw.borrow().is_unfinished(place, delimiter, has_quotes);
            if !is_there && self.plan.is_growing && is_unfinished() {
                self.give(place.line, Found::Unfinished)?;
                return Ok(offset + place.byte);
            }
            let put_row = |digest: &mut Sha256| {
                for field in &row {
                    digest.update((field.len() as u64).to_le_bytes());
                    digest.update(field);
                }
            };
            self.add_to_prefix(put_row);
            texts.clear();
            let selected = select_cells(&row, &columns, cells, header_fields, &mut texts);
            let at = offset + place.byte;
            let made = selected.and_then(|()| self.make(&texts, at, put_row));
            self.give_made(place.line, made)?;
            std::mem::swap(&mut row, &mut following);
        }
        let position = row.position().cloned().unwrap_or_else(Position::new);
        let end = raw.borrow_mut().place(&position);
        Ok(offset + end.byte)
    }
}

/// The number of the column of each cell, from 0.
fn columns_of(cells: &[Cell], names: &[Cow<'_, str>]) -> Result<Vec<usize>, ReadError> {
    let columns = cells.iter().map(|cell| column_of(cell, names));
    let columns: Result<_, String> = columns.collect();
    columns.map_err(ReadError::NoColumn)
}

/// Selects the texts of a row. The error says why the row is bad.
fn select_cells(
    row: &ByteRecord,
    columns: &[usize],
    cells: &[Cell],
    header_fields: Option<usize>,
    texts: &mut Texts,
) -> Result<(), String> {
    if let Some(fields) = header_fields.filter(|&fields| fields != row.len()) {
        let found = row.len();
        return Err(format!(
            "its number of fields is {found}, and that of the header {fields}"
        ));
    }
    for (&column, cell) in columns.iter().zip(cells) {
        let bytes = row.get(column).ok_or_else(|| format!("no {cell}"))?;
        let text = str::from_utf8(bytes).map_err(|_| format!("{cell} is not UTF-8"))?;
        texts.push(text);
    }
    Ok(())
}

/// The number of the column where a row has a text, from 0.
fn column_of(cell: &Cell, names: &[Cow<'_, str>]) -> Result<usize, String> {
    let name = match cell {
        Cell::Field(number) => return Ok(number - 1),
        Cell::Column(name) => name,
    };
    let mut found = names.iter().enumerate().filter(|(_, found)| *found == name);
    match (found.next(), found.next()) {
        (Some((column, _)), None) => Ok(column),
        (Some((first, _)), Some((second, _))) => Err(format!(
            "fields {} and {} are both named {name:?}; name one by field:N",
            first + 1,
            second + 1
        )),
        (None, _) => Err(format!(
            "no column is named {name:?}; there are {}",
            names.join(", ")
        )),
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Column(name) => write!(f, "column {name}"),
            Self::Field(number) => write!(f, "field {number}"),
        }
    }
}

/// Some texts, one after the other.
#[derive(Debug, Default)]
struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.text[start..end])
    }
}
