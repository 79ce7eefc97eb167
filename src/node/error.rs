//! Errors that end a node before its input ends.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::error::StorageError;

/// Why a node ended before its input did.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The input could not be read. Every request read before was carried out and answered.
    #[error(
        "the input could not be read; every request read before is durable, so start again and \
         send the rest"
    )]
    Input(#[source] io::Error),
    /// The replies could not be written. Everything that was applied is durable.
    #[error(
        "the replies could not be written; start again and send the unanswered requests again, as \
         an event that is already durable is not counted again"
    )]
    Output(#[source] io::Error),
    /// The storage failed. Unanswered requests may or may not have taken effect.
    #[error(transparent)]
    Storage(#[from] Arc<StorageError>),
}

impl From<StorageError> for NodeError {
    fn from(error: StorageError) -> Self {
        Self::Storage(Arc::new(error))
    }
}
