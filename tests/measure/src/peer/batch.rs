//! What a user of a store of keys and values keeps in memory for one batch.

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

use crate::reply::Reply;

/// Where ids and words share keys, they are told apart by the first byte.
pub(super) const SEEN: u8 = b's';
/// The first byte of a word's key.
pub(super) const COUNT: u8 = b'c';

/// Writes the key of an id or a word over another one.
pub(super) fn write_key(key: &mut Vec<u8>, kind: u8, rest: &str) {
    key.clear();
    key.push(kind);
    key.extend_from_slice(rest.as_bytes());
}

/// The counts of the words that a batch touches, each read from the store on first use.
pub(super) struct Counts<'e>(HashMap<&'e str, Count>);

struct Count {
    /// What the store has.
    stored: u64,
    now: u64,
}

impl<'e> Counts<'e> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Counts a word if its event is new, and makes the reply. `read` asks the store.
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

    /// The words to put, each once: those that are not as the store has them.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&'e str, u64)> {
        let changed = self.0.iter().filter(|(_, count)| count.now != count.stored);
        changed.map(|(word, count)| (*word, count.now))
    }
}

/// The ids of a batch, where the batch does not show what was put into it.
pub(super) struct Ids<'e>(HashSet<&'e str>);

impl<'e> Ids<'e> {
    pub(super) fn new(events: usize) -> Self {
        Self(HashSet::with_capacity(events))
    }

    /// Whether an id is new to the batch and to the store, which `stored` asks.
    pub(super) fn is_new(
        &mut self,
        id: &'e str,
        stored: impl FnOnce() -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        Ok(self.0.insert(id) && !stored()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_once_and_put_only_if_it_changed() -> anyhow::Result<()> {
        let mut counts = Counts::new();
        let mut reads = 0;
        for (is_new, count) in [(false, 7), (true, 8), (true, 9), (false, 9)] {
            let reply = counts.reply("word", is_new, || {
                reads += 1;
                Ok(Some(7))
            })?;
            assert_eq!((reply.count, reply.was_duplicate), (count, !is_new));
        }
        counts.reply("other", false, || Ok(Some(5)))?;
        assert_eq!(reads, 1);
        assert_eq!(counts.changed().collect::<Vec<_>>(), [("word", 9)]);
        Ok(())
    }

    #[test]
    fn an_id_is_new_once_and_only_if_the_store_has_it_not() -> anyhow::Result<()> {
        let mut ids = Ids::new(3);
        assert!(ids.is_new("a", || Ok(false))?);
        assert!(!ids.is_new("a", || Ok(false))?);
        assert!(!ids.is_new("b", || Ok(true))?);
        assert!(!ids.is_new("b", || anyhow::bail!("not asked again"))?);
        Ok(())
    }
}
