//! What can be seen of a state directory without opening its database.

use std::fs;
use std::path::Path;

use crate::error::OpenError;
use crate::store::directory::RestingDirectory;
use crate::store::directory::sentinel::{Sentinel, read_sentinel};
use crate::store::directory::watermark::WATERMARK;

/// Bytes that change with each answered group and each new generation; `None` if unreadable.
#[must_use]
pub fn watermark_of(directory: &Path) -> Option<Vec<u8>> {
    let Ok(Some(Sentinel::Ready { generation, .. })) = read_sentinel(directory) else {
        return None;
    };
    let mut mark = fs::read(generation.folder(directory).join(WATERMARK)).ok()?;
    mark.extend(generation.0.to_le_bytes());
    Some(mark)
}

/// Checks that a directory has a state, and that no process has it open. Changes nothing.
///
/// # Errors
///
/// [`OpenError::HeldByWriter`] if a process has it open; any other one if it has no state that can
/// be used.
pub fn check_at_rest(directory: &Path) -> Result<(), OpenError> {
    RestingDirectory::lock(directory).map(drop)
}
