//! Makes files and directories whose names and bytes survive a power cut.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::OpenError;
use crate::error::remedy::remedy;
use crate::store::directory::leftover::file_changes;

/// The directory that a path is in.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Creates a directory and the missing ones above it, and makes their names durable.
pub(crate) fn create_directory(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        return Ok(());
    }
    let _file_changes = file_changes();
    let parent = parent_of(path);
    create_directory(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(unusable(path, "creating the directory")(error))
        }
        _ => check_directory(path).and_then(|()| sync(parent)),
    }
}

fn check_directory(path: &Path) -> Result<(), OpenError> {
    let found = fs::metadata(path).map_err(unusable(path, "looking at it"))?;
    match found.is_dir() {
        true => Ok(()),
        false => Err(OpenError::NotOurs {
            path: path.to_owned(),
            found: "it is a file".to_owned(),
        }),
    }
}

/// Replaces a file of a directory. It is written under another name first, so a power cut leaves
/// the whole old file or the whole new one.
pub(crate) fn replace_file(
    directory: &Path,
    name: &str,
    new_name: &str,
    bytes: &[u8],
) -> Result<(), OpenError> {
    let (path, new) = (directory.join(name), directory.join(new_name));
    let _file_changes = file_changes();
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(unusable(&path, "writing it"))?;
    sync(directory)
}

/// Makes a file, or the names in a directory, durable.
pub(crate) fn sync(path: &Path) -> Result<(), OpenError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(unusable(path, "syncing it"))
}

/// Converts an error of the operating system about a file or directory.
pub(crate) fn unusable(path: &Path, action: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Unusable {
        path: path.to_owned(),
        action,
        remedy: remedy(Some(path), &source),
        source,
    }
}
