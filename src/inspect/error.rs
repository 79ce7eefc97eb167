//! The error of a query or a dump.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::error::StorageError;
use crate::error::remedy::remedy;
use crate::inspect::output::LastOutput;

/// What to do if the output log is not the one that the consumer has read.
const ANOTHER_LOG: &str = "\
    this is another directory, or it was put back from a copy: find the last output that the \
    consumer and the log both have, undo what the consumer did with later ones, and go on after it";

/// The reason why a query failed or a dump could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InspectError {
    /// No checkpoint has this name.
    #[error("there is no checkpoint {name:?}; `checkpoints list` shows all of them")]
    UnknownCheckpoint {
        /// The name in the query.
        name: String,
    },
    /// The output log ends before this offset, which may be that of another directory, or of one
    /// that was put back from a copy.
    #[error(
        "there is no output {from}: {}; check that the offset is from this directory",
        end_of_log(*end)
    )]
    BeyondTheEnd {
        /// The offset in the query.
        from: u64,
        /// The offset that the next output will have.
        end: u64,
    },
    /// The output log ends before the last output that the consumer has read.
    #[error("the consumer has {last}, but {}; {ANOTHER_LOG}", end_of_log(*end))]
    LastOutputGone {
        /// The last output that the consumer has read.
        last: Box<LastOutput>,
        /// The offset that the next output will have.
        end: u64,
    },
    /// The output log has another output at the offset of the consumer's last one.
    #[error("the consumer has {last}, but the log has {found}; {ANOTHER_LOG}")]
    AnotherOutput {
        /// The last output that the consumer has read.
        last: Box<LastOutput>,
        /// The output at that offset in the log.
        found: Box<LastOutput>,
    },
    /// A query for outputs has both a first offset and an output to continue after.
    #[error("outputs can be asked for from an offset or after an output, not both; send one")]
    TwoBeginnings,
    /// A record could not be written as JSON.
    #[error("a record could not be written as JSON")]
    NotJson(#[source] serde_json::Error),
    /// A dump could not be written to its destination.
    #[error("the dump could not be written; {}", remedy(None, .0))]
    Unwritten(#[source] io::Error),
    /// Something stored could not be read, or the view was given up.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The handle that was to give the view has failed with this error of the storage.
    #[error(transparent)]
    Handle(#[from] Arc<StorageError>),
}

fn end_of_log(end: u64) -> String {
    match end {
        0 => "the log is empty".to_owned(),
        _ => format!("the log ends before {end}"),
    }
}
