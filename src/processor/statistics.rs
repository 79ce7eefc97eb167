//! Figures of a processor while it runs.

/// Figures of one process, for progress lines and logs. They are cheap to read, and not part of the
/// state. Those of a state are [`Stats`](crate::inspect::Stats).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Events accepted since the start.
    pub accepted: u64,
    /// Events since the start whose id was in the state, conflicts included.
    pub duplicates: u64,
    /// Events since the start whose id had been counted or released with another word.
    pub conflicts: u64,
    /// Outputs that are pending now.
    pub pending: u64,
    /// Outputs that were ever released.
    pub outputs: u64,
    /// The head: the journal's last position in use.
    pub position: u64,
    /// The last position that is durable.
    pub durable_position: u64,
    /// Bytes of memory that the index of event ids takes: it grows with their number.
    pub index_bytes: u64,
    /// The memory budget of the engines of this process, in bytes:
    /// [`Options::memory_bytes`](crate::Options::memory_bytes).
    pub memory_bytes: u64,
    /// Bytes that the engines of this process use of this budget.
    pub cache_bytes: u64,
    /// Blocks of the journal and parts of the index that were read from the database to find an
    /// earlier event, since the start.
    pub reads: u64,
    /// Blocks and parts that were read before they were needed, together and in order, since the
    /// start. They do not count in `reads`.
    pub reads_ahead: u64,
}
