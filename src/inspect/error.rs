//! Why something that was asked for cannot be shown.

use thiserror::Error;

use crate::error::StorageError;

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
        "there is no output {from}: the log ends before {end}; \
         is it the directory that the offset is from?"
    )]
    BeyondTheEnd {
        /// The offset that was asked for.
        from: u64,
        /// The offset that the next output will have.
        end: u64,
    },
    /// A record cannot be said in JSON.
    #[error("a record could not be written as JSON")]
    Unspeakable(#[source] serde_json::Error),
    /// Something cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
