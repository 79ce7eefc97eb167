//! SQLite with a write-ahead log that is synced at each commit. The bundled SQLite syncs with
//! fsync. An event is two prepared statements.

use std::path::Path;

use rusqlite::Connection;

use super::Peer;
use crate::harness::workload::Event;
use crate::reply::Reply;

/// No other process reads, so the lock is kept, and the index of the log stays in memory. The log
/// is copied into the database when it has 64 MiB instead of 4, so there are fewer, larger copies.
const TUNING: &str = "
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA wal_autocheckpoint = 16384;
    PRAGMA temp_store = MEMORY;";

const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS counts (word TEXT PRIMARY KEY, count INTEGER NOT NULL)
        WITHOUT ROWID;";

const SEE: &str = "INSERT OR IGNORE INTO seen (id) VALUES (?1)";

/// The statement for a new event.
const ADD: &str = "INSERT INTO counts (word, count) VALUES (?1, 1)
    ON CONFLICT (word) DO UPDATE SET count = count + 1 RETURNING count";

/// The statement for a duplicate.
const LOOK: &str = "SELECT count FROM counts WHERE word = ?1";

/// Returns the version of SQLite itself.
pub(super) fn version() -> &'static str {
    rusqlite::version()
}

/// A connection that keeps its statements, to a database of two tables.
pub(super) struct Sqlite(Connection);

impl Sqlite {
    /// Sets only what makes a commit durable. The cache, for example, keeps its default of 2 MB.
    pub(super) fn open(directory: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(directory.join("counts.db"))?;
        connection.execute_batch(SETTINGS)?;
        Ok(Self(connection))
    }

    pub(super) fn open_tuned(directory: &Path, cache_bytes: u64) -> anyhow::Result<Self> {
        let connection = Connection::open(directory.join("counts.db"))?;
        connection.execute_batch(TUNING)?;
        connection.execute_batch(SETTINGS)?;
        // A negative size is in KiB.
        connection.pragma_update(None, "cache_size", -i64::try_from(cache_bytes / 1024)?)?;
        Ok(Self(connection))
    }
}

impl Peer for Sqlite {
    fn apply(&mut self, events: &[Event], replies: &mut Vec<Reply>) -> anyhow::Result<()> {
        let transaction = self.0.transaction()?;
        let mut see = transaction.prepare_cached(SEE)?;
        let mut add = transaction.prepare_cached(ADD)?;
        let mut look = transaction.prepare_cached(LOOK)?;
        for event in events {
            let is_new = see.execute([&event.id])? > 0;
            let count = if is_new { &mut add } else { &mut look };
            let count: i64 = count.query_row([&event.word], |row| row.get(0))?;
            replies.push(Reply {
                count: u64::try_from(count)?,
                was_duplicate: !is_new,
            });
        }
        drop((see, add, look));
        Ok(transaction.commit()?)
    }

    fn total(&mut self) -> anyhow::Result<u64> {
        let sum = "SELECT total(count) FROM counts";
        let total: f64 = self.0.query_row(sum, [], |row| row.get(0))?;
        Ok(total as u64)
    }
}
