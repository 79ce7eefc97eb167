//! All requests at once, from a file to a file.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use anyhow::Context;
use exactly_once::Statistics;
use exactly_once::node::{self, ControlSocket, Monitor, StageTimes, Stop};

use super::BenchDirectory;
use super::watchers::Watchers;
use crate::cli::files::size;

/// What answering all requests took.
pub(super) struct Throughput {
    /// From opening the directory to the clean end.
    pub(super) elapsed: Duration,
    pub(super) stages: StageTimes,
    pub(super) statistics: Statistics,
    /// The apparent size of the state directory's files.
    pub(super) disk_bytes: u64,
    /// The most memory that this process has had, if the system tells.
    pub(super) peak_memory_bytes: Option<u64>,
}

/// Has a node answer the file of requests, perhaps while others look on.
pub(super) fn answer(home: &BenchDirectory, is_watched: bool) -> anyhow::Result<Throughput> {
    let input = File::open(home.requests()).context("reading the requests")?;
    let output = File::create(home.replies()).context("writing the replies")?;
    // Whatever was written before shall not be on its way to the disk meanwhile.
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
        disk_bytes: size(&home.state())?,
        peak_memory_bytes: peak_memory_bytes(),
    })
}

fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = peak.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}
