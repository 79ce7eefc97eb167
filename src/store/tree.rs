//! Reading one tree of the database: sled's errors and panics become ours, and iterators end.

use std::ops::RangeBounds;

use sled::IVec;

use crate::error::StorageError;
use crate::store::handle::{Handle, call};
use crate::store::sled_db::failed;
use crate::store::watchdog::Watchdog;

const READING: &str = "reading";

/// A key and its value.
pub(super) type KeyValue = (IVec, IVec);

/// One tree of the database.
#[derive(Debug, Clone)]
pub(super) struct Tree(Handle<sled::Tree>);

impl Tree {
    pub(super) fn new(tree: sled::Tree, watchdog: Watchdog) -> Self {
        Self(Handle::new(tree, watchdog))
    }

    /// sled's own handle, for a transaction.
    pub(super) fn sled(&self) -> &sled::Tree {
        &self.0
    }

    /// Puts one entry in, which is atomic as it is.
    pub(super) fn insert(
        &self,
        action: &'static str,
        key: impl AsRef<[u8]>,
        value: &[u8],
    ) -> Result<(), StorageError> {
        self.0.call(action, |tree| {
            tree.insert(key, value).map(drop).map_err(failed(action))
        })
    }

    /// The value of a key.
    pub(super) fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<IVec>, StorageError> {
        self.0
            .call(READING, |tree| tree.get(key).map_err(failed(READING)))
    }

    /// The last entry whose key is not above this one.
    pub(super) fn last_up_to(&self, key: [u8; 8]) -> Result<Option<KeyValue>, StorageError> {
        self.0.call(READING, |tree| {
            tree.range(..=key)
                .next_back()
                .transpose()
                .map_err(failed(READING))
        })
    }

    /// The entries whose keys are in a range, in order.
    pub(super) fn range<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> Entries {
        self.entries(self.0.range(keys))
    }

    /// The entries whose keys begin with a number, in order.
    pub(super) fn with_prefix(&self, prefix: u64) -> Entries {
        self.entries(self.0.scan_prefix(prefix.to_be_bytes()))
    }

    /// Every entry, in order.
    pub(super) fn iter(&self) -> Entries {
        self.entries(self.0.iter())
    }

    fn entries(&self, entries: sled::Iter) -> Entries {
        Entries {
            entries: Handle::new(entries, self.0.watchdog().clone()),
            last_key: None,
            has_failed: false,
        }
    }
}

/// Entries of a tree. sled's iterators return the same error for ever, and on a damaged file they
/// may go round in circles; this ends behind an error, and keys that do not grow are one.
pub(super) struct Entries {
    entries: Handle<sled::Iter>,
    last_key: Option<IVec>,
    has_failed: bool,
}

impl Iterator for Entries {
    type Item = Result<KeyValue, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let watchdog = self.entries.watchdog().clone();
        let next = call(&watchdog, READING, || {
            self.entries.next().transpose().map_err(failed(READING))
        });
        let next = next.and_then(|entry| {
            let key = entry.as_ref().map(|(key, _)| key.clone());
            if key.is_some() && key <= self.last_key {
                return Err(StorageError::damaged("a tree", "growing keys", "others"));
            }
            self.last_key = key;
            Ok(entry)
        });
        self.has_failed = next.is_err();
        next.transpose()
    }
}
