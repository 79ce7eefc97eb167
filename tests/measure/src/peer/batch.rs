//! What a user of a key-value store keeps in memory for one batch.

use foldhash::{HashMap, HashMapExt};

use crate::reply::Reply;

/// The first byte of an id's key, where ids and words share a tree.
pub(super) const SEEN: u8 = b's';
/// The first byte of a word's key.
pub(super) const COUNT: u8 = b'c';

/// Replaces the key in a buffer by that of an id or a word.
pub(super) fn write_key(key: &mut Vec<u8>, kind: u8, rest: &str) {
    key.clear();
    key.push(kind);
    key.extend_from_slice(rest.as_bytes());
}

/// The counts of the words that a batch touches, each read from the store on first use.
pub(super) struct Counts<'e>(HashMap<&'e str, Count>);

struct Count {
    /// The count in the store.
    stored: u64,
    now: u64,
}

impl<'e> Counts<'e> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Counts a word if its event is new, and makes the reply. `read` reads the stored count.
    pub(super) fn reply(
        &mut self,
        word: &'e str,
        is_new: bool,
        read: impl FnOnce() -> anyhow::Result<Option<u64>>,
    ) -> anyhow::Result<Reply> {
        use std::collections::hash_map::Entry;
        let count = match self.0.entry(word) {
            Entry::Occupied(count) => count.into_mut(),
            Entry::Vacant(place) => {
                let stored = read()?.unwrap_or(0);
                place.insert(Count {
                    stored,
                    now: stored,
                })
            }
        };
        count.now += u64::from(is_new);
        Ok(Reply {
            count: count.now,
            was_duplicate: !is_new,
        })
    }

    /// Returns the words whose counts must be put, each once, because they differ from the store.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&'e str, u64)> {
        let changed = self.0.iter().filter(|(_, count)| count.now != count.stored);
        changed.map(|(word, count)| (*word, count.now))
    }
}

/// Decodes a count as the stores of bytes keep it.
pub(super) fn decode_count(bytes: &[u8]) -> anyhow::Result<u64> {
    Ok(u64::from_be_bytes(bytes.try_into()?))
}
