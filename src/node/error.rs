//! Why a node ends before its input does.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::error::StorageError;

/// Why a node ended before its input did.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The input could not be read. Everything read before was carried out and answered.
    #[error("the input could not be read; what was read of it is carried out, so start it again")]
    Input(#[source] io::Error),
    /// The replies could not be written. What was applied is durable.
    #[error("the replies could not be written; all is durable, so start again and send it again")]
    Output(#[source] io::Error),
    /// The storage failed. What was not answered may or may not have taken effect.
    #[error(transparent)]
    Storage(#[from] Arc<StorageError>),
}

impl From<StorageError> for NodeError {
    fn from(error: StorageError) -> Self {
        Self::Storage(Arc::new(error))
    }
}
