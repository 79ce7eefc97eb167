//! Requests one at a time, each of which waits for the reply to the one before, and between them
//! what the disk alone takes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use anyhow::Context;
use exactly_once::StorageError;
use exactly_once::node::{self, Monitor, Stop};

use super::{BenchDirectory, workload};

const BARE_BYTES: usize = 4096;

/// Latencies, sorted; none if nothing was measured.
#[derive(Default)]
pub(super) struct Latency {
    /// From sending a request to having its reply.
    pub(super) lone: Vec<Duration>,
    /// A write of 4 KiB over a file that is there, and fdatasync.
    pub(super) bare: Vec<Duration>,
}

/// Sends lone requests for new events, with a bare write behind each.
pub(super) fn measure(home: &BenchDirectory, requests: u64) -> anyhow::Result<Latency> {
    let bare = File::create(home.bare()).context("making a file to write to")?;
    bare.write_all_at(&vec![1; BARE_BYTES * requests as usize], 0)?;
    bare.sync_all()?;
    let handle = home.open()?;
    let monitor = Monitor::new(&handle);
    let stop = Stop::new().context("making a pipe")?;
    let (input, to_node) = io::pipe().context("making a pipe")?;
    let (from_node, output) = io::pipe().context("making a pipe")?;
    std::thread::scope(|scope| {
        let serve = || node::serve(handle, input, output, None, &stop, &monitor);
        let serving = std::thread::Builder::new().spawn_scoped(scope, serve);
        let serving = serving.map_err(StorageError::Thread)?;
        let measured = converse(to_node, from_node, &bare, requests);
        let served = serving
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Why the node failed also says why it answered no more.
        served?;
        Ok(measured?)
    })
}

fn converse(
    mut to_node: PipeWriter,
    from_node: PipeReader,
    bare: &File,
    requests: u64,
) -> io::Result<Latency> {
    let mut replies = BufReader::new(from_node);
    let mut reply = String::new();
    let mut latency = Latency::default();
    for number in 0..requests {
        let line = workload::process(number, &format!("lone-{number}"), number % 100) + "\n";
        let started = Instant::now();
        to_node.write_all(line.as_bytes())?;
        reply.clear();
        replies.read_line(&mut reply)?;
        latency.lone.push(started.elapsed());
        let started = Instant::now();
        bare.write_all_at(&[number as u8; BARE_BYTES], number * BARE_BYTES as u64)?;
        bare.sync_data()?;
        latency.bare.push(started.elapsed());
    }
    latency.lone.sort();
    latency.bare.sort();
    Ok(latency)
}
