//! fjall: a batch goes to its journal, which is synced before the commit returns. Reads do not see
//! the batch before that, so its ids are also kept in a set.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use foldhash::{HashSet, HashSetExt};

use super::Peer;
use super::batch::{Counts, decode_count};
use crate::harness::workload::Event;
use crate::reply::Reply;

/// Two keyspaces of one database. A batch changes both together.
pub(super) struct Fjall {
    database: Database,
    seen: Keyspace,
    counts: Keyspace,
}

impl Fjall {
    pub(super) fn open(directory: &Path, cache_bytes: u64) -> anyhow::Result<Self> {
        let database = Database::builder(directory)
            .cache_size(cache_bytes)
            .open()?;
        Ok(Self {
            seen: database.keyspace("seen", KeyspaceCreateOptions::default)?,
            counts: database.keyspace("counts", KeyspaceCreateOptions::default)?,
            database,
        })
    }

    fn count(&self, word: &str) -> anyhow::Result<Option<u64>> {
        let count = self.counts.get(word)?;
        count.map(|count| decode_count(&count)).transpose()
    }
}

impl Peer for Fjall {
    fn apply(&mut self, events: &[Event], replies: &mut Vec<Reply>) -> anyhow::Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        let mut ids = HashSet::with_capacity(events.len());
        let mut counts = Counts::new();
        for event in events {
            let is_new = ids.insert(&event.id) && !self.seen.contains_key(&event.id)?;
            if is_new {
                batch.insert(&self.seen, event.id.as_str(), []);
            }
            replies.push(counts.reply(&event.word, is_new, || self.count(&event.word))?);
        }
        for (word, count) in counts.changed() {
            batch.insert(&self.counts, word, count.to_be_bytes());
        }
        Ok(batch.commit()?)
    }

    fn total(&mut self) -> anyhow::Result<u64> {
        let mut total = 0;
        for count in self.counts.iter() {
            total += decode_count(&count.value()?)?;
        }
        Ok(total)
    }
}
