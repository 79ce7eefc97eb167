//! The databases of a state directory, called generations: their folders and their files.
//!
//! ```text
//! db, conf, snap.*, blobs/, watermark                 generation 0, at the top of the directory
//! generation-1/{db, conf, snap.*, blobs/, watermark}  generation 1, and so on, with a marker
//! ```
//!
//! A first start makes generation 0. A compaction or a load builds the next one in a folder of its
//! own, and the sentinel names it once it is whole. The lock and the socket stay at the top of the
//! directory. This module does not know which generation the sentinel names.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::store::directory::files::unusable;
use crate::store::directory::watermark::{NEW_WATERMARK, WATERMARK, Watermark};

/// The name of sled's database file.
pub(crate) const DATABASE: &str = "db";
/// The name of the file with sled's settings.
pub(crate) const CONFIG: &str = "conf";
/// The name of sled's folder for values that are too large for its log.
pub(crate) const BLOBS: &str = "blobs";

const FOLDER_PREFIX: &str = "generation-";
/// The name of a file in the folder of each generation but 0. A folder without it was made by
/// something else.
const MARKER: &str = "exactly-once.generation";
/// Generation numbers are below this, as there cannot be this many compactions.
const MAX_GENERATION: u64 = 1 << 48;
const SNAPSHOT_PREFIX: &str = "snap.";
/// The ending of a snapshot file of sled's that is not finished.
const UNFINISHED_SNAPSHOT: &str = "generating";

/// The number of a database of a directory, in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(pub(crate) u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Generation {
    /// The generation of a directory that was neither compacted nor loaded from a dump.
    pub(crate) const FIRST: Self = Self(0);

    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub(crate) fn folder(self, directory: &Path) -> PathBuf {
        match self {
            Self::FIRST => directory.to_owned(),
            Self(number) => directory.join(format!("{FOLDER_PREFIX}{number}")),
        }
    }

    /// The generation whose folder has this name, if any.
    fn of_folder(name: &OsStr) -> Option<Self> {
        let number = name.to_str()?.strip_prefix(FOLDER_PREFIX)?;
        let generation = Self(number.parse().ok()?);
        // Only this program's spelling counts, not generation-01, and only possible numbers.
        let is_spelled_so = generation.0.to_string() == number;
        let is_possible = generation != Self::FIRST && generation.0 < MAX_GENERATION;
        (is_spelled_so && is_possible).then_some(generation)
    }

    /// The generations of a directory, in order: those whose folder has the marker, and the first
    /// one if it has a file.
    pub(crate) fn all(directory: &Path) -> Result<Vec<Self>, OpenError> {
        let mut found = Self::with_folders(directory)?;
        found.retain(|generation| generation.folder(directory).join(MARKER).is_file());
        if !own_files(directory)?.is_empty() {
            found.push(Self::FIRST);
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The first one after this one and after all that have a folder.
    pub(crate) fn next_free(self, directory: &Path) -> Result<Self, OpenError> {
        let last = Self::with_folders(directory)?.into_iter().max();
        let mut free = last.unwrap_or(self).max(self).next();
        // A link or a file may have the name of the folder.
        while fs::symlink_metadata(free.folder(directory)).is_ok() {
            free = free.next();
        }
        Ok(free)
    }

    /// Makes its folder, which must not exist, and the marker in it.
    pub(crate) fn make_folder(self, directory: &Path) -> Result<(), OpenError> {
        let folder = self.folder(directory);
        fs::create_dir(&folder).map_err(unusable(&folder, "creating the directory"))?;
        let made = File::create_new(folder.join(MARKER));
        if made.is_err() {
            self.remove_empty_folder(directory);
        }
        made.map(drop)
            .map_err(unusable(&folder, "making a file in it"))
    }

    /// Removes its folder if it is empty: a process may have been killed just after making it.
    pub(crate) fn remove_empty_folder(self, directory: &Path) {
        if self != Self::FIRST {
            fs::remove_dir(self.folder(directory)).unwrap_or_default();
        }
    }

    /// The generations whose folders exist and are not links.
    fn with_folders(directory: &Path) -> Result<Vec<Self>, OpenError> {
        let reading = || unusable(directory, "reading the directory");
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).map_err(reading())? {
            let entry = entry.map_err(reading())?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.extend(Self::of_folder(&entry.file_name()));
            }
        }
        Ok(found)
    }

    /// True if nothing has been answered from it since it was built. A build ends by writing both
    /// slots of the watermark alike, and the first answered group changes one of them.
    pub(crate) fn was_never_used(self, directory: &Path) -> Result<bool, OpenError> {
        let [even, odd] = Watermark::slots(&self.folder(directory))?;
        Ok(even == odd)
    }

    /// Bytes of its files.
    pub(crate) fn bytes(self, directory: &Path) -> Result<u64, OpenError> {
        let files = own_files(&self.folder(directory))?;
        let bytes = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
        Ok(files.iter().map(bytes).sum())
    }

    /// Removes its files, by their names, and its folder if nothing else is in it.
    pub(crate) fn remove(self, directory: &Path) -> Result<(), OpenError> {
        let folder = self.folder(directory);
        for path in own_files(&folder)? {
            gone(fs::remove_file(&path)).map_err(unusable(&path, "removing it"))?;
        }
        // Removing a folder fails if other files are in it, and these must stay.
        fs::remove_dir(folder.join(BLOBS)).unwrap_or_default();
        if self != Self::FIRST {
            fs::remove_dir(&folder).unwrap_or_default();
        }
        Ok(())
    }

    /// The files in its folder that [`Generation::remove`] leaves, as they are not of a database.
    pub(crate) fn other_files(self, directory: &Path) -> Result<Vec<OsString>, OpenError> {
        if self == Self::FIRST {
            return Ok(Vec::new());
        }
        let folder = self.folder(directory);
        let own = own_files(&folder)?;
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let others = entries.filter(|entry| !own.contains(&entry.path()));
        let names = others.map(|entry| entry.file_name());
        Ok(names.filter(|name| name != BLOBS).collect())
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The files of the database in a folder, found by their names.
fn own_files(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut files = sled_snapshot_files(folder)?;
    files.retain(|path| path.file_name().is_some_and(is_snapshot_of_sled));
    let blobs = blob_files(folder)?.into_iter();
    let blobs = blobs.filter(|name| name.to_str().is_some_and(|n| n.parse::<i64>().is_ok()));
    files.extend(blobs.map(|name| folder.join(BLOBS).join(name)));
    // The watermark comes first: without it, a half-removed generation is not taken for a complete
    // one.
    let named = [WATERMARK, NEW_WATERMARK, DATABASE, CONFIG].map(|name| folder.join(name));
    let named = named.into_iter().filter(|path| path.is_file());
    // The marker comes last: without it, the rest would not be found.
    let marker = Some(folder.join(MARKER)).filter(|path| path.is_file());
    Ok(named.chain(files).chain(marker).collect())
}

/// True if sled gives this name to a snapshot file: 16 hexadecimal digits, and an ending while it
/// is unfinished.
fn is_snapshot_of_sled(name: &OsStr) -> bool {
    let name = name
        .to_str()
        .and_then(|name| name.strip_prefix(SNAPSHOT_PREFIX));
    let digits = name.map(|name| name.split_once('.').unwrap_or((name, UNFINISHED_SNAPSHOT)));
    digits.is_some_and(|(digits, ending)| {
        let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.len() == 16 && is_hexadecimal && ending == UNFINISHED_SNAPSHOT
    })
}

/// The names of the files in [`BLOBS`].
pub(crate) fn blob_files(folder: &Path) -> Result<Vec<OsString>, OpenError> {
    let blobs = folder.join(BLOBS);
    let reading = || unusable(&blobs, "reading the directory");
    let entries = match fs::read_dir(&blobs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(reading())?,
    };
    entries
        .map(|entry| Ok(entry.map_err(reading())?.file_name()))
        .collect()
}

/// sled's own snapshot files in a folder, finished or not.
fn sled_snapshot_files(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let reading = || unusable(folder, "reading the directory");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(reading())? {
        let entry = entry.map_err(reading())?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(SNAPSHOT_PREFIX)
        {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn is_unfinished(snapshot: &Path) -> bool {
    snapshot
        .extension()
        .is_some_and(|extension| extension == UNFINISHED_SNAPSHOT)
}

/// The snapshot files in a folder that sled has finished.
pub(crate) fn finished_sled_snapshots(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut files = sled_snapshot_files(folder)?;
    files.retain(|path| !is_unfinished(path));
    Ok(files)
}

/// Removes the snapshot files that sled had not finished when the process was killed. sled never
/// needs them, and every later open of sled would fail on one (sled issues 1527 and 1533).
pub(crate) fn remove_unfinished_sled_snapshots(folder: &Path) -> Result<(), OpenError> {
    for path in sled_snapshot_files(folder)?
        .into_iter()
        .filter(|path| is_unfinished(path))
    {
        fs::remove_file(&path).map_err(unusable(&path, "removing it"))?;
    }
    Ok(())
}
