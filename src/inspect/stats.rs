//! Figures of a state, and of the process that has it open.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Figures of a state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "stats")]
#[non_exhaustive]
pub struct Stats {
    /// Number of events of the state, each with an id of its own.
    pub events: u64,
    /// Number of pending outputs.
    pub pending: u64,
    /// Number of released outputs.
    pub released: u64,
    /// Number of commits that released at least one output.
    pub commits: u64,
    /// Number of saved checkpoints.
    pub checkpoints: u64,
    /// Number of restores, and of rollbacks that dropped at least one event.
    pub switches: u64,
    /// The head of the journal, which is durable: the number of events that were ever accepted.
    pub position: u64,
    /// When a commit last released an output, in milliseconds since 1970; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit_ms: Option<u64>,
    /// True if each output is released with its event.
    #[serde(default)]
    pub autocommit: bool,
    /// The number of the directory's disk format.
    #[serde(default)]
    pub format: u32,
    /// Size of the database's file in bytes.
    pub disk_bytes: u64,
    /// The content of each tree of the database. The file is about twice as large as all of them,
    /// or more while it is small.
    pub trees: Vec<TreeStats>,
    /// Figures of the process, if it was asked over its control socket. A program with a handle
    /// gets them from [`Monitor::process`](crate::node::Monitor::process).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessStats>,
}

/// The content of one tree of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TreeStats {
    /// Its name.
    pub name: String,
    /// Number of its entries.
    pub entries: u64,
    /// Size of their keys and values in bytes.
    pub bytes: u64,
}

/// Figures of a process since its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProcessStats {
    /// Its process id.
    pub pid: u32,
    /// Seconds since its start.
    pub uptime_seconds: f64,
    /// Number of events that it accepted.
    pub accepted: u64,
    /// Number of events whose id was in the state, conflicts included.
    pub duplicates: u64,
    /// Number of events whose id had been counted or released with another word.
    pub conflicts: u64,
    /// Events a second, accepted or duplicate, over the last few seconds.
    pub events_per_second: f64,
    /// Bytes of memory that the index of event ids takes: it grows with their number.
    pub index_bytes: u64,
    /// The memory budget of the process, in bytes.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Bytes that are used of this budget.
    #[serde(default)]
    pub cache_bytes: u64,
    /// Blocks of the journal and parts of the index that were read from the database to find an
    /// earlier event.
    #[serde(default)]
    pub reads: u64,
    /// Blocks and parts that were read before they were needed, together and in order. They do not
    /// count in `reads`.
    #[serde(default)]
    pub reads_ahead: u64,
    /// Number of clients of the control socket.
    pub clients: u64,
    /// The version of the program.
    #[serde(default)]
    pub version: String,
    /// Number of error replies by code.
    #[serde(default)]
    pub errors: BTreeMap<u64, u64>,
    /// Number of times that it waited until groups were on stable storage.
    #[serde(default)]
    pub syncs: u64,
    /// Seconds that it waited so in all.
    #[serde(default)]
    pub sync_seconds: f64,
}
