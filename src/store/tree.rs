//! Reading one tree of the database: sled's errors and panics become ours, and iterators end.

use std::ops::RangeBounds;

use sled::IVec;

use crate::error::StorageError;
use crate::store::handle::{Handle, call};
use crate::store::sled_db::{Database, Held, OpenDatabase, failed};
use crate::store::watchdog::Watchdog;

const READING: &str = "reading";

/// sled notes which pages were used in 256 queues of 64 entries, and only a queue that is full has
/// it look whether its cache is: of pages that are read once each, 16,384 stay in memory, however
/// little that is to have. So what is read at random is read again at once, and a quarter as many
/// stay. Of an iterator each entry is read again: its page has some ten.
const READS_AGAIN: usize = 3;

/// A key and its value.
pub(super) type KeyValue = (IVec, IVec);

/// Chooses one tree of those that are open.
type Choose = fn(&OpenDatabase) -> &sled::Tree;

/// One tree of the database.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    database: Database,
    choose: Choose,
}

impl Tree {
    pub(super) fn new(database: Database, choose: Choose) -> Self {
        Self { database, choose }
    }

    fn call<T>(
        &self,
        action: &'static str,
        f: impl FnOnce(&sled::Tree) -> sled::Result<T>,
    ) -> Result<T, StorageError> {
        let Self { database, choose } = self;
        database.call(action, |open| f(choose(open)).map_err(failed(action)))
    }

    /// Puts one entry in, which is atomic as it is.
    pub(super) fn insert(
        &self,
        action: &'static str,
        key: impl AsRef<[u8]>,
        value: &[u8],
    ) -> Result<(), StorageError> {
        self.call(action, |tree| tree.insert(key, value).map(drop))
    }

    /// The value of a key.
    pub(super) fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<IVec>, StorageError> {
        self.call(READING, |tree| tree.get(key))
    }

    /// The last entry whose key is not above this one.
    pub(super) fn last_up_to(
        &self,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<KeyValue>, StorageError> {
        self.call(READING, |tree| {
            let found = tree.range(..=key).next_back().transpose()?;
            if let Some((key, _)) = &found {
                for _ in 0..READS_AGAIN {
                    tree.get(key)?;
                }
            }
            Ok(found)
        })
    }

    /// The entries whose keys are in a range, in order.
    pub(super) fn range<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> Entries {
        self.entries(|tree| tree.range(keys))
    }

    /// The entries whose keys begin with a number, in order.
    pub(super) fn with_prefix(&self, prefix: u64) -> Entries {
        self.entries(|tree| tree.scan_prefix(prefix.to_be_bytes()))
    }

    /// Every entry, in order.
    pub(super) fn iter(&self) -> Entries {
        self.entries(sled::Tree::iter)
    }

    fn entries(&self, iterate: impl FnOnce(&sled::Tree) -> sled::Iter) -> Entries {
        let held = self.database.hold();
        let watchdog = self.database.watchdog();
        let entries = held.as_ref().map(|open| {
            let entries = iterate((self.choose)(open));
            Handle::new(entries, watchdog.clone())
        });
        Entries {
            entries,
            choose: self.choose,
            watchdog: watchdog.clone(),
            last_key: None,
            has_failed: false,
            held,
        }
    }
}

/// Entries of a tree. sled's iterators return the same error for ever, and on a damaged file they
/// may go round in circles; this ends behind an error, and keys that do not grow are one.
pub(super) struct Entries {
    /// `None` if the database is closed.
    entries: Option<Handle<sled::Iter>>,
    choose: Choose,
    watchdog: Watchdog,
    last_key: Option<IVec>,
    has_failed: bool,
    /// Dropped last: the database stays open for as long as entries may be asked for.
    held: Held,
}

impl Entries {
    fn read(&mut self) -> Result<Option<KeyValue>, StorageError> {
        let entries = self.entries.as_mut().ok_or(StorageError::Stopped)?;
        let tree = self.held.as_ref().map(|open| (self.choose)(open));
        let entry = call(&self.watchdog, READING, || {
            let entry = entries.next().transpose().map_err(failed(READING))?;
            if let (Some(tree), Some((key, _))) = (tree, &entry) {
                tree.get(key).map_err(failed(READING))?;
            }
            Ok(entry)
        })?;
        let key = entry.as_ref().map(|(key, _)| key.clone());
        if key.is_some() && key <= self.last_key {
            return Err(StorageError::damaged("a tree", "growing keys", "others"));
        }
        self.last_key = key;
        Ok(entry)
    }
}

impl Iterator for Entries {
    type Item = Result<KeyValue, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let next = self.read();
        self.has_failed = next.is_err();
        next.transpose()
    }
}
