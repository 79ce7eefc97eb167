//! Why a dump could not be loaded.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::error::{OpenError, StorageError};

/// Why a dump could not be loaded. Nothing is left of the attempt.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is something in the directory already.
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
    /// A line is none of a dump.
    #[error("line {line} is no line of a dump ({reason}): {text}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
        /// How it begins.
        text: String,
    },
    /// There is no dump at all.
    #[error(
        "the input is empty, and a dump has at least its digest; did the command fail that was to \
         make it?"
    )]
    Empty,
    /// The dump ends before its digest.
    #[error(
        "the dump ends after {lines} lines without its digest: it is cut off, or only a part; make \
         it again, whole"
    )]
    CutOff {
        /// How many lines there are.
        lines: u64,
    },
    /// Something follows the end of the dump.
    #[error(
        "the dump ends with its digest in line {digest_line}, and more follows it ({text}); load \
         one dump at a time, with nothing after it"
    )]
    Trailing {
        /// The number of the digest's line, from 1.
        digest_line: u64,
        /// How what follows begins.
        text: String,
    },
    /// The dump does not begin as a whole one does.
    #[error(
        "the dump does not say what it is of: it is only a part (--only, --prefix, --limit); make \
         it again, whole"
    )]
    Partial,
    /// The dump is not what was written.
    #[error(
        "the dump has been changed since it was made: its digest says {expected}, and it has \
         {found}; make it again"
    )]
    Changed {
        /// What the digest says.
        expected: String,
        /// What the lines have.
        found: String,
    },
    /// The dump contradicts itself.
    #[error(
        "the dump contradicts itself, as a part of one does (--limit, --prefix): {what} {expected} \
         and {found}; make it again, whole"
    )]
    Contradiction {
        /// What is said in two places.
        what: &'static str,
        /// What one of them says.
        expected: String,
        /// What the other one says.
        found: String,
    },
    /// The disk is nearly full.
    #[error("{free_bytes} bytes are free on the disk, and {floor_bytes} are kept free; make room")]
    LowDisk {
        /// Bytes that are free.
        free_bytes: u64,
        /// Bytes that are kept free.
        floor_bytes: u64,
    },
    /// The new directory cannot be made or opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
