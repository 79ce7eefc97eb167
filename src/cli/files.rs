//! Files that are replaced whole, and what directories take.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;
use tempfile::NamedTempFile;

/// The directory that a path is in.
pub(super) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// How many bytes the files of a directory have.
pub(in crate::cli) fn size(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let metadata = entry?.metadata()?;
        bytes += if metadata.is_file() {
            metadata.len()
        } else {
            0
        };
    }
    Ok(bytes)
}

/// Puts a text in the place of a file, whole. A device or a pipe is written to.
pub(super) fn replace_file(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        // A pipe that nobody reads is an error, and not waited for.
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let mut options = File::options();
        let device = options.write(true).custom_flags(flags).open(path);
        let mut device = device.context("opening")?;
        return device.write_all(text).context("writing");
    }
    // A link stays, and what it leads to is replaced. Where there is nothing yet, nothing is.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // Under another name first: whoever reads it finds the old text or the new one, whole.
    let mut file = NamedTempFile::new_in(parent_of(&path)).context("making a file beside it")?;
    file.write_all(text).context("writing")?;
    let for_all = fs::Permissions::from_mode(0o644);
    let mode = file.as_file().set_permissions(for_all);
    mode.context("setting its mode")?;
    file.persist(&path).context("replacing it")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_replaces_a_file_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("file");
        for text in ["a long first one", "another"] {
            replace_file(&path, text.as_bytes()).expect("the directory is writable");
            let written = fs::read_to_string(&path).expect("it was written");
            assert_eq!(written, text);
        }
        let names = fs::read_dir(directory.path()).expect("it is there");
        assert_eq!(names.count(), 1);
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        replace_file(Path::new("/dev/null"), b"a text").expect("it takes everything");
        let device = fs::metadata("/dev/null").expect("it is still there");
        assert!(!device.is_file());
    }

    #[test]
    fn where_no_file_can_be_that_is_said() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("missing").join("file");
        let error = replace_file(&path, b"a text").expect_err("there is no such directory");
        assert_eq!(error.to_string(), "making a file beside it");
    }
}
