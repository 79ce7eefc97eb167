//! redb: a commit returns after it is written and synced. A transaction sees its own changes.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::Peer;
use super::batch::Counts;
use crate::harness::workload::Event;
use crate::reply::Reply;

const SEEN: TableDefinition<&str, ()> = TableDefinition::new("seen");
const COUNTS: TableDefinition<&str, u64> = TableDefinition::new("counts");

/// A database of two tables.
pub(super) struct Redb(Database);

impl Redb {
    pub(super) fn open(directory: &Path, cache_bytes: u64) -> anyhow::Result<Self> {
        let mut builder = Database::builder();
        builder.set_cache_size(usize::try_from(cache_bytes)?);
        Ok(Self(builder.create(directory.join("counts.redb"))?))
    }
}

impl Peer for Redb {
    fn apply(&mut self, events: &[Event], replies: &mut Vec<Reply>) -> anyhow::Result<()> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let mut seen = transaction.open_table(SEEN)?;
        let mut stored = transaction.open_table(COUNTS)?;
        let mut counts = Counts::new();
        for event in events {
            // An insert also tells whether the id was there, with one search of the tree instead of
            // two. Putting a duplicate again does not change what is stored.
            let is_new = seen.insert(event.id.as_str(), ())?.is_none();
            let read = || Ok(stored.get(event.word.as_str())?.map(|count| count.value()));
            replies.push(counts.reply(&event.word, is_new, read)?);
        }
        for (word, count) in counts.changed() {
            stored.insert(word, count)?;
        }
        drop((seen, stored));
        Ok(transaction.commit()?)
    }

    fn total(&mut self) -> anyhow::Result<u64> {
        let counts = self.0.begin_read()?.open_table(COUNTS)?;
        let mut total = 0;
        for entry in counts.iter()? {
            total += entry?.1.value();
        }
        Ok(total)
    }
}
