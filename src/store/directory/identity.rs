//! The identity of files: a name may later belong to another file.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Identifies a file, whatever its name, by its device and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl From<Metadata> for FileIdentity {
    fn from(metadata: Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// True if a path still leads to an open file.
pub(crate) fn leads_to(path: &Path, file: &File) -> bool {
    let there = std::fs::metadata(path).map(FileIdentity::from);
    let open = file.metadata().map(FileIdentity::from);
    matches!((there, open), (Ok(there), Ok(open)) if there == open)
}
