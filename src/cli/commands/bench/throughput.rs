//! Measures how fast a node answers a file of requests.

use std::fs::{File, Metadata};
use std::time::{Duration, Instant};

use anyhow::Context;
use exactly_once::Statistics;
use exactly_once::node::{self, ControlSocket, Monitor, StageTimes, Stop};

use super::directory::BenchDirectory;
use super::harness::{bytes, peak_memory_bytes};
use super::watchers::Watchers;

/// What answering all requests took.
pub(super) struct Throughput {
    /// Time from opening the directory to the clean end.
    pub(super) elapsed: Duration,
    pub(super) stages: StageTimes,
    pub(super) statistics: Statistics,
    /// The apparent size of the state directory's files.
    pub(super) disk_bytes: u64,
    /// The most memory that this process has used, if the system tells it.
    pub(super) peak_memory_bytes: Option<u64>,
}

/// Runs a node that answers the file of requests, with watchers if `is_watched`.
pub(super) fn answer(home: &BenchDirectory, is_watched: bool) -> anyhow::Result<Throughput> {
    let input = File::open(home.path("requests.jsonl")).context("reading the requests")?;
    let output = File::create(home.path("replies.jsonl")).context("writing the replies")?;
    // Earlier writes must not reach the disk during the measurement.
    rustix::fs::sync();
    let started = Instant::now();
    let handle = home.open()?;
    let monitor = Monitor::new(&handle);
    let stop = Stop::new().context("making a pipe")?;
    let (control, watchers) = if is_watched {
        let control = ControlSocket::bind(&home.state()).context("making the control socket")?;
        (Some(control), Some(Watchers::start(&home.state())?))
    } else {
        (None, None)
    };
    node::serve(handle, input, output, control, &stop, &monitor)?;
    let elapsed = started.elapsed();
    watchers.map_or(Ok(()), Watchers::stop)?;
    Ok(Throughput {
        elapsed,
        stages: monitor.stage_times(),
        statistics: monitor.statistics(),
        disk_bytes: bytes(&home.state(), Metadata::len)?,
        peak_memory_bytes: peak_memory_bytes("self"),
    })
}
