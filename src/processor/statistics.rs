//! What a processor tells of itself while it runs.

/// Figures of one process, for progress lines and logs, which cost nothing to ask for; none of them
/// is part of the state. Those of a state are [`Stats`](crate::inspect::Stats).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Events accepted since the start.
    pub accepted: u64,
    /// Events found again in the state since the start.
    pub duplicates: u64,
    /// Events whose id came with another word than it was counted or released with, since the
    /// start.
    pub conflicts: u64,
    /// Outputs that are pending now.
    pub pending: u64,
    /// The journal's last position.
    pub position: u64,
    /// The last position that a power cut would leave.
    pub durable_position: u64,
    /// Bytes of memory that the index of event ids takes.
    pub index_bytes: u64,
}
