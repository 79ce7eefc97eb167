//! Reads one tree of the database, at present or as of a view. sled's errors and panics become
//! ours, and every iterator ends.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use sled::IVec;

use crate::error::StorageError;
use crate::store::bytes::tree_name::TreeName;
use crate::store::database::call::{Guarded, call};
use crate::store::database::view::{DatabaseView, KeyValue};
use crate::store::database::{Database, OpenGuard, failed};
use crate::store::watchdog::Watchdog;

const READING: &str = "reading";

/// How often an entry is read again after a search. sled notes each use of a page in one of 256
/// queues of 64 entries, and checks the size of its cache only when a queue is full. So of pages
/// that are used once each, 16,384 stay in memory, however small the cache. With these reads about
/// 1,500 of them stay. More reads would cost more time than the memory is worth. An iterator reads
/// each entry only once more, as a page has about ten entries.
const REPEATED_READS: usize = 8;

/// Maximum number of entries of a view that are read at a time: the database cannot be reopened
/// meanwhile.
const ENTRIES_A_READ: usize = 64;

/// Number of entries of the first read, as often no more are needed.
const ENTRIES_OF_THE_FIRST_READ: usize = 2;

/// One tree of the database, at present or as of a view.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    database: Database,
    name: TreeName,
    view: Option<Arc<DatabaseView>>,
}

impl Tree {
    pub(crate) fn new(database: Database, name: TreeName, view: Option<Arc<DatabaseView>>) -> Self {
        Self {
            database,
            name,
            view,
        }
    }

    pub(crate) fn name(&self) -> TreeName {
        self.name
    }

    fn call<T>(
        &self,
        action: &'static str,
        f: impl FnOnce(&sled::Tree) -> sled::Result<T>,
    ) -> Result<T, StorageError> {
        self.database.call(action, |open| {
            f(&open.trees[self.name as usize]).map_err(failed(action))
        })
    }

    /// Inserts one entry. This is atomic without a transaction.
    pub(crate) fn insert(
        &self,
        action: &'static str,
        key: impl AsRef<[u8]>,
        value: &[u8],
    ) -> Result<(), StorageError> {
        self.call(action, |tree| tree.insert(key, value).map(drop))
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<IVec>, StorageError> {
        let key = key.as_ref();
        let value = self.call(READING, |tree| tree.get(key))?;
        match &self.view {
            None => Ok(value),
            Some(view) => view.value(self.name, key, value),
        }
    }

    /// The last key at present, also for a view.
    pub(crate) fn last_key(&self) -> Result<Option<IVec>, StorageError> {
        let last = self.call(READING, sled::Tree::last)?;
        Ok(last.map(|(key, _)| key))
    }

    /// The last entry whose key is at most this one.
    pub(crate) fn last_up_to(
        &self,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<KeyValue>, StorageError> {
        let key = key.as_ref();
        let Some(view) = &self.view else {
            return self.last_within(Bound::Included(key));
        };
        let Some(end) = view.end(self.name) else {
            return Ok(None);
        };
        let mut below = Bound::Included(IVec::from(key.min(end)));
        loop {
            let until = below.as_ref().map(|key| &**key);
            let now = self.last_within(until)?;
            let changed = view.last_changed(self.name, until)?;
            match (now, changed) {
                (Some((key, value)), changed)
                    if changed.as_ref().is_none_or(|(changed, _)| *changed < key) =>
                {
                    return Ok(Some((key, value)));
                }
                (_, Some((key, Some(value)))) => return Ok(Some((key, value))),
                (_, Some((key, None))) => below = Bound::Excluded(key),
                (_, None) => return Ok(None),
            }
        }
    }

    fn last_within(&self, until: Bound<&[u8]>) -> Result<Option<KeyValue>, StorageError> {
        self.call(READING, |tree| {
            let range = (Bound::Unbounded, until);
            let found = tree.range::<&[u8], _>(range).next_back().transpose()?;
            if let Some((key, _)) = &found {
                for _ in 0..REPEATED_READS {
                    tree.get(key)?;
                }
            }
            Ok(found)
        })
    }

    /// The entries whose keys are in a range, in order.
    pub(crate) fn range<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> Entries {
        let bound = |bound: Bound<&K>| bound.map(|key| IVec::from(key.as_ref()));
        self.entries((bound(keys.start_bound()), bound(keys.end_bound())))
    }

    /// The entries whose keys begin with this number, big-endian, in order.
    pub(crate) fn with_prefix(&self, prefix: u64) -> Entries {
        let end = prefix.checked_add(1);
        let end = end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.to_be_bytes()));
        self.range((Bound::Included(prefix.to_be_bytes()), end))
    }

    /// Every entry, in order.
    pub(crate) fn iter(&self) -> Entries {
        self.entries((Bound::Unbounded, Bound::Unbounded))
    }

    fn entries(&self, (from, until): (Bound<IVec>, Bound<IVec>)) -> Entries {
        let Some(view) = &self.view else {
            return Entries::Present(self.present_entries((from, until)));
        };
        let end = view.end(self.name).cloned();
        let until = match (until, end) {
            (_, None) => None,
            (Bound::Unbounded, Some(end)) => Some(Bound::Included(end)),
            (Bound::Included(key), Some(end)) => Some(Bound::Included(key.min(end))),
            (Bound::Excluded(key), Some(end)) if key <= end => Some(Bound::Excluded(key)),
            (Bound::Excluded(_), Some(end)) => Some(Bound::Included(end)),
        };
        Entries::Past(PastEntries {
            tree: self.clone(),
            view: Arc::clone(view),
            rest: until.map(|until| (from, until)),
            read: Vec::new().into_iter(),
            wanted: ENTRIES_OF_THE_FIRST_READ,
        })
    }

    fn present_entries(&self, range: (Bound<IVec>, Bound<IVec>)) -> PresentEntries {
        let held = self.database.hold();
        let watchdog = self.database.watchdog();
        let entries = held.as_ref().map(|open| {
            let entries = open.trees[self.name as usize].range(range);
            Guarded::new(entries, watchdog.clone())
        });
        PresentEntries {
            entries,
            name: self.name,
            watchdog: watchdog.clone(),
            last_key: None,
            has_failed: false,
            held,
        }
    }
}

/// True if no key can be within bounds.
fn is_empty(range: &(Bound<IVec>, Bound<IVec>)) -> bool {
    match range {
        (Bound::Included(from), Bound::Included(until)) => from > until,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(until))
        | (Bound::Excluded(from), Bound::Included(until)) => from >= until,
    }
}

/// Entries of a tree.
pub(crate) enum Entries {
    Present(PresentEntries),
    Past(PastEntries),
}

impl Iterator for Entries {
    type Item = Result<KeyValue, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Present(entries) => entries.next(),
            Self::Past(entries) => entries.next(),
        }
    }
}

/// Entries of a tree as of a view. The database may be reopened between two reads.
pub(crate) struct PastEntries {
    tree: Tree,
    view: Arc<DatabaseView>,
    /// The keys still to be read; `None` after the last entry, or an error.
    rest: Option<(Bound<IVec>, Bound<IVec>)>,
    read: std::vec::IntoIter<KeyValue>,
    /// How many entries to read next.
    wanted: usize,
}

impl PastEntries {
    fn read(&mut self) -> Result<(), StorageError> {
        let Some((from, until)) = self.rest.take() else {
            return Ok(());
        };
        if is_empty(&(from.clone(), until.clone())) {
            return Ok(());
        }
        let present = self.tree.present_entries((from.clone(), until.clone()));
        let present: Vec<KeyValue> = present.take(self.wanted).collect::<Result<_, _>>()?;
        let here = match present.last() {
            Some((last, _)) if present.len() == self.wanted => {
                self.rest = Some((Bound::Excluded(last.clone()), until));
                Bound::Included(last.clone())
            }
            _ => until,
        };
        let bounds = (
            from.as_ref().map(|key| &**key),
            here.as_ref().map(|key| &**key),
        );
        let was = self.view.entries(self.tree.name, bounds, present)?;
        self.read = was.into_iter();
        self.wanted = ENTRIES_A_READ.min(2 * self.wanted);
        Ok(())
    }
}

impl Iterator for PastEntries {
    type Item = Result<KeyValue, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.read.next() {
                return Some(Ok(entry));
            }
            self.rest.as_ref()?;
            if let Err(error) = self.read() {
                return Some(Err(error));
            }
        }
    }
}

/// Entries of a tree at present. sled's iterators return the same error for ever, and on a damaged
/// file they may go round in circles. So this one ends after an error, and keys that do not grow
/// are an error.
pub(crate) struct PresentEntries {
    /// `None` if the database is closed.
    entries: Option<Guarded<sled::Iter>>,
    name: TreeName,
    watchdog: Watchdog,
    last_key: Option<IVec>,
    has_failed: bool,
    /// Dropped last, so that the database stays open while entries may be read.
    held: OpenGuard,
}

impl PresentEntries {
    fn read(&mut self) -> Result<Option<KeyValue>, StorageError> {
        let entries = self.entries.as_mut().ok_or(StorageError::Stopped)?;
        let tree = self.held.as_ref();
        let tree = tree.map(|open| &open.trees[self.name as usize]);
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

impl Iterator for PresentEntries {
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
