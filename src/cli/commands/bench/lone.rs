//! Measures requests sent one at a time to a node in this process.

use std::io::{self, BufReader};

use anyhow::Context;
use exactly_once::StorageError;
use exactly_once::node::{self, Monitor, Stop};

use super::directory::BenchDirectory;
use super::harness::latency::{Percentiles, lone_and_bare};
use super::harness::workload::Event;

/// Returns the latencies of requests for new events, and of bare writes.
pub(super) fn measure(
    home: &BenchDirectory,
    requests: u32,
    words: u64,
) -> anyhow::Result<[Option<Percentiles>; 2]> {
    let handle = home.open()?;
    let monitor = Monitor::new(&handle);
    let stop = Stop::new().context("making a pipe")?;
    let (input, to_node) = io::pipe().context("making a pipe")?;
    let (from_node, output) = io::pipe().context("making a pipe")?;
    // The ids are new, as earlier requests used the numbers from 0 on.
    let events = (0..requests).map(|number| Event::new(!u64::from(number), words));
    std::thread::scope(|scope| {
        let serve = || node::serve(handle, input, output, None, &stop, &monitor);
        let serving = std::thread::Builder::new().spawn_scoped(scope, serve);
        let serving = serving.map_err(StorageError::Thread)?;
        let replies = BufReader::new(from_node);
        let measured = lone_and_bare(events, to_node, replies, &home.path("bare"));
        let served = serving
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // If the node failed, its error explains the missing replies.
        served?;
        measured
    })
}
