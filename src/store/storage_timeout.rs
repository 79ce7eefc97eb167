//! How long the storage may take over one call, and what is done when it takes longer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use crate::error::StorageError;

/// How long the storage may take over one call.
#[derive(Debug, Clone)]
pub struct StorageTimeout {
    /// Longer than any healthy disk takes to write and sync a megabyte or two; 60 seconds by
    /// default. An open may take longer, by a second for each 4 MB of the database.
    pub limit: Duration,
    /// What is done when a call takes longer.
    pub then: OnTimeout,
}

impl Default for StorageTimeout {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(60),
            then: OnTimeout::default(),
        }
    }
}

/// What is done when a call of the storage has taken too long, with [`StorageError::Stuck`], on a
/// thread of its own. By default the error is logged. A call that does not return cannot be taken
/// back: an [`Engine`](crate::Engine) goes on to wait for it, every call of a
/// [`Handle`](crate::Handle) fails with the error, and a program may end the process; nothing that
/// was answered is lost by that.
#[derive(Clone)]
pub struct OnTimeout(Arc<dyn Fn(&StorageError) + Send + Sync>);

impl OnTimeout {
    /// Does this, which may end the process.
    pub fn new(action: impl Fn(&StorageError) + Send + Sync + 'static) -> Self {
        Self(Arc::new(action))
    }

    pub(crate) fn stuck(&self, error: &StorageError) {
        (self.0)(error);
    }
}

impl Default for OnTimeout {
    fn default() -> Self {
        Self::new(|error| error!("{error}"))
    }
}

impl fmt::Debug for OnTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnTimeout")
    }
}
