//! The record of a measurement: the command that made it, the day, the machine and the tables.

use crate::machine::Machine;

/// Returns the command line of a program of this package. It keeps only the last part of each path,
/// so that a record does not show where it was made.
#[must_use]
pub fn command(program: &str) -> String {
    let features = if cfg!(feature = "rocksdb") {
        "--features rocksdb "
    } else {
        ""
    };
    let mut command = format!("cargo run --release {features}--bin {program} --");
    for argument in std::env::args().skip(1) {
        command += " ";
        command += argument.rsplit('/').next().unwrap_or_default();
    }
    command
}

/// Returns the record of some tables.
#[must_use]
pub fn record(command: &str, machine: &Machine, tables: &str) -> String {
    let date = &machine.date;
    format!("$ {command}\n{date}\nmachine: {machine}\n\n{tables}")
}
