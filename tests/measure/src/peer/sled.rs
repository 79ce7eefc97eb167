//! sled as it is used by itself: one key an id, one a word. What exactly-once makes of the same
//! store is the difference between the two. A batch is not seen before it is applied, so its own
//! ids are kept in a set.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use foldhash::{HashSet, HashSetExt};
use sled::{Batch, Db};

use super::Peer;
use super::batch::{COUNT, Counts, SEEN, decode_count, write_key};
use crate::harness::workload::Event;
use crate::reply::Reply;

/// sled gives up its lock a moment after it is dropped (sled issue 1289).
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// A database, its file to sync it, and room for a key, which is made for each event. Ids and words
/// share a tree, because a batch of one tree is atomic and costs less than a transaction of two.
pub(super) struct Sled {
    database: Db,
    file: File,
    key: Vec<u8>,
}

impl Sled {
    pub(super) fn open(directory: &Path, cache_bytes: u64) -> anyhow::Result<Self> {
        let config = sled::Config::new().path(directory);
        // No flush by itself: each batch is followed by one.
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
        // On Linux a flush ends in sync_file_range, which does not survive a power cut.
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
