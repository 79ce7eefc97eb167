//! The disk alone: how long a bare durable write takes, and how much lies on it.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;

use crate::quantile::median;

const WRITE_BYTES: usize = 4096;

/// A file that is written once before, so that a measured write changes no length and no layout:
/// the least that a durable write can cost.
#[derive(Debug)]
pub struct BareFile {
    file: File,
    writes: u64,
    next: u64,
}

impl BareFile {
    /// Prepares a file for that many writes, after which it starts over.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn create(path: &Path, writes: u64) -> anyhow::Result<Self> {
        let prepare = || {
            let file = File::create(path)?;
            file.write_all_at(&vec![1; WRITE_BYTES * writes as usize], 0)?;
            file.sync_all()?;
            Ok::<_, io::Error>(file)
        };
        let file = prepare().with_context(|| format!("preparing {}", path.display()))?;
        Ok(Self {
            file,
            writes: writes.max(1),
            next: 0,
        })
    }

    /// Writes 4 KiB and waits for fdatasync; how long that took, in microseconds.
    ///
    /// # Errors
    ///
    /// If the file cannot be written or synced.
    pub fn write_us(&mut self) -> anyhow::Result<f64> {
        let block = [self.next as u8; WRITE_BYTES];
        let offset = self.next % self.writes * WRITE_BYTES as u64;
        self.next += 1;
        let started = Instant::now();
        self.file
            .write_all_at(&block, offset)
            .and_then(|()| self.file.sync_data())
            .context("a bare write and fdatasync")?;
        Ok(started.elapsed().as_secs_f64() * 1e6)
    }
}

/// The median of that many bare writes of 4 KiB with fdatasync in a directory, in microseconds.
///
/// # Errors
///
/// If a file cannot be written there.
pub fn bare_p50_us(directory: &Path, writes: u64) -> anyhow::Result<f64> {
    let path = directory.join("bare");
    let mut bare = BareFile::create(&path, writes)?;
    let mut times_us = (0..writes)
        .map(|_| bare.write_us())
        .collect::<anyhow::Result<Vec<f64>>>()?;
    fs::remove_file(&path).context("removing the file of bare writes")?;
    Ok(median(&mut times_us))
}

/// The apparent sizes of all regular files in a directory and those in it, in bytes.
///
/// # Errors
///
/// If a directory or file cannot be looked at.
pub fn apparent_bytes(directory: &Path) -> anyhow::Result<u64> {
    sum(directory, &|file| file.len())
}

/// What all regular files in a directory and those in it take of the disk, in bytes: a file that
/// is longer than what was written to it takes less than its size.
///
/// # Errors
///
/// If a directory or file cannot be looked at.
pub fn allocated_bytes(directory: &Path) -> anyhow::Result<u64> {
    // The unit of `blocks` is 512 bytes, whatever the file system's own is.
    sum(directory, &|file| file.blocks() * 512)
}

fn sum(directory: &Path, size: &dyn Fn(&Metadata) -> u64) -> anyhow::Result<u64> {
    let mut bytes = 0;
    let entries = fs::read_dir(directory);
    for entry in entries.with_context(|| format!("reading {}", directory.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += match metadata.is_dir() {
            true => sum(&entry.path(), size)?,
            false if metadata.is_file() => size(&metadata),
            false => 0,
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_all_files_below() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let inner = directory.path().join("inner");
        fs::create_dir(&inner)?;
        fs::write(directory.path().join("a"), [0; 10])?;
        File::create(inner.join("b"))?.set_len(1 << 30)?;
        assert_eq!(apparent_bytes(directory.path())?, 10 + (1 << 30));
        assert!(allocated_bytes(directory.path())? < 1 << 20);
        Ok(())
    }

    #[test]
    fn a_bare_write_takes_time_and_leaves_no_file() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        assert!(bare_p50_us(directory.path(), 5)? > 0.0);
        assert_eq!(apparent_bytes(directory.path())?, 0);
        Ok(())
    }
}
