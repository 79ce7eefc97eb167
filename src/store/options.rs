//! How a state directory is used.

use crate::store::bytes::fingerprint::FINGERPRINT_BITS;
use crate::store::storage_timeout::StorageTimeout;

/// A snapshot of the counts is due after this many events, or as many as there are words if that
/// is more: folding a million events takes a few tenths of a second.
const SNAPSHOT_INTERVAL_EVENTS: u64 = 1_000_000;

/// A run is complete after this many events, about a million: sorting and packing it takes a tenth
/// of a second, and the five that are found in memory take some 14 bytes an event.
const RUN_EVENTS: u64 = 917_504;

/// How a state directory is used. Only what says so is stored. More may come: change what
/// [`Options::default`] gives.
///
/// ```
/// let mut options = exactly_once::Options::default();
/// options.autocommit = true;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Requests are refused while fewer bytes than this are free on the disk; 64 MiB by default,
    /// which is more than all groups in work can write.
    pub min_free_bytes: u64,
    /// Bytes that sled may use to cache pages, 16 MiB by default; it takes two or three times as
    /// much.
    pub cache_bytes: u64,
    /// A snapshot of the counts is stored after this many events, 1,000,000 by default, or as
    /// many as there are words if that is more. At least 1.
    #[doc(hidden)]
    pub snapshot_interval_events: u64,
    /// A run of the index of event ids is stored after this many events, 917,504 by default, or
    /// after a 128th of all events if that is more. At least 1; at most 67,108,864 count.
    #[doc(hidden)]
    pub run_events: u64,
    /// How many bits of the fingerprints of event ids differ, 38 by default and at most; fewer
    /// are for tests, as they make ids collide. Stored when the directory is created, and what
    /// counts from then on is what is stored.
    #[doc(hidden)]
    pub fingerprint_bits: u32,
    /// sled is opened again after it has written so many bytes, or a quarter more when it is busy:
    /// 1 GB by default. A start has to read what was written since, and so takes longer the more
    /// that is; opening it again takes as long as that start would.
    #[doc(hidden)]
    pub reopen_bytes: u64,
    /// Whether every output is released as its event is accepted, as if a commit followed each
    /// event without its reply, number and time. A directory that was created or once opened with
    /// this keeps it; what was pending is released then. No by default.
    pub autocommit: bool,
    /// Whether to go on with a database that has lost what was answered; no by default. What is
    /// gone comes back only if its events are sent again, and its positions are used again.
    pub accept_loss: bool,
    /// Whether to refuse a directory that has no state yet, rather than to create one; no by
    /// default.
    pub must_exist: bool,
    /// How long the storage may take over one call; 60 s by default.
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
