//! Reading what sled is about to read, before it does.
//!
//! When sled opens, it takes a part of its log that the disk does not give for the end of the log,
//! and writes over all that follows. So a disk that fails to read must be found out first. What is
//! read here is in memory when sled reads it again.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::Advice;

use crate::store::directory::generation::DATABASE;

/// sled's file is a row of segments of this size.
const SEGMENT_BYTES: u64 = 512 << 10;
/// A checksum, the segment's number in the log, and how far the log was durable.
const HEADER_BYTES: u64 = 20;
/// How the number is kept: so that no segment of zeros has one.
const LOG_NUMBER_MASK: u64 = u64::MAX >> 1;

/// Reads the beginning of each segment, and the whole of those that are later than sled's
/// snapshot.
///
/// # Errors
///
/// What the system says if it cannot read one of them.
pub(crate) fn check_readable(directory: &Path) -> io::Result<()> {
    let file = match File::open(directory.join(DATABASE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let bytes = file.metadata()?.len();
    let from = snapshot_number(directory)? / SEGMENT_BYTES * SEGMENT_BYTES;
    let segments = || (0..bytes).step_by(SEGMENT_BYTES as usize);
    // The disk may fetch them in any order, and many at a time.
    segments().for_each(|segment| fetch(&file, segment, HEADER_BYTES));
    let mut buffer = vec![0; SEGMENT_BYTES as usize];
    for segment in segments() {
        let header = &mut buffer[..HEADER_BYTES as usize];
        let read = read_up_to(&file, header, segment)?;
        if read == header.len() && log_number(header) >= from {
            read_up_to(&file, &mut buffer, segment)?;
        }
    }
    Ok(())
}

/// Up to where in the log sled's latest snapshot goes, which its name tells; 0 without one.
fn snapshot_number(directory: &Path) -> io::Result<u64> {
    let mut latest = 0;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("snap."));
        let number = number.and_then(|number| u64::from_str_radix(number, 16).ok());
        latest = latest.max(number.unwrap_or_default());
    }
    Ok(latest)
}

fn log_number(header: &[u8]) -> u64 {
    let number = header[4..].first_chunk::<8>();
    let number = number.expect("a header is longer than that");
    u64::from_le_bytes(*number) ^ LOG_NUMBER_MASK
}

fn fetch(file: &File, offset: u64, bytes: u64) {
    // Where that is not known, the disk is only slower.
    rustix::fs::fadvise(file, offset, NonZeroU64::new(bytes), Advice::WillNeed).unwrap_or_default();
}

/// Fills a buffer as far as the file goes, and returns how far that is.
fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
