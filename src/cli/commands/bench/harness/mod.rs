//! Measuring code of `bench`, and of the programs in `tests/measure`, which include these files by
//! their path. So nothing here refers to the rest of the program.

pub mod latency;
pub mod workload;

use std::fmt::Display;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, ensure};
use comfy_table::{Cell, CellAlignment, Table, presets};

/// The index in a sorted list of the item with which this share of the list, from 0 to 1, ends
/// (nearest rank).
pub fn rank(length: usize, share: f64) -> usize {
    ((share * length as f64).ceil() as usize).max(1) - 1
}

/// The most memory that a running process has used, in bytes, if the system tells it. The process
/// is named by its id, or as `self`.
pub fn peak_memory_bytes(process: impl Display) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let mut lines = status.lines();
    let peak = lines.find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = peak.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Pause between two looks at a process.
pub const PAUSE: Duration = Duration::from_millis(2);

/// Waits until a process has ended successfully, and calls `look` after each pause. Returns its
/// peak memory in bytes, without what was added in the last pause, if the system tells it.
pub fn wait(
    process: &mut Child,
    mut look: impl FnMut() -> io::Result<()>,
) -> anyhow::Result<Option<u64>> {
    let mut peak = None;
    loop {
        let status = process.try_wait().context("waiting for the node")?;
        peak = peak_memory_bytes(process.id()).or(peak);
        look().context("looking at the replies")?;
        if let Some(status) = status {
            let cause = "it says why on standard error above";
            ensure!(status.success(), "the node failed ({status}); {cause}");
            return Ok(peak);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The sum of `size` over all files in a directory and its subdirectories.
pub fn bytes(directory: &Path, size: fn(&Metadata) -> u64) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += match metadata.is_dir() {
            true => bytes(&entry.path(), size)?,
            false if metadata.is_file() => size(&metadata),
            false => 0,
        };
    }
    Ok(sum)
}

/// An empty table. An empty header is left out; otherwise all columns but the first align right.
pub fn table<T: Into<Cell>>(header: Vec<T>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
