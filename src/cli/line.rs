//! JSON lines, as every command prints them.

use std::io::{self, Write};

use serde::Serialize;

/// Writes one JSON line.
pub(super) fn write_line(output: &mut impl Write, record: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, record)?;
    output.write_all(b"\n")
}

/// Writes a record, which is JSON already.
pub(super) fn write_record(output: &mut impl Write, record: &[u8]) -> io::Result<()> {
    output.write_all(record)?;
    output.write_all(b"\n")
}
