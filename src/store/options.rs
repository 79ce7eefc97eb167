//! How a state directory is used.

use crate::store::bytes::fingerprint::FINGERPRINT_BITS;
use crate::store::cache::Cache;
use crate::store::storage_timeout::StorageTimeout;

/// A counts snapshot is due after this many events, or after as many as there are words if that is
/// more. Folding a million events takes a few tenths of a second.
const SNAPSHOT_INTERVAL_EVENTS: u64 = 1_000_000;

/// A run is full after about a million events. Sorting and packing it takes a tenth of a second;
/// the five runs that are kept in memory take about 14 bytes an event.
const RUN_EVENTS: u64 = 917_504;

/// How a state directory is used. Only `autocommit` and `fingerprint_bits` are stored. Later
/// versions may add fields, so start from [`Options::default`].
///
/// ```
/// let mut options = exactly_once::Options::default();
/// options.autocommit = true;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Requests are refused while fewer free bytes than this are on the disk; 64 MiB by default,
    /// more than all unfinished groups can write.
    pub min_free_bytes: u64,
    /// Bytes of memory for all that is kept only to save time, such as blocks of the journal; 384
    /// MiB by default, with which old ids among ten million UUIDs are found without reading the
    /// disk. The engines of a process share one such budget: the largest that one of them asks for.
    /// The memory that grows with the state is not part of it.
    pub memory_bytes: u64,
    /// True to share the budget with no other engine, for tests.
    #[doc(hidden)]
    pub has_own_memory: bool,
    /// Events after which a counts snapshot is stored, or as many as there are words if that is
    /// more; at least 1, by default 1,000,000.
    #[doc(hidden)]
    pub snapshot_interval_events: u64,
    /// Events after which a run of the index is stored, or a 128th of all events if that is more;
    /// at least 1, at most 67,108,864, by default 917,504.
    #[doc(hidden)]
    pub run_events: u64,
    /// Bits of a fingerprint that depend on the event id; at most 38, the default. Fewer make ids
    /// collide, for tests. An existing directory keeps the value it was created with.
    #[doc(hidden)]
    pub fingerprint_bits: u32,
    /// Bytes that sled writes before it is opened again, and a quarter more while requests wait; 1
    /// GiB by default. A start reads all that was written since, so a larger value makes starts
    /// slower. Opening again takes as long as such a start.
    #[doc(hidden)]
    pub reopen_bytes: u64,
    /// The most requests of one sender that are read ahead together; 262,144 by default.
    #[doc(hidden)]
    pub read_ahead_requests: usize,
    /// True if every output is released as its event is accepted, as if a commit without reply,
    /// number and time followed it; false by default. A directory that was ever opened with this
    /// keeps it. The first such open releases what is pending.
    pub autocommit: bool,
    /// True to open a database that has lost events after their replies; false by default. Lost
    /// events come back only if they are sent again, and their positions are used again.
    pub accept_loss: bool,
    /// True to refuse a directory without a state instead of creating one; false by default.
    pub must_exist: bool,
    /// How long one call of the storage may take; 60 s by default.
    pub storage_timeout: StorageTimeout,
}

impl Options {
    /// Joins the cache that these options ask for.
    pub(super) fn cache(&self) -> Cache {
        match self.has_own_memory {
            true => Cache::alone(self.memory_bytes),
            false => Cache::shared(self.memory_bytes),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            min_free_bytes: 64 << 20,
            memory_bytes: 384 << 20,
            has_own_memory: false,
            snapshot_interval_events: SNAPSHOT_INTERVAL_EVENTS,
            run_events: RUN_EVENTS,
            fingerprint_bits: FINGERPRINT_BITS,
            reopen_bytes: 1 << 30,
            read_ahead_requests: 1 << 18,
            autocommit: false,
            accept_loss: false,
            must_exist: false,
            storage_timeout: StorageTimeout::default(),
        }
    }
}
