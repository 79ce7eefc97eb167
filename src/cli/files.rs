//! Replacing files in one step, and refusing paths inside a state directory.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;
use exactly_once::program::{Scratch, state_directory_around};

use crate::cli::status::WrongArguments;

/// Refuses a path inside a state directory, where only the state's own files may be.
pub(crate) fn refuse_inside_a_state(path: &Path) -> Result<(), WrongArguments> {
    match state_directory_around(path) {
        None => Ok(()),
        Some(around) => Err(WrongArguments(format!(
            "{} lies inside the state directory {}; name a place outside it",
            path.display(),
            around.display()
        ))),
    }
}

/// Replaces the content of a file in one step. A device or a pipe is written to.
pub(crate) fn replace_file(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    refuse_inside_a_state(path)?;
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        // A pipe without a reader is an error, instead of a wait for one.
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let mut options = File::options();
        let device = options.write(true).custom_flags(flags).open(path);
        let mut device = device.context("opening")?;
        return device.write_all(text).context("writing");
    }
    // A symbolic link stays, and its target is replaced. A new file has no canonical path yet.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    refuse_inside_a_state(&path)?;
    // The text is written to another file first: a reader finds the whole old or new text.
    let scratch = Scratch::new_in(beside(&path)).context("making a file beside it")?;
    let new = scratch.path().join("new");
    fs::write(&new, text).context("writing")?;
    let for_all = fs::Permissions::from_mode(0o644);
    fs::set_permissions(&new, for_all).context("setting its mode")?;
    fs::rename(&new, &path).context("replacing it")
}

/// The directory that a path is in.
fn beside(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    parent.unwrap_or(Path::new("."))
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
