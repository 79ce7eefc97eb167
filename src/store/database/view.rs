//! Views of the database: what it held after one group, read while later groups are persisted.
//!
//! sled has no snapshots of its trees. So while a view is open, the thread that persists keeps each
//! entry as it was before it is changed. Most new keys are after all keys of the view, and cost it
//! nothing: it does not look there. The tree `meta`, which every transaction changes, is not read
//! through a view: its content is handed over with the view.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use sled::IVec;

use crate::error::StorageError;
use crate::store::bytes::tree_name::TreeName;

/// Limit of the memory of all views. Beyond it, the oldest are given up. At full speed this takes
/// minutes; what grows is the old values of stored counts.
const MAX_BYTES: usize = 64 << 20;

/// Maximum number of open views, twice the default number of clients. There is a limit because each
/// view keeps its own copies of all that is changed.
const MAX_VIEWS: usize = 2048;

/// A key and its value.
pub(crate) type KeyValue = (IVec, IVec);

/// About the memory that a kept entry takes besides its key and its value.
const ENTRY_BYTES: usize = 64;

/// The last key of each tree, in the order of [`TreeName::ALL`].
pub(crate) type LastKeys = [Option<IVec>; TreeName::ALL.len()];

/// What the database held after one group.
#[derive(Debug)]
pub(crate) struct DatabaseView {
    group: u64,
    trees: [Kept; TreeName::ALL.len()],
    bytes: AtomicUsize,
    is_given_up: AtomicBool,
}

/// What is kept of one tree.
#[derive(Debug)]
struct Kept {
    /// The last key when the view was opened; later keys are newer than the view.
    end: Option<IVec>,
    /// Entries up to `end` that were changed since, with their old values; `None` for keys that
    /// were not there.
    changed: RwLock<BTreeMap<IVec, Option<IVec>>>,
}

impl DatabaseView {
    fn new(group: u64, last_keys: LastKeys) -> Self {
        Self {
            group,
            trees: last_keys.map(|end| Kept {
                end,
                changed: RwLock::default(),
            }),
            bytes: AtomicUsize::new(0),
            is_given_up: AtomicBool::new(false),
        }
    }

    fn kept(&self, tree: TreeName) -> &Kept {
        &self.trees[tree as usize]
    }

    /// The last key that a tree had.
    pub(crate) fn end(&self, tree: TreeName) -> Option<&IVec> {
        self.kept(tree).end.as_ref()
    }

    /// Returns the value that a key had; `now` is its present value.
    pub(crate) fn value(
        &self,
        tree: TreeName,
        key: &[u8],
        now: Option<IVec>,
    ) -> Result<Option<IVec>, StorageError> {
        let kept = self.kept(tree);
        if kept.end.as_ref().is_none_or(|end| key > &**end) {
            return Ok(None);
        }
        let value = kept.changed.read().get(key).cloned().unwrap_or(now);
        self.check().map(|()| value)
    }

    /// Returns the last changed entry within a bound, with its old value.
    pub(crate) fn last_changed(
        &self,
        tree: TreeName,
        until: Bound<&[u8]>,
    ) -> Result<Option<(IVec, Option<IVec>)>, StorageError> {
        let changed = self.kept(tree).changed.read();
        let found = changed
            .range::<[u8], _>((Bound::Unbounded, until))
            .next_back();
        let found = found.map(|(key, value)| (key.clone(), value.clone()));
        drop(changed);
        self.check().map(|()| found)
    }

    /// Returns the entries within bounds as they were; `now` has all that are there at present, in
    /// order.
    pub(crate) fn entries(
        &self,
        tree: TreeName,
        (from, until): (Bound<&[u8]>, Bound<&[u8]>),
        now: Vec<KeyValue>,
    ) -> Result<Vec<KeyValue>, StorageError> {
        let changed = self.kept(tree).changed.read();
        let mut changed_here = changed.range::<[u8], _>((from, until)).peekable();
        if changed_here.peek().is_none() {
            drop(changed);
            return self.check().map(|()| now);
        }
        let mut entries: BTreeMap<IVec, IVec> = now.into_iter().collect();
        for (key, value) in changed_here {
            match value {
                Some(value) => entries.insert(key.clone(), value.clone()),
                None => entries.remove(key),
            };
        }
        drop(changed);
        self.check().map(|()| entries.into_iter().collect())
    }

    /// Keeps the value of an entry before it is changed for the first time.
    fn keep(&self, tree: TreeName, key: &[u8], value: Option<&IVec>) {
        let kept = self.kept(tree);
        let is_newer = kept.end.as_ref().is_none_or(|end| key > &**end);
        if is_newer || self.is_given_up.load(Ordering::Acquire) {
            return;
        }
        let mut changed = kept.changed.write();
        if changed.contains_key(key) {
            return;
        }
        let bytes = ENTRY_BYTES + key.len() + value.map_or(0, |value| value.len());
        changed.insert(key.into(), value.cloned());
        drop(changed);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// About the number of bytes that are kept.
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    fn give_up(&self) {
        // The flag is set before the entries are removed: a reader that misses an entry finds the
        // flag.
        self.is_given_up.store(true, Ordering::Release);
        for kept in &self.trees {
            kept.changed.write().clear();
        }
        self.bytes.store(0, Ordering::Release);
    }

    fn check(&self) -> Result<(), StorageError> {
        if self.is_given_up.load(Ordering::Acquire) {
            return Err(StorageError::ViewGivenUp { bytes: MAX_BYTES });
        }
        Ok(())
    }
}

/// The open views, oldest first, as the thread that persists knows them.
#[derive(Debug, Default)]
pub(crate) struct DatabaseViews {
    open: VecDeque<Weak<DatabaseView>>,
}

impl DatabaseViews {
    /// Returns a view of what the trees hold now, after this group. No thread may be changing them.
    pub(crate) fn open(
        &mut self,
        group: u64,
        last_keys: impl FnOnce() -> Result<LastKeys, StorageError>,
    ) -> Result<Arc<DatabaseView>, StorageError> {
        self.forget_closed();
        let newest = self.open.back().and_then(Weak::upgrade);
        if let Some(view) = newest.filter(|view| view.group == group && view.check().is_ok()) {
            return Ok(view);
        }
        if self.open.len() >= MAX_VIEWS {
            self.give_up_oldest();
        }
        let view = Arc::new(DatabaseView::new(group, last_keys()?));
        self.open.push_back(Arc::downgrade(&view));
        Ok(view)
    }

    /// Forgets closed views, and gives up the oldest while the views are too large.
    pub(crate) fn forget_closed(&mut self) {
        self.open.retain(|view| view.strong_count() > 0);
        let bytes = |open: &VecDeque<Weak<DatabaseView>>| -> usize {
            let views = open.iter().filter_map(Weak::upgrade);
            views.map(|view| view.bytes()).sum()
        };
        while bytes(&self.open) > MAX_BYTES {
            self.give_up_oldest();
        }
    }

    fn give_up_oldest(&mut self) {
        if let Some(view) = self.open.pop_front().as_ref().and_then(Weak::upgrade) {
            view.give_up();
        }
    }

    /// True if no view is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Keeps the value of an entry in every view. Must be called before the entry is changed.
    pub(crate) fn keep(&self, tree: TreeName, key: &[u8], value: Option<&IVec>) {
        for view in self.open.iter().filter_map(Weak::upgrade) {
            view.keep(tree, key, value);
        }
    }
}
