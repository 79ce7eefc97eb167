//! The stores that exactly-once is measured against. Each does the same job: it takes events in the
//! order of their arrival, and answers each with the count of its word after it and whether it was
//! a duplicate. A batch of events is one transaction, and is on stable storage before its replies.
//!
//! A peer is written as a careful user of the store would write it, and uses no property of these
//! events. Ids are text keys of any length. Nothing is sorted, and no batch is read before it is
//! applied. With SQLite, an event is two statements. With a key-value store, an id is looked up and
//! put if it is absent. The counts of a batch's words are kept in a map, read on first use, and put
//! once for each word at the end of the batch. If reads do not see what a batch has put so far, its
//! ids are kept in a set too.
//!
//! A peer does less than exactly-once: it gets decoded events and gives replies that are not
//! encoded, does not store the word of an id, and has no outputs and no checkpoints.

mod batch;
mod fjall;
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod sled;
mod sqlite;

use std::path::Path;

use clap::ValueEnum;

use crate::harness::workload::Event;
use crate::reply::Reply;

/// A database that counts each event once.
pub(crate) trait Peer {
    /// Takes a batch of events in one transaction, which is on stable storage when this returns,
    /// and appends the reply to each, in their order.
    fn apply(&mut self, events: &[Event], replies: &mut Vec<Reply>) -> anyhow::Result<()>;

    /// Returns the sum of all counts in the database.
    fn total(&mut self) -> anyhow::Result<u64>;
}

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Store {
    /// SQLite with a write-ahead log and a large cache.
    Sqlite,
    /// SQLite with its default settings, except for the log and its sync.
    SqliteAsItComes,
    /// redb: copy-on-write B-trees.
    Redb,
    /// fjall: a log-structured merge tree.
    Fjall,
    /// sled, which exactly-once is built on, with a key for each id.
    Sled,
    /// RocksDB: a log-structured merge tree.
    #[cfg(feature = "rocksdb")]
    Rocksdb,
}

impl Store {
    /// Returns its name and version.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Sqlite => format!("SQLite {}", sqlite::version()),
            Self::SqliteAsItComes => format!("SQLite {}, own cache", sqlite::version()),
            Self::Redb => versioned("redb"),
            Self::Fjall => versioned("fjall"),
            Self::Sled => format!("{}, a key an id", versioned("sled")),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => format!("RocksDB ({})", versioned("librocksdb-sys")),
        }
    }

    /// Opens or creates its database in a directory, with `cache_bytes` of cache for pages or
    /// blocks. Write buffers come on top, in the store's default size.
    pub(crate) fn open(self, directory: &Path, cache_bytes: u64) -> anyhow::Result<Box<dyn Peer>> {
        Ok(match self {
            Self::Sqlite => Box::new(sqlite::Sqlite::open_tuned(directory, cache_bytes)?),
            Self::SqliteAsItComes => Box::new(sqlite::Sqlite::open(directory)?),
            Self::Redb => Box::new(redb::Redb::open(directory, cache_bytes)?),
            Self::Fjall => Box::new(fjall::Fjall::open(directory, cache_bytes)?),
            Self::Sled => Box::new(sled::Sled::open(directory, cache_bytes)?),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => Box::new(rocksdb::Rocksdb::open(directory, cache_bytes)?),
        })
    }
}

/// Returns a crate's name and its version in `Cargo.lock`.
fn versioned(name: &str) -> String {
    let mut lines = include_str!("../Cargo.lock").lines();
    let wanted = format!("name = \"{name}\"");
    lines.find(|line| *line == wanted);
    let version = lines
        .next()
        .and_then(|line| line.strip_prefix("version = "));
    format!("{name} {}", version.unwrap_or_default().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::workload::numbers;
    use crate::reply::{counted, fold};

    const CACHE_BYTES: u64 = 16 << 20;

    /// Half of all events are duplicates, many of them within one batch. All stores must give the
    /// replies of a plain fold, also after the database was closed and opened again.
    #[test]
    fn every_store_answers_every_event_as_a_fold_does() -> anyhow::Result<()> {
        let numbers = numbers(0.5).take(1000);
        let mut events: Vec<_> = numbers.map(|number| Event::new(number, 10)).collect();
        // Ids need not be UUIDs, or of one length.
        let ids = [
            "",
            "x",
            "a longer id than any UUID, as it is a whole sentence",
        ];
        for (event, id) in events.iter_mut().skip(300).zip(ids.into_iter().cycle()) {
            event.id += id;
        }
        let expected = fold(&events);
        for store in Store::value_variants() {
            let directory = tempfile::tempdir()?;
            let mut replies = Vec::new();
            for part in events.chunks(500) {
                let mut peer = store.open(directory.path(), CACHE_BYTES)?;
                for batch in part.chunks(70) {
                    peer.apply(batch, &mut replies)?;
                }
            }
            assert!(replies == expected, "{store:?}");
            let mut peer = store.open(directory.path(), CACHE_BYTES)?;
            assert_eq!(peer.total()?, counted(&expected), "{store:?}");
        }
        Ok(())
    }

    #[test]
    fn a_locked_version_is_found() {
        assert_eq!(versioned("sled"), "sled 0.34.7");
    }
}
