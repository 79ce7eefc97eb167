//! Reads what sled is about to read, before sled does.
//!
//! If the disk cannot read a part of the log when sled opens it, sled takes that part for the end
//! of the log and overwrites all that follows. So a failing disk must be found first. What is read
//! here is in memory when sled reads it again.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::Advice;

use crate::store::directory::generation::DATABASE;

/// The size of the segments of which sled's file consists.
const SEGMENT_BYTES: u64 = 512 << 10;
/// The header of a segment: a checksum, its number in the log, and how far the log was durable.
const HEADER_BYTES: u64 = 20;
/// sled stores the number XORed with this, so that a segment of zeros has no number.
const LOG_NUMBER_MASK: u64 = u64::MAX >> 1;

/// Reads the header of each segment, and the whole of those that are later in the log than sled's
/// own snapshot file.
///
/// # Errors
///
/// The system's error if it cannot read one of them.
pub(crate) fn check_readable(directory: &Path) -> io::Result<()> {
    let mut file = match File::open(directory.join(DATABASE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let bytes = file.metadata()?.len();
    let from = snapshot_number(directory)? / SEGMENT_BYTES * SEGMENT_BYTES;
    let segments = || (0..bytes).step_by(SEGMENT_BYTES as usize);
    // The headers are requested first, so that the disk can fetch many at a time, in any order.
    segments().for_each(|segment| fetch(&file, segment, HEADER_BYTES));
    // A file that is copied there is read, but none of its bytes is moved.
    let mut nowhere = File::options().write(true).open("/dev/null")?;
    let mut header = [0; HEADER_BYTES as usize];
    for segment in segments() {
        let read = read_up_to(&file, &mut header, segment)?;
        if read == header.len() && log_number(&header) >= from {
            file.seek(SeekFrom::Start(segment))?;
            io::copy(&mut (&file).take(SEGMENT_BYTES), &mut nowhere)?;
        }
    }
    Ok(())
}

/// Returns how far in the log sled's latest snapshot file goes, by its name; 0 without one.
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
    // Without this advice the reads are only slower.
    rustix::fs::fadvise(file, offset, NonZeroU64::new(bytes), Advice::WillNeed).unwrap_or_default();
}

/// Fills a buffer up to the end of the file, and returns the number of bytes read.
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
