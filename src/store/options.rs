//! How a state directory is used.

use crate::store::bytes::fingerprint::FINGERPRINT_BITS;
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
    /// Bytes that sled may use to cache pages; 16 MiB by default. sled takes two or three times as
    /// much.
    pub cache_bytes: u64,
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

impl Default for Options {
    fn default() -> Self {
        Self {
            min_free_bytes: 64 << 20,
            cache_bytes: 16 << 20,
            snapshot_interval_events: SNAPSHOT_INTERVAL_EVENTS,
            run_events: RUN_EVENTS,
            fingerprint_bits: FINGERPRINT_BITS,
            reopen_bytes: 1 << 30,
            autocommit: false,
            accept_loss: false,
            must_exist: false,
            storage_timeout: StorageTimeout::default(),
        }
    }
}
