//! The forms of data, written with code of their own, and what is put around the data.

use std::io::Write;

/// A record: an id and a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub id: String,
    pub word: String,
}

/// A form of data.
pub struct Form {
    pub name: &'static str,
    pub ending: &'static str,
    pub arguments: &'static [&'static str],
    /// Further arguments if the data comes on standard input.
    pub by_format: &'static [&'static str],
    /// What texts are made of.
    pub pieces: &'static [&'static str],
    /// Writes records, with CRLF if that is true.
    pub write: fn(&[Record], bool) -> Vec<u8>,
}

const ANY: &[&str] = &[
    "a",
    "B7",
    "\u{e9}",
    "\u{1f600}",
    "\"",
    "\\",
    ",",
    " ",
    "\t",
    "/",
    "'",
    ";",
];
const WITH_NEWLINES: &[&str] = &[
    "a", "B7", "\u{e9}", "\"", "\"\"", ",", "\n", "\r\n", " ", "\\", "'",
];
const WITHOUT_BLANKS: &[&str] = &[
    "a",
    "B7",
    "\u{e9}",
    "\u{1f600}",
    "\"",
    "\\",
    ",",
    "/",
    "\u{a0}",
];
const WITHOUT_TABS: &[&str] = &["a", "B7", "\u{e9}", "\"", "\\", ",", "'", "x y"];

pub const FORMS: [Form; 7] = [
    Form {
        name: "JSON lines",
        ending: "jsonl",
        arguments: &["--id", "/the/0/id", "--word", "/word~1s"],
        by_format: &["--input-format", "jsonl"],
        pieces: ANY,
        write: json,
    },
    Form {
        name: "CSV",
        ending: "csv",
        arguments: &["--id", "column:the id", "--word", "column:word"],
        by_format: &["--input-format", "csv"],
        pieces: WITH_NEWLINES,
        write: csv,
    },
    Form {
        name: "CSV without a header",
        ending: "csv",
        arguments: &["--no-header", "--id", "field:3", "--word", "field:1"],
        by_format: &["--input-format", "csv"],
        pieces: WITH_NEWLINES,
        write: bare_csv,
    },
    Form {
        name: "TSV",
        ending: "tsv",
        arguments: &["--id", "column:id", "--word", "column:word"],
        by_format: &["--input-format", "tsv"],
        pieces: WITHOUT_TABS,
        write: tsv,
    },
    Form {
        name: "fields",
        ending: "log",
        arguments: &["--id", "field:2", "--word", "field:3"],
        by_format: &["--input-format", "fields"],
        pieces: WITHOUT_BLANKS,
        write: fields,
    },
    Form {
        name: "a pattern",
        ending: "log",
        arguments: &[
            "--regex",
            r"^<(?<id>[^>]*)> \[(?<word>.*)\]$",
            "--id",
            "group:id",
            "--word",
            "group:word",
        ],
        by_format: &[],
        pieces: ANY,
        write: pattern,
    },
    Form {
        name: "JSON lines with escapes",
        ending: "ndjson",
        arguments: &["--id", "/i", "--word", "/w"],
        by_format: &["--input-format", "jsonl"],
        pieces: WITH_NEWLINES,
        write: escaped_json,
    },
];

type Wrap = fn(&[u8]) -> Vec<u8>;

/// What is put around the data: nothing, a byte order mark, compression in several pieces, a cut
/// newline at the end.
pub const WRAPS: [Wrap; 6] = [
    |bytes| bytes.to_vec(),
    |bytes| [b"\xef\xbb\xbf", bytes].concat(),
    |bytes| pieces(bytes).map(gzip).concat(),
    |bytes| pieces(bytes).map(zstd).concat(),
    |bytes| gzip(&[b"\xef\xbb\xbf", bytes].concat()),
    |bytes| bytes.trim_ascii_end().to_vec(),
];

/// Cuts bytes into three pieces.
fn pieces(bytes: &[u8]) -> [&[u8]; 3] {
    let (first, rest) = bytes.split_at(bytes.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    [first, second, third]
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("a vector takes it");
    encoder.finish().expect("a vector takes it")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("a vector takes it")
}

fn lines(records: &[Record], crlf: bool, line: impl Fn(&Record) -> String) -> Vec<u8> {
    let end = if crlf { "\r\n" } else { "\n" };
    let lines = records.iter().map(|record| line(record) + end);
    lines.collect::<String>().into_bytes()
}

fn json(records: &[Record], crlf: bool) -> Vec<u8> {
    lines(records, crlf, |Record { id, word }| {
        serde_json::json!({"x": [1, {"word/s": null}], "the": [{"id": id}], "word/s": word})
            .to_string()
    })
}

/// Every character as an escape.
fn escaped_json(records: &[Record], crlf: bool) -> Vec<u8> {
    let escaped = |text: &str| -> String {
        let units = text.encode_utf16();
        units.map(|unit| format!("\\u{unit:04x}")).collect()
    };
    lines(records, crlf, |Record { id, word }| {
        format!(
            " {{\"w\" : \"{}\", \"i\":\"{}\"}}\t",
            escaped(word),
            escaped(id)
        )
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn csv(records: &[Record], crlf: bool) -> Vec<u8> {
    let end = if crlf { "\r\n" } else { "\n" };
    let rows = lines(records, crlf, |Record { id, word }| {
        format!(",{},{},\"x,\",same", quoted(word), quoted(id))
    });
    [format!("empty,word,the id,x,x{end}").into_bytes(), rows].concat()
}

fn bare_csv(records: &[Record], crlf: bool) -> Vec<u8> {
    lines(records, crlf, |Record { id, word }| {
        format!("{},,{}", quoted(word), quoted(id))
    })
}

fn tsv(records: &[Record], crlf: bool) -> Vec<u8> {
    let end = if crlf { "\r\n" } else { "\n" };
    let rows = lines(records, crlf, |Record { id, word }| {
        format!("{word}\tx\t{id}\t.")
    });
    [format!("word\tx\tid\tend{end}").into_bytes(), rows].concat()
}

fn fields(records: &[Record], crlf: bool) -> Vec<u8> {
    lines(records, crlf, |Record { id, word }| {
        format!("  x \t{id} {word}   y z")
    })
}

fn pattern(records: &[Record], crlf: bool) -> Vec<u8> {
    lines(records, crlf, |Record { id, word }| {
        format!("<{id}> [{word}]")
    })
}
