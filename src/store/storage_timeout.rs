//! A limit on the time of one call of the storage, and what happens after it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use crate::error::StorageError;

/// How long one call of the storage may take, and what happens after that.
#[derive(Debug, Clone)]
pub struct StorageTimeout {
    /// The limit for one call; 60 seconds by default, longer than any healthy disk takes to write
    /// and sync one or two megabytes. Opening may take a second longer for each 4 MB of the
    /// database.
    pub limit: Duration,
    /// What happens when a call takes longer.
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

/// What happens when a call of the storage has taken too long: this is called with
/// [`StorageError::Stuck`] on another thread. By default it logs the error. A stuck call cannot be
/// cancelled: an [`Engine`](crate::Engine) goes on waiting for it, and every call of a
/// [`Handle`](crate::Handle) fails with the error. A program may end the process; nothing that was
/// in a reply is lost by that.
#[derive(Clone)]
pub struct OnTimeout(Arc<dyn Fn(&StorageError) + Send + Sync>);

impl OnTimeout {
    /// Calls `action`, which may end the process.
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
