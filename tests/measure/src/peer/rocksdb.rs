//! RocksDB: a batch goes to its write-ahead log, which is synced before the write returns. Reads do
//! not see the batch before that, so its ids are also kept in a set.

use std::path::Path;

use foldhash::{HashSet, HashSetExt};
use rocksdb::{
    BlockBasedOptions, Cache, DB, Direction, IteratorMode, Options, WriteBatch, WriteOptions,
};

use super::Peer;
use super::batch::{COUNT, Counts, SEEN, decode_count, write_key};
use crate::harness::workload::Event;
use crate::reply::Reply;

/// The usual bits of a Bloom filter for each key, with about one false positive in a hundred.
const FILTER_BITS: f64 = 10.0;

/// A database, and a buffer for the key of each event.
pub(super) struct Rocksdb {
    database: DB,
    key: Vec<u8>,
}

impl Rocksdb {
    pub(super) fn open(directory: &Path, cache_bytes: u64) -> anyhow::Result<Self> {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_bloom_filter(FILTER_BITS, false);
        blocks.set_block_cache(&Cache::new_lru_cache(usize::try_from(cache_bytes)?));
        let mut options = Options::default();
        options.create_if_missing(true);
        options.increase_parallelism(2);
        options.set_block_based_table_factory(&blocks);
        Ok(Self {
            database: DB::open(&options, directory)?,
            key: Vec::new(),
        })
    }
}

impl Peer for Rocksdb {
    fn apply(&mut self, events: &[Event], replies: &mut Vec<Reply>) -> anyhow::Result<()> {
        let Self { database, key } = self;
        let mut batch = WriteBatch::default();
        let mut ids = HashSet::with_capacity(events.len());
        let mut counts = Counts::new();
        for event in events {
            write_key(key, SEEN, &event.id);
            let is_new = ids.insert(&event.id) && database.get_pinned(&key)?.is_none();
            if is_new {
                batch.put(&key, []);
            }
            let read = || {
                write_key(key, COUNT, &event.word);
                let count = database.get_pinned(&key)?;
                count.map(|count| decode_count(&count)).transpose()
            };
            replies.push(counts.reply(&event.word, is_new, read)?);
        }
        for (word, count) in counts.changed() {
            write_key(key, COUNT, word);
            batch.put(&key, count.to_be_bytes());
        }
        let mut durable = WriteOptions::default();
        durable.set_sync(true);
        Ok(database.write_opt(batch, &durable)?)
    }

    fn total(&mut self) -> anyhow::Result<u64> {
        let mut total = 0;
        let from = IteratorMode::From(&[COUNT], Direction::Forward);
        for entry in self.database.iterator(from) {
            let (key, count) = entry?;
            if key.first() != Some(&COUNT) {
                break;
            }
            total += decode_count(&count)?;
        }
        Ok(total)
    }
}
