//! Figures of a state, and of the process that it belongs to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Figures of a state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "stats")]
#[non_exhaustive]
pub struct Stats {
    /// How many events the state has, each with an id of its own.
    pub events: u64,
    /// How many of them have an output that is pending.
    pub pending: u64,
    /// How many outputs have been released.
    pub released: u64,
    /// How many commits released something.
    pub commits: u64,
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// How many restores and rollbacks there have been.
    pub switches: u64,
    /// The journal's last position: how many events were ever accepted. It is durable.
    pub position: u64,
    /// When the last commit was made that released something, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit_ms: Option<u64>,
    /// Whether outputs are released as their events are accepted.
    #[serde(default)]
    pub autocommit: bool,
    /// The format of the directory.
    #[serde(default)]
    pub format: u32,
    /// Bytes of the database's file.
    pub disk_bytes: u64,
    /// What each tree of the database holds; its file takes twice as much, or more while it is
    /// small.
    pub trees: Vec<TreeStats>,
    /// Figures of the process, if it was asked by its control socket. A program with a handle has
    /// them from [`Monitor::process`](crate::node::Monitor::process).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessStats>,
}

/// What one tree of the database holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TreeStats {
    /// Its name.
    pub name: String,
    /// How many entries it has.
    pub entries: u64,
    /// How many bytes they have, keys and values.
    pub bytes: u64,
}

/// Figures of a process, from its start on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProcessStats {
    /// Its number.
    pub pid: u32,
    /// How long it has been running.
    pub uptime_seconds: f64,
    /// Events that it accepted.
    pub accepted: u64,
    /// Events that it found again in the state.
    pub duplicates: u64,
    /// Events whose id came with another word than it was counted or released with.
    pub conflicts: u64,
    /// Events a second, accepted or found again, over the last seconds.
    pub events_per_second: f64,
    /// Bytes of memory that the index of event ids takes.
    pub index_bytes: u64,
    /// Clients of the control socket.
    pub clients: u64,
    /// The version of its program.
    #[serde(default)]
    pub version: String,
    /// Errors that it answered, by code.
    #[serde(default)]
    pub errors: BTreeMap<u64, u64>,
    /// How many times it waited until groups were on stable storage.
    #[serde(default)]
    pub syncs: u64,
    /// How long that took in all.
    #[serde(default)]
    pub sync_seconds: f64,
}
