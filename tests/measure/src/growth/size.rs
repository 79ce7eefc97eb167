//! What is found at one size: one JSON object, the same when it is read again.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::node::Answered;
use crate::quantile::Latency;

/// All figures of one size.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Size {
    /// Main ids that were asked for.
    pub ids: u64,
    /// All ids in the state after the ingest, those of the phases at smaller sizes included.
    pub ids_ingested: u64,
    /// The apparent sizes of all files of the state after the ingest.
    pub disk_bytes_ingested: u64,
    /// The former by the latter; what earlier phases left in the files counts too.
    pub bytes_an_id: f64,
    /// New events in the last file that was sent.
    pub ingest: Answering,
    /// The first reply after SIGKILL in the middle of work.
    pub after_kill: Opening,
    /// The first reply after an end of input.
    pub after_clean_end: Opening,
    /// The last events again, in order.
    pub replay: Answering,
    /// Old events again, drawn evenly from all.
    pub random: Answering,
    /// Requests one at a time.
    pub lone: Lone,
    /// Saves and a restore.
    pub checkpoints: Checkpoints,
    /// All ids in the state after all phases.
    pub ids_at_end: u64,
    /// The apparent sizes of all files of the state after all phases.
    pub disk_bytes_at_end: u64,
    /// The most memory of any process at this size.
    pub peak_memory_bytes: u64,
    /// What the binary says it is.
    pub version: String,
    /// The machine and the day.
    pub machine: Machine,
}

impl Size {
    /// Sets the peak to the highest one of all phases.
    #[must_use]
    pub fn with_peak(mut self) -> Self {
        let peaks = [
            self.ingest.peak_memory_bytes,
            self.after_kill.peak_memory_bytes,
            self.after_clean_end.peak_memory_bytes,
            self.replay.peak_memory_bytes,
            self.random.peak_memory_bytes,
            self.lone.peak_memory_bytes,
            self.checkpoints.peak_memory_bytes,
        ];
        self.peak_memory_bytes = peaks.into_iter().max().unwrap_or_default();
        self
    }
}

/// A file of requests that was answered into a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answering {
    /// Requests in the file.
    pub events: u64,
    /// Events a second from the first to the last reply; null if all came at once.
    pub rate: Option<f64>,
    /// Until the first reply: the open and the first group.
    pub start_seconds: f64,
    /// From the last reply to the end of the process.
    pub end_seconds: f64,
    /// The most memory of the process, of all processes for an ingest of several files.
    pub peak_memory_bytes: u64,
}

impl Answering {
    /// The figures of a file with that many events.
    #[must_use]
    pub fn new(events: u64, answered: &Answered) -> Self {
        let shares = answered.shares_a_second;
        Self {
            events,
            rate: shares.map(|shares| shares * events as f64),
            start_seconds: answered.start.as_secs_f64(),
            end_seconds: answered.end.as_secs_f64(),
            peak_memory_bytes: answered.peak_memory_bytes,
        }
    }
}

/// A start with one request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opening {
    /// From before the process is started until its first reply.
    pub first_reply_seconds: f64,
    /// Of 50,000 events meant for the process that was killed before, those without a reply; 0
    /// after a clean end.
    pub unanswered: u64,
    /// How many of those the state had after all.
    pub survived: u64,
    /// The most memory of the process, and of the one that was killed.
    pub peak_memory_bytes: u64,
}

/// Requests one at a time, each followed by a bare write.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lone {
    /// From sending a request to having its reply.
    pub latency: Latency,
    /// The median of a bare 4 KiB write with fdatasync.
    pub bare_p50_us: f64,
    /// The median of the former by that of the latter.
    pub ratio: f64,
    /// The most memory of the process.
    pub peak_memory_bytes: u64,
}

/// Checkpoints one at a time, an event before each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checkpoints {
    /// From sending a checkpoint to having its reply.
    pub latency: Latency,
    /// A restore to an earlier one.
    pub restore: Restore,
    /// The most memory of the process.
    pub peak_memory_bytes: u64,
}

/// A restore that goes back behind some events.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Restore {
    /// Behind how many.
    pub events_back: u64,
    /// From sending it to having its reply, with all counts.
    pub seconds: f64,
}
