//! Why a dump could not be loaded.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::error::{OpenError, StorageError};

/// The reason why a dump could not be loaded. The directory is then as it was before.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The directory has a state or other files.
    #[error(
        "{} is not empty; name a directory that does not exist yet, or an empty one",
        path.display()
    )]
    NotEmpty {
        /// The directory that was named.
        path: PathBuf,
    },
    /// The dump could not be read.
    #[error("the dump could not be read")]
    Input(#[source] io::Error),
    /// A line is not one of a dump.
    #[error("line {line} is not a line of a dump ({reason}): {text}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
        /// Its first characters.
        text: String,
    },
    /// The input is empty.
    #[error(
        "the input is empty, but a dump has at least its digest; check that the command that makes \
         it succeeded"
    )]
    Empty,
    /// The dump ends before its digest.
    #[error(
        "the dump ends after {lines} lines without its digest: it was cut off, or is only a part; \
         make a whole one"
    )]
    CutOff {
        /// Number of its lines.
        lines: u64,
    },
    /// The digest is followed by more than blank lines.
    #[error(
        "the dump ends with its digest in line {digest_line}, but more follows it ({text}); load \
         one dump at a time, with nothing after it"
    )]
    Trailing {
        /// The number of the digest's line, from 1.
        digest_line: u64,
        /// The first characters after it.
        text: String,
    },
    /// The dump does not begin with the section `meta`.
    #[error(
        "the dump does not begin with its section meta: it is only a part (--only, --prefix, \
         --limit); make a whole one"
    )]
    Partial,
    /// The lines of the dump do not have its digest.
    #[error(
        "the dump was changed after it was made: its digest says {expected}, but it has {found}; \
         make a new one"
    )]
    Changed {
        /// The number and the hash of its lines, as the digest says.
        expected: String,
        /// The number and the hash of its lines, as they are.
        found: String,
    },
    /// The dump contradicts itself.
    #[error(
        "the dump contradicts itself, as a part of one can (--limit, --prefix): {what}: expected \
         {expected}, found {found}; make a whole one"
    )]
    Contradiction {
        /// The figure that two places of the dump give.
        what: &'static str,
        /// The figure in one of them.
        expected: String,
        /// The figure in the other one.
        found: String,
    },
    /// The disk is nearly full.
    #[error("the disk has {free_bytes} bytes free, and {floor_bytes} must stay free; make room")]
    LowDisk {
        /// Bytes that are free.
        free_bytes: u64,
        /// Bytes that must stay free.
        floor_bytes: u64,
    },
    /// The directory cannot be made or opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
