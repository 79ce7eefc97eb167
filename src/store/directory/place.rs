//! Checks where a state may be made: not inside another state directory, and only where nothing
//! else is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::store::directory::sentinel::has_sentinel;
use crate::store::directory::{Contents, inspect};

/// The state directory that a path is in, if any: other files must not be put there.
#[must_use]
pub fn state_directory_around(path: &Path) -> Option<PathBuf> {
    // If the parent does not exist yet, its nearest ancestor that exists counts.
    let mut above = path.ancestors().skip(1).map(|above| match above {
        relative if relative == Path::new("") => Path::new("."),
        above => above,
    });
    let real = above.find_map(|above| fs::canonicalize(above).ok())?;
    let mut above = real.ancestors();
    above.find(|path| has_sentinel(path)).map(Path::to_owned)
}

/// True if a directory can take a state: it does not exist, or contains only what an unfinished
/// first start or load has left.
pub(crate) fn can_take_state(path: &Path) -> Result<bool, OpenError> {
    match inspect(path) {
        Ok(contents) => Ok(contents == Contents::Empty),
        Err(OpenError::NotOurs { .. } | OpenError::UnknownFormat { .. }) => Ok(false),
        Err(OpenError::Unusable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(true)
        }
        Err(OpenError::Unusable { .. }) if path.is_file() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Checks that a directory without a state is not inside a state directory.
pub(crate) fn check_place(path: &Path) -> Result<(), OpenError> {
    // The path itself may be `.` or contain links.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if matches!(inspect(path), Ok(Contents::Ours(_))) {
        return Ok(());
    }
    match state_directory_around(&real) {
        None => Ok(()),
        Some(around) => Err(OpenError::InsideAnother {
            path: path.to_owned(),
            around,
        }),
    }
}
