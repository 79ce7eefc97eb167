//! Why something that was asked for cannot be shown.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::error::StorageError;
use crate::error::remedy::remedy;
use crate::inspect::output::LastOutput;

/// What to do where the log is not the one that a consumer has read.
const ANOTHER_LOG: &str = "\
    this is another directory, or it was put back from a copy: find the last output that the \
    consumer and the log both have, undo what was done with those after it, and go on after that \
    one";

/// Why something that was asked for cannot be shown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InspectError {
    /// There is no checkpoint of this name.
    #[error("there is no checkpoint {name:?}; `checkpoints list` shows those that there are")]
    UnknownCheckpoint {
        /// The name that was asked for.
        name: String,
    },
    /// The log of outputs is shorter: an offset of another directory, or of one that was put back.
    #[error(
        "there is no output {from}: {}; is it the directory that the offset is from?",
        end_of_log(*end)
    )]
    BeyondTheEnd {
        /// The offset that was asked for.
        from: u64,
        /// The offset that the next output will have.
        end: u64,
    },
    /// The log is shorter than what a consumer has read of it.
    #[error("the consumer has {last}, and {}; {ANOTHER_LOG}", end_of_log(*end))]
    LastOutputGone {
        /// What the consumer has.
        last: Box<LastOutput>,
        /// The offset that the next output will have.
        end: u64,
    },
    /// The log has another output where the consumer has one.
    #[error("the consumer has {last}, and the log has {found}; {ANOTHER_LOG}")]
    AnotherOutput {
        /// What the consumer has.
        last: Box<LastOutput>,
        /// What the log has at that offset.
        found: Box<LastOutput>,
    },
    /// Outputs were asked for from an offset and after an output at once.
    #[error("outputs can be asked for from an offset or after an output, not both; send one")]
    TwoBeginnings,
    /// A record cannot be said in JSON.
    #[error("a record could not be written as JSON")]
    NotJson(#[source] serde_json::Error),
    /// A dump could not be written.
    #[error("the dump could not be written; {}", remedy(None, .0))]
    Unwritten(#[source] io::Error),
    /// Something cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A handle, which gives the view, has met an error of the storage.
    #[error(transparent)]
    Handle(#[from] Arc<StorageError>),
}

fn end_of_log(end: u64) -> String {
    match end {
        0 => "the log is empty".to_owned(),
        _ => format!("the log ends before {end}"),
    }
}
