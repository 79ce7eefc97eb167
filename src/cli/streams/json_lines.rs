//! Printing records as JSON lines.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::streams::stdout;

/// Prints one JSON line.
pub(crate) fn print_line(record: &impl Serialize) -> io::Result<()> {
    let mut output = stdout::json_lines()?;
    write_line(&mut output, record)?;
    output.flush()
}

/// Writes one JSON line; nothing if the record cannot be serialized.
pub(crate) fn write_line(output: &mut impl Write, record: &impl Serialize) -> io::Result<()> {
    let line = serde_json::to_vec(record)?;
    write_record(output, &line)
}

/// Writes a record that is already JSON.
pub(crate) fn write_record(output: &mut impl Write, record: &[u8]) -> io::Result<()> {
    output.write_all(record)?;
    output.write_all(b"\n")
}
