//! What an import takes from each record: the format, the selectors, and how ids are made.

use std::fmt::Write;

use clap::ValueEnum;
use exactly_once::MAX_EVENT_ID_BYTES;
use regex::Regex;

use crate::cli::import::selector::{Pointer, Selector};
use crate::cli::import::source::Source;
use crate::cli::status::WrongArguments;

/// The form of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum InputFormat {
    /// A JSON document on each line
    Jsonl,
    /// Comma-separated values, with a header unless --no-header is given
    Csv,
    /// Tab-separated values without quotes, with a header unless --no-header is given
    Tsv,
    /// Fields of each line, separated by white space
    Fields,
    /// A text: each word is an event, and its id is NAME:OFFSET
    Words,
}

/// How ids are made of records that have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum IdBy {
    /// A digest of the record: equal lines are one event
    Content,
    /// NAME:OFFSET, the name of the input and where the record begins in it, in bytes
    Offset,
    /// A digest of everything up to the end of the record: for a log that is rotated
    Prefix,
}

/// Where the id of a record comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IdFrom {
    Selected,
    Content,
    /// The name of the input.
    Offset(String),
    Prefix,
}

/// How the selected texts of a record are found. Each kind has the id first, if it is selected, and
/// then the parts of the word.
#[derive(Debug, Clone)]
pub(super) enum Select {
    Json(Vec<Pointer>),
    Table {
        delimiter: u8,
        has_quotes: bool,
        has_header: bool,
        cells: Vec<Cell>,
    },
    Fields(Vec<usize>),
    Pattern {
        pattern: Regex,
        /// The name of each group, and its number in the pattern.
        groups: Vec<(String, usize)>,
    },
    Words,
}

/// Where a row of a table has a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Column(String),
    Field(usize),
}

/// What is taken from each record of one input.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) select: Select,
    pub(super) id_from: IdFrom,
    /// Stands between the parts of a word.
    pub(super) join: String,
    /// True if a last line without a newline is left for the next import.
    pub(super) is_growing: bool,
}

/// The arguments that say what is taken from a record.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PlanArgs {
    /// Where a record has its id
    #[arg(long, value_name = "SELECTOR", conflicts_with = "id_by")]
    id: Option<Selector>,
    /// Make the id of the record itself, if the data has none
    #[arg(long, value_name = "WAY")]
    id_by: Option<IdBy>,
    /// Where a record has the word to count; of several, the texts are joined
    #[arg(long, value_name = "SELECTOR")]
    word: Vec<Selector>,
    /// Text between the parts of a word
    #[arg(long, value_name = "TEXT", default_value = " ")]
    join: String,
    /// Form of the data [default: by the file's ending, or by the selectors]
    #[arg(long, value_name = "FORMAT", conflicts_with = "regex")]
    input_format: Option<InputFormat>,
    /// Take the named groups of this pattern from each line
    #[arg(long, value_name = "PATTERN")]
    regex: Option<Regex>,
    /// The first row of a table is data, and not the names of the columns
    #[arg(long)]
    no_header: bool,
    /// Name of the input in ids by offset [default: its path as it is given]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Leave a last line without a newline for the next import, as a log may still be written
    ///
    /// That of a compressed file is whole. With --id-by prefix this is always so.
    #[arg(long)]
    growing: bool,
}

impl Plan {
    /// The name of the input in ids, if it is part of them.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.id_from {
            IdFrom::Offset(name) => Some(name),
            _ => None,
        }
    }
}

/// The first half of a digest, in hexadecimal digits: two texts with the same half are not to be
/// found.
pub(super) fn digest_text(digest: &[u8]) -> String {
    let mut text = String::with_capacity(32);
    for byte in &digest[..16] {
        write!(text, "{byte:02x}").expect("a string takes it");
    }
    text
}

const ID_IS_MISSING: &str = "say which lines are the same event: --id SELECTOR names where a \
     record has its id, --id-by content takes equal lines for one event, --id-by offset takes each \
     line of a file for one event, and --id-by prefix does so with logs that are rotated";

impl PlanArgs {
    /// Plans what is taken from the records of an input.
    pub(super) fn plan(&self, source: &Source) -> Result<Plan, WrongArguments> {
        let plan = self.try_plan(source);
        plan.map_err(|why| WrongArguments(format!("{}: {why}", source.shown())))
    }

    fn try_plan(&self, source: &Source) -> Result<Plan, String> {
        let format = self.format(source)?;
        let id_from = match (&self.id, self.id_by) {
            (Some(_), _) => IdFrom::Selected,
            (None, Some(IdBy::Content)) => IdFrom::Content,
            (None, None) if format != Some(InputFormat::Words) => {
                return Err(ID_IS_MISSING.to_owned());
            }
            (None, Some(IdBy::Prefix)) => IdFrom::Prefix,
            (None, _) => IdFrom::Offset(self.name(source)?),
        };
        let is_text = format == Some(InputFormat::Words);
        if is_text && (!self.word.is_empty() || !matches!(id_from, IdFrom::Offset(_))) {
            return Err(
                "a text has neither --id nor --word: each word is an event, and its id is \
                        NAME:OFFSET"
                    .to_owned(),
            );
        }
        if !is_text && self.word.is_empty() {
            return Err(
                "--word SELECTOR must name where a record has the word to count".to_owned(),
            );
        }
        Ok(Plan {
            select: self.select(format)?,
            id_from,
            join: self.join.clone(),
            is_growing: self.growing || self.id_by == Some(IdBy::Prefix),
        })
    }

    /// The form of an input; `None` for lines that a pattern matches.
    fn format(&self, source: &Source) -> Result<Option<InputFormat>, String> {
        if self.regex.is_some() {
            return Ok(None);
        }
        let of_ending = match source.ending() {
            Some("jsonl" | "ndjson" | "json") => Some(InputFormat::Jsonl),
            Some("csv") => Some(InputFormat::Csv),
            Some("tsv" | "tab") => Some(InputFormat::Tsv),
            _ => None,
        };
        let of_selectors = || match self.selectors().next()? {
            Selector::Pointer(_) => Some(InputFormat::Jsonl),
            Selector::Column(_) => Some(InputFormat::Csv),
            Selector::Field(_) => Some(InputFormat::Fields),
            Selector::Group(_) => None,
        };
        let found = self.input_format.or(of_ending).or_else(of_selectors);
        found.map(Some).ok_or_else(|| {
            "its form is not known; name it by --input-format jsonl, csv, tsv, fields or words, or \
             describe its lines by --regex"
                .to_owned()
        })
    }

    /// The selectors: that of the id, if there is one, and those of the word.
    fn selectors(&self) -> impl Iterator<Item = &Selector> {
        self.id.iter().chain(&self.word)
    }

    fn name(&self, source: &Source) -> Result<String, String> {
        const MAX_NAME_BYTES: usize = MAX_EVENT_ID_BYTES - ":18446744073709551615".len();
        let name = match &self.source {
            Some(name) => name.as_str(),
            None if source.has_no_name() => {
                return Err(
                    "its path says nothing of its content, and a name is part of ids; give \
                            one by --source NAME"
                        .to_owned(),
                );
            }
            None => source.path().ok_or(
                "its path is not UTF-8, and is part of ids; give another name by --source NAME",
            )?,
        };
        match name.len() {
            0 => Err("the name of a source may not be empty".to_owned()),
            1..=MAX_NAME_BYTES => Ok(name.to_owned()),
            _ => Err(format!(
                "its name has over {MAX_NAME_BYTES} bytes, and is part of ids; give a shorter one \
                 by --source NAME"
            )),
        }
    }

    fn select(&self, format: Option<InputFormat>) -> Result<Select, String> {
        let Some(format) = format else {
            let pattern = self.regex.clone();
            let pattern = pattern.expect("only lines of a pattern have no format");
            let groups = self.each(|selector| match selector {
                Selector::Group(name) => Some(name.clone()),
                _ => None,
            });
            let groups =
                groups.map_err(|wrong| format!("{wrong} is not group:NAME, as --regex needs"))?;
            let number = |name: String| {
                let of_name = |found: Option<&str>| found == Some(&*name);
                let number = pattern.capture_names().position(of_name);
                let number = number.ok_or_else(|| format!("the pattern has no group named {name}"));
                number.map(|number| (name, number))
            };
            let groups = groups.into_iter().map(number).collect::<Result<_, _>>()?;
            return Ok(Select::Pattern { pattern, groups });
        };
        match format {
            InputFormat::Words => Ok(Select::Words),
            InputFormat::Jsonl => {
                let pointers = self.each(|selector| match selector {
                    Selector::Pointer(pointer) => Some(pointer.clone()),
                    _ => None,
                });
                let wrong = |wrong| format!("{wrong} is not /POINTER, as JSON lines need");
                pointers.map(Select::Json).map_err(wrong)
            }
            InputFormat::Fields => {
                let fields = self.each(|selector| match selector {
                    Selector::Field(number) => Some(*number),
                    _ => None,
                });
                let wrong = |wrong| format!("{wrong} is not field:N, as fields need");
                fields.map(Select::Fields).map_err(wrong)
            }
            InputFormat::Csv | InputFormat::Tsv => {
                let has_header = !self.no_header;
                let cells = self.each(|selector| match selector {
                    Selector::Column(name) if has_header => Some(Cell::Column(name.clone())),
                    Selector::Field(number) => Some(Cell::Field(*number)),
                    _ => None,
                });
                let cells = cells.map_err(|wrong| match has_header {
                    true => format!("{wrong} is not column:NAME or field:N, as a table needs"),
                    false => format!("{wrong} is not field:N, as a table without a header needs"),
                })?;
                Ok(Select::Table {
                    delimiter: if format == InputFormat::Csv {
                        b','
                    } else {
                        b'\t'
                    },
                    has_quotes: format == InputFormat::Csv,
                    has_header,
                    cells,
                })
            }
        }
    }

    /// Calls `of` with each selector; the error is the first for which it returns `None`.
    fn each<T>(&self, of: impl Fn(&Selector) -> Option<T>) -> Result<Vec<T>, &Selector> {
        let each = self.selectors();
        each.map(|selector| of(selector).ok_or(selector)).collect()
    }
}
