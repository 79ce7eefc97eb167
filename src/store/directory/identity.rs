//! Which file is which: a name may come to be another one's.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Which file it is, whatever its name: its device, and its number there.
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

/// Whether a path still leads to a file that is open.
pub(crate) fn leads_to(path: &Path, file: &File) -> bool {
    let there = std::fs::metadata(path).map(FileIdentity::from);
    let open = file.metadata().map(FileIdentity::from);
    matches!((there, open), (Ok(there), Ok(open)) if there == open)
}
