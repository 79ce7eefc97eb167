//! The state directory around the database: its lock, its sentinel, and what must be done to
//! its files before sled may open them.
//!
//! ```text
//! lock       who writes here; locked with flock
//! sentinel   "exactly-once FORMAT STAGE": stage `creating` until the first database is durable,
//!            then `ready`
//! watermark  how far answers have been given
//! db, conf, snap.*, blobs/   sled's own
//! ```
//!
//! The sentinel is what tells an empty new directory from one whose database was lost: sled
//! itself opens a missing or empty `db` as a fresh database, and every event would be counted
//! a second time.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{OpenError, StorageError};
use crate::store::files::{create_directory, replace_file, sync, unusable};
use crate::store::lock::{LOCK, Lock};
use crate::store::watermark::{Mark, Watermark};

/// The format of the directory and of everything in its database.
pub(crate) const FORMAT: u32 = 4;

const SENTINEL: &str = "sentinel";
const NEW_SENTINEL: &str = "sentinel.new";
const MAGIC: &str = "exactly-once";
pub(super) const DATABASE: &str = "db";
const CONFIG: &str = "conf";
const BLOBS: &str = "blobs";

/// How far a directory's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The first start has not made the database durable yet, so nothing was ever answered.
    Creating,
    /// The database exists, and has to be there at every start.
    Ready,
}

/// What is in a directory.
#[derive(Debug, PartialEq, Eq)]
enum Contents {
    Empty,
    Ours(Stage),
}

/// A state directory that this process alone may write to, for as long as this lives.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    stage: Stage,
    _lock: Lock,
}

/// A state directory that nobody writes to, for as long as this lives.
#[derive(Debug)]
pub(super) struct RestingDirectory {
    path: PathBuf,
    _lock: Lock,
}

impl Directory {
    /// Locks a directory to write to it, and creates it if it does not exist, unless it must.
    pub(super) fn lock(path: &Path, must_exist: bool) -> Result<Self, OpenError> {
        if must_exist {
            check_state(path)?;
        }
        create_directory(path)?;
        // Looked at before anything is created in it: a foreign directory stays as it is.
        inspect(path)?;
        let lock = Lock::for_writing(path)?;
        let stage = match inspect(path)? {
            Contents::Empty => {
                write_sentinel(path, Stage::Creating)?;
                Stage::Creating
            }
            Contents::Ours(stage) => stage,
        };
        Ok(Self {
            path: path.to_owned(),
            stage,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the database has yet to be created.
    pub(super) fn is_new(&self) -> bool {
        self.stage == Stage::Creating
    }

    /// Makes the directory's files safe for sled to open, and returns our own handle on the
    /// database file.
    ///
    /// The handle is opened before sled's, so that an error of any later write-back is reported
    /// to it, and kept for the life of the store, as every durability rests on syncing it. A
    /// second handle is harmless: sled locks with flock, which knows handles and not processes.
    pub(super) fn prepare(&self) -> Result<File, OpenError> {
        match self.stage {
            // A start that was killed here has answered nothing, so its leftovers are nothing.
            Stage::Creating => {
                check_never_answered(&self.path)?;
                self.remove_database()?;
            }
            Stage::Ready => check_database(&self.path)?,
        }
        self.remove_generating_snapshots()?;
        let path = self.path.join(DATABASE);
        let mut options = File::options();
        options
            .read(true)
            .write(true)
            .create(self.stage == Stage::Creating);
        let file = options
            .open(&path)
            .map_err(unusable(&path, "opening it to write"))?;
        // The pages of a killed process may be in the page cache only. sled's recovery writes a
        // snapshot that refers to them, and our first reply may rest on them.
        file.sync_data().map_err(StorageError::Sync)?;
        Ok(file)
    }

    /// Marks the database as created, once it is durable with all that names it.
    pub(super) fn finish_creation(&mut self, mark: Mark) -> Result<(), OpenError> {
        if self.stage == Stage::Ready {
            return Ok(());
        }
        Watermark::replace(&self.path, mark)?;
        // sled never syncs these. Their names must survive a power cut before anything is
        // answered, and the sentinel must not survive without them.
        sync(&self.path.join(CONFIG))?;
        sync(&self.path)?;
        write_sentinel(&self.path, Stage::Ready)?;
        self.stage = Stage::Ready;
        Ok(())
    }

    fn remove_database(&self) -> Result<(), OpenError> {
        let removed = |path: PathBuf, result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(
                &path,
                "removing what an unfinished first start left",
            )(error)),
            _ => Ok(()),
        };
        for name in [DATABASE, CONFIG] {
            let path = self.path.join(name);
            removed(path.clone(), fs::remove_file(path))?;
        }
        let blobs = self.path.join(BLOBS);
        removed(blobs.clone(), fs::remove_dir_all(blobs))?;
        for path in snapshot_files(&self.path)? {
            removed(path.clone(), fs::remove_file(path))?;
        }
        Ok(())
    }

    /// A process killed while sled opens leaves `snap.*.generating`, and every later open of
    /// sled fails on it (sled issues 1527 and 1533). sled never needs such a file.
    fn remove_generating_snapshots(&self) -> Result<(), OpenError> {
        for path in snapshot_files(&self.path)? {
            if path
                .extension()
                .is_some_and(|extension| extension == "generating")
            {
                fs::remove_file(&path).map_err(unusable(&path, "removing it"))?;
            }
        }
        Ok(())
    }
}

impl RestingDirectory {
    /// Locks an existing state directory against writers, without changing a byte of it.
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        Self::locked(path, Lock::for_reading)
    }

    /// Locks an existing state directory against everybody else.
    pub(super) fn lock_alone(path: &Path) -> Result<Self, OpenError> {
        Self::locked(path, Lock::for_writing)
    }

    fn locked(
        path: &Path,
        take: impl FnOnce(&Path) -> Result<Lock, OpenError>,
    ) -> Result<Self, OpenError> {
        check_state(path)?;
        let no_state = || OpenError::NoState {
            path: path.to_owned(),
        };
        let lock = take(path)?;
        match inspect(path)? {
            Contents::Ours(Stage::Ready) => check_database(path).map(|()| Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Contents::Ours(Stage::Creating) => {
                check_never_answered(path).and_then(|()| Err(no_state()))
            }
            Contents::Empty => Err(no_state()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The files in sled's folder for what is too large for its log.
    pub(super) fn blob_files(&self) -> Result<Vec<OsString>, OpenError> {
        let blobs = self.path.join(BLOBS);
        let reading = || unusable(&blobs, "reading the directory");
        match fs::read_dir(&blobs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            entries => entries
                .map_err(reading())?
                .map(|entry| Ok(entry.map_err(reading())?.file_name()))
                .collect(),
        }
    }

    /// The database's files, as they must be copied: `db`, `conf` and sled's finished snapshots.
    pub(super) fn database_files(&self) -> Result<Vec<PathBuf>, OpenError> {
        let mut files = vec![self.path.join(DATABASE)];
        // sled makes it again where it is missing.
        files.extend(Some(self.path.join(CONFIG)).filter(|path| path.exists()));
        let snapshots = snapshot_files(&self.path)?.into_iter();
        files.extend(snapshots.filter(|path| path.extension().is_none_or(|e| e != "generating")));
        Ok(files)
    }
}

/// Checks that a directory exists and has a state, or will have one.
fn check_state(path: &Path) -> Result<(), OpenError> {
    let no_state = || OpenError::NoState {
        path: path.to_owned(),
    };
    match inspect(path) {
        Ok(Contents::Ours(_)) => Ok(()),
        Ok(Contents::Empty) => Err(no_state()),
        Err(OpenError::Unusable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(no_state())
        }
        Err(error) => Err(error),
    }
}

/// Finds out whose directory it is.
fn inspect(path: &Path) -> Result<Contents, OpenError> {
    let sentinel = path.join(SENTINEL);
    match fs::read_to_string(&sentinel) {
        Ok(text) => parse_sentinel(path, &text).map(Contents::Ours),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let reading = || unusable(path, "reading the directory");
            for entry in fs::read_dir(path).map_err(reading())? {
                let name = entry.map_err(reading())?.file_name();
                if name == SENTINEL {
                    // Another process has just made it.
                    return inspect(path);
                }
                if name != LOCK && name != NEW_SENTINEL {
                    let found = format!("it holds {name:?} and no file named {SENTINEL:?}");
                    return Err(OpenError::NotOurs {
                        path: path.to_owned(),
                        found,
                    });
                }
            }
            Ok(Contents::Empty)
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let found = format!("its file {SENTINEL:?} is not text");
            Err(OpenError::NotOurs {
                path: path.to_owned(),
                found,
            })
        }
        Err(error) => Err(unusable(&sentinel, "reading it")(error)),
    }
}

fn parse_sentinel(path: &Path, text: &str) -> Result<Stage, OpenError> {
    let not_ours = || OpenError::NotOurs {
        path: path.to_owned(),
        found: format!(
            "its file {SENTINEL:?} says {:?}",
            text.chars().take(80).collect::<String>()
        ),
    };
    let mut words = text.split_ascii_whitespace();
    let (Some(MAGIC), Some(format)) = (words.next(), words.next()) else {
        return Err(not_ours());
    };
    if format != FORMAT.to_string() {
        let found = format.to_owned();
        return Err(OpenError::UnknownFormat {
            path: path.to_owned(),
            found,
            known: FORMAT,
        });
    }
    match (words.next(), words.next()) {
        (Some("creating"), None) => Ok(Stage::Creating),
        (Some("ready"), None) => Ok(Stage::Ready),
        _ => Err(not_ours()),
    }
}

fn write_sentinel(path: &Path, stage: Stage) -> Result<(), OpenError> {
    let stage = match stage {
        Stage::Creating => "creating",
        Stage::Ready => "ready",
    };
    let text = format!("{MAGIC} {FORMAT} {stage}\n");
    replace_file(path, SENTINEL, NEW_SENTINEL, text.as_bytes())
}

/// An old sentinel may say of a directory in use that it is only being created.
fn check_never_answered(path: &Path) -> Result<(), OpenError> {
    match Watermark::read(path)? {
        Some(Mark { group: 1.., .. }) => Err(OpenError::SentinelStale {
            path: path.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// sled opens a missing or empty database as a fresh one.
fn check_database(path: &Path) -> Result<(), OpenError> {
    let file = path.join(DATABASE);
    let found = match fs::metadata(&file) {
        Ok(metadata) if metadata.len() > 0 => return Ok(()),
        Ok(_) => "empty",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "missing",
        Err(error) => return Err(unusable(&file, "reading its size")(error)),
    };
    Err(OpenError::DatabaseGone {
        path: path.to_owned(),
        file,
        found,
    })
}

/// The error of a database that sled opens as an empty one.
pub(super) fn database_is_foreign(path: &Path) -> OpenError {
    OpenError::DatabaseGone {
        path: path.to_owned(),
        file: path.join(DATABASE),
        found: "not the one that was created",
    }
}

fn snapshot_files(path: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let reading = || unusable(path, "reading the directory");
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(reading())? {
        let entry = entry.map_err(reading())?;
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
