//! The errors of opening a state directory, and of the storage of an open one.
//!
//! Nothing here knows the wire protocol. A refused request is a [`crate::Refusal`], not an error.

pub(crate) mod remedy;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;
use thiserror::Error as ThisError;

use crate::error::remedy::{errno_in, errno_of, remedy};

/// Why a state directory could not be opened.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the directory open for writing.
    #[error("{} is held by {holder}; {}, or use another directory", path.display(), holder.cure())]
    HeldByWriter {
        /// The state directory.
        path: PathBuf,
        /// The process that has it open.
        holder: Holder,
    },
    /// A command that only reads, such as `dump`, is copying the directory.
    #[error(
        "{} is being copied by another command, such as dump; wait until that command ends",
        path.display()
    )]
    HeldByReader {
        /// The state directory.
        path: PathBuf,
    },
    /// The directory has files that this program did not make.
    #[error(
        "{} is not an exactly-once state directory ({found}); name an empty or a new directory",
        path.display()
    )]
    NotOurs {
        /// The directory that was named.
        path: PathBuf,
        /// What was found there.
        found: String,
    },
    /// A new state cannot be made in the directory, as it has one.
    #[error("{} has a state already; name an empty or a new directory", path.display())]
    HasState {
        /// The directory that was named.
        path: PathBuf,
    },
    /// The directory is inside another state directory, whose files must not be mixed with others.
    #[error(
        "{} lies inside the state directory {}; name a place outside it",
        path.display(),
        around.display()
    )]
    InsideAnother {
        /// The directory that was named.
        path: PathBuf,
        /// The state directory that it is inside.
        around: PathBuf,
    },
    /// The directory has files that this program did not make, and the caller asked for a state.
    #[error(
        "{} is not an exactly-once state directory ({found}); name the directory that \
         `exactly-once run` or `serve` was given",
        path.display()
    )]
    NotAState {
        /// The directory that was named.
        path: PathBuf,
        /// What was found there.
        found: String,
    },
    /// The directory has no state, and the caller asked for an existing one.
    #[error(
        "{} holds no state yet; name the directory that `exactly-once run` or `serve` was given",
        path.display()
    )]
    NoState {
        /// The directory that was named.
        path: PathBuf,
    },
    /// The directory has a format that this program does not know.
    #[error(
        "{} has format {found}, but this program knows format {known}; use the version of the \
         program that wrote it",
        path.display()
    )]
    UnknownFormat {
        /// The state directory.
        path: PathBuf,
        /// The format that was found.
        found: String,
        /// The format that this program reads and writes.
        known: u32,
    },
    /// The directory has the format before the present one, which this program can only show,
    /// dump and upgrade.
    #[error(
        "{0} has format {found}, but this program writes format {known}; move it to that with \
         `exactly-once upgrade --data-dir {0}`, which keeps the old database",
        path.display()
    )]
    OldFormat {
        /// The state directory.
        path: PathBuf,
        /// The format of the directory.
        found: u32,
        /// The format that this program writes.
        known: u32,
    },
    /// The sentinel is an old one: it names no database or one that has been replaced, though
    /// replies have been given since.
    #[error(
        "the file sentinel of {} is older than the newest database there; put the newest sentinel \
         back and remove nothing",
        path.display()
    )]
    SentinelStale {
        /// The state directory.
        path: PathBuf,
    },
    /// The directory was in use, but its database is missing, empty or another one.
    #[error(
        "the database of {} is {found}, but the directory has been used; restore the file {} from \
         a copy, or name a new directory to start with an empty state",
        path.display(),
        file.display()
    )]
    DatabaseGone {
        /// The state directory.
        path: PathBuf,
        /// The database file.
        file: PathBuf,
        /// What was found: `missing`, `empty` or `not the one that was created`.
        found: &'static str,
    },
    /// The database ends before a group whose replies have been given.
    #[error(
        "{} has lost answered requests: {loss}; restore the directory from a copy, or go on \
         without them with run --accept-loss",
        path.display()
    )]
    AnsweredLost {
        /// The state directory.
        path: PathBuf,
        /// The end of the replies and the end of the database.
        loss: Loss,
    },
    /// The watermark is missing, damaged or of another database, so it is unknown whether this
    /// database has lost anything.
    #[error(
        "the watermark of {} is missing, damaged or of another database: {loss}; restore the \
         directory from a copy, or accept a possible loss with run --accept-loss",
        path.display()
    )]
    WatermarkUnusable {
        /// The state directory.
        path: PathBuf,
        /// The end of the database.
        loss: Loss,
    },
    /// The operating system refused a call that opening needs.
    #[error("{} cannot be used: {action} failed; {remedy}", path.display())]
    Unusable {
        /// The file or directory of the call.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system's error means, and what helps.
        remedy: String,
        /// The system's error.
        source: io::Error,
    },
    /// A damaged page on which nothing is stored. sled would fail when it moves the page, which
    /// could make only a part of a group durable.
    #[error(
        "a page of the database in {0} is damaged, but nothing is stored on it; run \
         `exactly-once compact --data-dir {0}`, which writes the database again without that page",
        path.display()
    )]
    EmptyPageDamaged {
        /// The state directory.
        path: PathBuf,
    },
    /// The directory's database could not be opened or read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The process that has a directory open, as far as the lock file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// The lock file names no process yet.
    Unknown,
    /// A process of this machine, by its process id.
    Here(u32),
    /// A process in another container or on another machine, where its process id is valid.
    Elsewhere {
        /// The name of its container or machine.
        host: String,
        /// Its process id there.
        pid: u32,
    },
}

impl Holder {
    fn cure(&self) -> &'static str {
        match self {
            Self::Here(pid) if *pid == std::process::id() => "use the engine that is open",
            _ => "stop that process",
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => write!(f, "another process"),
            Self::Here(pid) if *pid == std::process::id() => write!(f, "this process itself"),
            Self::Here(pid) => write!(f, "process {pid}"),
            Self::Elsewhere { host, pid } => write!(
                f,
                "a process in another container or on another machine, whose host name is {host:?} \
                 and where it is process {pid}"
            ),
        }
    }
}

/// The end of the replies and the end of a damaged database, each as the number of a group and the
/// journal's last position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The last group with replies; `None` if the watermark cannot be used.
    pub answered: Option<(u64, u64)>,
    /// The last group in the database.
    pub found: (u64, u64),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.answered {
            Some((group, position)) => {
                write!(
                    f,
                    "replies were given up to group {group}, position {position}"
                )?;
            }
            None => write!(f, "it is unknown up to which group replies were given")?,
        }
        let (group, position) = self.found;
        write!(
            f,
            ", and the database ends at group {group}, position {position}"
        )
    }
}

/// A failure of the storage of an open state directory. An engine that meets one while it changes
/// the state gives no more replies, and the next open decides what took effect. Only
/// [`StorageError::ViewGivenUp`] is not final.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum StorageError {
    /// The database reported an error. The group may or may not have become durable.
    #[error("the database failed while {action}; {remedy}, then start again")]
    Database {
        /// What was being done.
        action: &'static str,
        /// What the error means, and what helps.
        remedy: String,
        /// The database's own error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database panicked. The group may or may not have become durable.
    #[error(
        "the database panicked while {action} ({message}); {}, then start again",
        remedy(None, &io::Error::other(message.clone()))
    )]
    Panicked {
        /// What was being done.
        action: &'static str,
        /// The panic's message.
        message: String,
    },
    /// A call of the database or of the disk did not return. The group may or may not have become
    /// durable. Only a [`Handle`](crate::Handle) returns this: see [`crate::OnTimeout`].
    #[error(
        "the storage has been stuck for {} s while {action}; check the disk, then start again",
        limit.as_secs()
    )]
    Stuck {
        /// What was being done.
        action: &'static str,
        /// The time limit of the call.
        limit: Duration,
    },
    /// A thread could not be started. Nothing was changed.
    #[error(
        "a thread could not be started; raise the limit of threads (ulimit -u, or pids.max of the \
         container)"
    )]
    Thread(#[source] io::Error),
    /// The kernel could not make written data durable. The group may or may not have become
    /// durable.
    #[error(
        "the database file could not be made durable; {}, then start again",
        remedy(None, .0)
    )]
    Sync(#[source] io::Error),
    /// The database file has been removed while it was in use.
    #[error(
        "the database file was removed while it was in use; restore the directory from a copy, or \
         name a new directory"
    )]
    Removed,
    /// The watermark cannot be written. The group may or may not have become durable.
    #[error(
        "the watermark, which says up to which group replies have been given, cannot be written{}",
        of_watermark(.0.as_ref())
    )]
    Watermark(#[source] Box<dyn Error + Send + Sync>),
    /// The free space of the directory's disk could not be read.
    #[error("the free space of the disk could not be read; {}", remedy(None, .0))]
    Space(#[source] io::Error),
    /// Something on disk differs from what was written there.
    #[error(
        "{what} is damaged: expected {expected}, found {found}; restore the directory from a copy"
    )]
    Damaged {
        /// The thing that is damaged.
        what: String,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Too much has changed since the view was taken, or too many views are open. Only this view is
    /// affected.
    #[error(
        "the query took too long: more than {bytes} bytes of the data have changed since it began, \
         or too many queries are open; query again for less at a time, or read faster"
    )]
    ViewGivenUp {
        /// The most bytes of replaced data that are kept for views.
        bytes: usize,
    },
    /// Another clone of the handle has closed the directory. Nothing was changed.
    #[error("the directory was closed by this process; open it again")]
    Closed,
    /// An earlier call failed, so the state in memory is ahead of the disk.
    #[error("an earlier failure of the storage stopped this process; start it again")]
    Stopped,
}

/// Returns the remedy for a watermark that cannot be written, unless its error has one of its own.
fn of_watermark(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<OpenError>() {
        Some(_) => String::new(),
        None => format!("; {}, then start again", remedy(None, error)),
    }
}

impl StorageError {
    /// True if the system refused a call for a reason outside the directory, such as a limit. This
    /// says nothing about the stored data.
    pub(crate) fn is_of_system(&self) -> bool {
        let errno = match self {
            Self::Thread(_) | Self::Sync(_) | Self::Space(_) => return true,
            Self::Database { source, .. } => errno_of(source.as_ref()),
            Self::Panicked { message, .. } => errno_in(message),
            _ => None,
        };
        errno.is_some_and(|errno| errno != Errno::IO)
    }

    /// Returns the error for something damaged: what it is, what was expected and what was found.
    pub(crate) fn damaged(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Damaged {
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}
