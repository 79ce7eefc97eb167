//! The stores beside which exactly-once is measured, each doing the same job: take events in order
//! of arrival and answer every one with the count of its word after it and whether it was a
//! duplicate; what was answered is on stable storage, a batch of events as one transaction.
//!
//! A peer is written as a careful user of the store writes it, with nothing that only these events
//! allow. Ids are keys of text, as they arrive, of any length. Nothing is sorted and no batch is
//! looked at before it is applied. With SQLite, an event is two statements. With a store of
//! keys and values, an id is looked up and put if it is absent, while the counts of the words that
//! the batch touches are kept in a map, read on first use, and put once a word at the end of the
//! batch. Where a batch does not show what was put into it, its ids are kept in a set too.
//!
//! A peer does less than exactly-once in this: it gets events that are decoded and gives replies
//! that are not encoded; it does not keep which word an id came with, and has no outputs and no
//! checkpoints.

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

    /// The sum of all counts, as the database has them.
    fn total(&mut self) -> anyhow::Result<u64>;
}

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Store {
    /// The database in a file, with a write-ahead log and a large cache.
    Sqlite,
    /// The same with the settings that it comes with, but for the log and its sync.
    SqliteAsItComes,
    /// Copy-on-write B-trees.
    Redb,
    /// A log-structured merge tree.
    Fjall,
    /// What exactly-once is built on, with a key for each id.
    Sled,
    /// A log-structured merge tree.
    #[cfg(feature = "rocksdb")]
    Rocksdb,
}

impl Store {
    /// Its name and version.
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

    /// Opens its database in a directory, or creates it, with that much cache for pages or blocks.
    /// Buffers of writes come on top, as large as the store makes them by itself.
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

/// A crate and its version, as locked.
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

    /// Half of all events are duplicates, many of them of the same batch, and all stores must
    /// answer as a plain fold does, across an end and an open as well.
    #[test]
    fn every_store_answers_every_event_as_a_fold_does() -> anyhow::Result<()> {
        let numbers = numbers(0.5).take(1000);
        let mut events: Vec<_> = numbers.map(|number| Event::new(number, 10)).collect();
        // Ids need not be UUIDs, nor as long as others.
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
