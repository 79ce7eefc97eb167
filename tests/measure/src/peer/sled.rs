//! sled used directly, with one key for each id and each word. The comparison shows what
//! exactly-once adds to the same store. Reads do not see a batch before it is applied, so its ids
//! are also kept in a set.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use foldhash::{HashSet, HashSetExt};
use sled::{Batch, Db};

use super::Peer;
use super::batch::{COUNT, Counts, SEEN, decode_count, write_key};
use crate::harness::workload::Event;
use crate::reply::Reply;

/// Time to wait for the lock: sled releases it a moment after it is dropped (sled issue 1289).
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// A database, its file to sync it, and a buffer for the key of each event. Ids and words share a
/// tree, because a batch of one tree is atomic and costs less than a transaction of two.
pub(super) struct Sled {
    database: Db,
    file: File,
    key: Vec<u8>,
}

impl Sled {
    pub(super) fn open(directory: &Path, cache_bytes: u64) -> anyhow::Result<Self> {
        let config = sled::Config::new().path(directory);
        // sled need not flush on its own, because a flush follows each batch.
        let config = config.cache_capacity(cache_bytes).flush_every_ms(None);
        Ok(Self {
            database: open_patiently(&config)?,
            file: File::open(directory.join("db"))?,
            key: Vec::new(),
        })
    }
}

fn open_patiently(config: &sled::Config) -> sled::Result<Db> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match config.open() {
            Err(sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock")
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
}

impl Peer for Sled {
    fn apply(&mut self, events: &[Event], replies: &mut Vec<Reply>) -> anyhow::Result<()> {
        let Self {
            database,
            file,
            key,
        } = self;
        let mut batch = Batch::default();
        let mut ids = HashSet::with_capacity(events.len());
        let mut counts = Counts::new();
        for event in events {
            write_key(key, SEEN, &event.id);
            let is_new = ids.insert(&event.id) && !database.contains_key(&key)?;
            if is_new {
                batch.insert(key.as_slice(), &[]);
            }
            let read = || {
                write_key(key, COUNT, &event.word);
                let count = database.get(&key)?;
                count.map(|count| decode_count(&count)).transpose()
            };
            replies.push(counts.reply(&event.word, is_new, read)?);
        }
        for (word, count) in counts.changed() {
            write_key(key, COUNT, word);
            batch.insert(key.as_slice(), &count.to_be_bytes());
        }
        database.apply_batch(batch)?;
        database.flush()?;
        // On Linux a flush ends in sync_file_range, which does not protect from a power cut.
        Ok(file.sync_data()?)
    }

    fn total(&mut self) -> anyhow::Result<u64> {
        let mut total = 0;
        for entry in self.database.scan_prefix([COUNT]) {
            total += decode_count(&entry?.1)?;
        }
        Ok(total)
    }
}
