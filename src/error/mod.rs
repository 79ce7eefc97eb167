//! How opening a state directory, and the storage below an open one, can fail.
//!
//! Nothing here knows the wire protocol; a refused request is a [`crate::Refusal`], not an error.

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
    /// Another process is writing to the directory.
    #[error("{} is held by {holder}; {}, or use another directory", path.display(), holder.cure())]
    HeldByWriter {
        /// The state directory.
        path: PathBuf,
        /// The process that writes to it.
        holder: Holder,
    },
    /// A command that only reads, such as `dump`, is copying the directory.
    #[error(
        "{} is being copied by another command (dump, for example); wait until that one ends",
        path.display()
    )]
    HeldByReader {
        /// The state directory.
        path: PathBuf,
    },
    /// The directory holds files that are not ours.
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
    /// The directory would be inside another state directory, whose files must not be mixed with
    /// others.
    #[error(
        "{} lies inside the state directory {}; name a place outside it",
        path.display(),
        around.display()
    )]
    InsideAnother {
        /// The directory that was named.
        path: PathBuf,
        /// The state directory around it.
        around: PathBuf,
    },
    /// The directory holds files that are not ours, and the caller asked for an existing one.
    #[error(
        "{} is not an exactly-once state directory ({found}); name the directory that \
         `exactly-once run` was given",
        path.display()
    )]
    NotAState {
        /// The directory that was named.
        path: PathBuf,
        /// What was found there.
        found: String,
    },
    /// There is no state at all, and the caller asked for an existing one.
    #[error(
        "{} holds no state yet; name the directory that `exactly-once run` was given",
        path.display()
    )]
    NoState {
        /// The directory that was named.
        path: PathBuf,
    },
    /// The directory was written in a format this program does not know.
    #[error(
        "{} has format {found}, and this program knows format {known}; use the program that \
         wrote it",
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
    /// The directory was written in the format before, in which it can only be looked at.
    #[error(
        "{0} has format {found}, and this program writes format {known}; move it with \
         `exactly-once dump --incidentals --data-dir {0} | exactly-once load --data-dir NEW`",
        path.display()
    )]
    OldFormat {
        /// The state directory.
        path: PathBuf,
        /// The format that was found.
        found: u32,
        /// The format that this program writes.
        known: u32,
    },
    /// The sentinel is an older one: it names a database that another one has taken the place of,
    /// or none, though something has been answered since.
    #[error(
        "the file sentinel of {} is older than the newest database there; put the newest sentinel \
         back, and remove nothing",
        path.display()
    )]
    SentinelStale {
        /// The state directory.
        path: PathBuf,
    },
    /// The directory was in use, but its database is gone or empty.
    #[error(
        "the database of {} is {found}, though the directory was in use; restore {} from a copy, \
         or name a new directory to start from nothing",
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
    /// The database opens as it was before something that was answered.
    #[error(
        "{} has lost what was answered: {loss}; restore it from a copy, or go on without what is \
         gone with run --accept-loss",
        path.display()
    )]
    AnsweredLost {
        /// The state directory.
        path: PathBuf,
        /// How much is gone.
        loss: Loss,
    },
    /// The file that says how far answers have been given is missing, damaged or of another
    /// database, so that nobody can tell whether this one has lost anything.
    #[error(
        "the watermark of {} is missing, damaged or of another database: {loss}; restore the \
         directory from a copy, or go on with run --accept-loss",
        path.display()
    )]
    WatermarkUnusable {
        /// The state directory.
        path: PathBuf,
        /// How far the database goes.
        loss: Loss,
    },
    /// The operating system refused something that opening needs.
    #[error("{} cannot be used: {action} failed; {remedy}", path.display())]
    Unusable {
        /// The file or directory in question.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the reason means, and what helps.
        remedy: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A page of the database is damaged on which nothing is stored. To go on with it could make
    /// a part of a group durable, as sled fails when it moves the page.
    #[error(
        "a page of the database in {0} is damaged; nothing is stored on that page, so \
         `exactly-once compact --data-dir {0}` writes the directory anew without it",
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

/// The process that holds a directory, as far as it has said in the lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// It has said nothing yet.
    Unknown,
    /// A process of this machine, by its id here.
    Here(u32),
    /// A process in another container or on another machine: its id there says nothing here.
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

/// How far answers were given, and how far a damaged database still goes. Each is a group of
/// requests and the journal's last position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The last group that was answered; `None` if the watermark is gone too.
    pub answered: Option<(u64, u64)>,
    /// The last group that is there.
    pub found: (u64, u64),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.answered {
            Some((group, position)) => {
                write!(
                    f,
                    "answers were given up to group {group}, position {position}"
                )?;
            }
            None => write!(f, "nobody can tell how far answers were given")?,
        }
        let (group, position) = self.found;
        write!(
            f,
            ", and the database ends at group {group}, position {position}"
        )
    }
}

/// A failure of the storage below an open state directory. All but [`StorageError::ViewGivenUp`]
/// are final for an engine that meets them while it changes the state: it answers nothing more,
/// and the next open decides what took effect.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum StorageError {
    /// The database reported an error. The group in hand may or may not have become durable.
    #[error("the database failed while {action}; {remedy}, then start again")]
    Database {
        /// What was being done.
        action: &'static str,
        /// What the error means, and what helps.
        remedy: String,
        /// The database's own error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database panicked. The group in hand may or may not have become durable.
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
    /// A call of the database or of the disk did not return. The group in hand may or may not have
    /// become durable. Only a [`Handle`](crate::Handle) returns this: see [`crate::OnTimeout`].
    #[error(
        "the storage has been stuck for {} s while {action}; check the disk, and start again",
        limit.as_secs()
    )]
    Stuck {
        /// What was being done.
        action: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A thread could not be started. Nothing was changed by that.
    #[error(
        "a thread could not be started; raise the limit of threads (ulimit -u, or pids.max of the \
         container)"
    )]
    Thread(#[source] io::Error),
    /// The kernel could not make written data durable. The group in hand may or may not survive.
    #[error(
        "the database file could not be made durable; {}, then start again",
        remedy(None, .0)
    )]
    Sync(#[source] io::Error),
    /// The database file has been removed while it was in use.
    #[error(
        "the database file was removed while it was in use; put the directory back from a copy, or \
         name a new one"
    )]
    Removed,
    /// The file that says how far answers have been given cannot be written. The group in hand may
    /// or may not survive.
    #[error(
        "the watermark, which says how far answers have been given, cannot be written{}",
        of_watermark(.0.as_ref())
    )]
    Watermark(#[source] Box<dyn Error + Send + Sync>),
    /// The disk of the state directory did not say how much of it is free.
    #[error("the free space of the disk could not be read; {}", remedy(None, .0))]
    Space(#[source] io::Error),
    /// Something on disk is not what was written there.
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
    /// What was being looked at has changed too much since. Nothing else is touched by that.
    #[error(
        "the answer took too long: more than {bytes} bytes of what was asked about have changed \
         since, or too many questions wait; ask again, for less at a time, or read faster"
    )]
    ViewGivenUp {
        /// How much is kept of what was.
        bytes: usize,
    },
    /// Another clone of the handle has closed the directory. Nothing was changed.
    #[error("the directory was closed by this process; open it again")]
    Closed,
    /// An earlier call failed, so that the state in memory is ahead of the disk.
    #[error("an earlier failure of the storage stopped this process; start it again")]
    Stopped,
}

/// The remedy of a watermark that cannot be written, if its error does not have one of its own.
fn of_watermark(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<OpenError>() {
        Some(_) => String::new(),
        None => format!("; {}, then start again", remedy(None, error)),
    }
}

impl StorageError {
    /// Whether the system refused something for a reason that lies outside the directory, as a
    /// limit does: that says nothing about what is stored.
    pub(crate) fn is_of_system(&self) -> bool {
        let errno = match self {
            Self::Thread(_) | Self::Sync(_) | Self::Space(_) => return true,
            Self::Database { source, .. } => errno_of(source.as_ref()),
            Self::Panicked { message, .. } => errno_in(message),
            _ => None,
        };
        errno.is_some_and(|errno| errno != Errno::IO)
    }

    /// What was found damaged, what should be there, and what is.
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
