//! The latency of requests that are sent one at a time, and of the disk alone, measured between
//! them.

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;

use super::rank;
use super::workload::Event;

const BARE_BYTES: usize = 4096;

/// A part of every reply to a new event.
pub const NEW: &str = r#""was_duplicate": false"#;

/// Latencies in microseconds, and how many were measured.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Percentiles {
    pub count: usize,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
}

impl Percentiles {
    /// The percentiles of some latencies; `None` if there are none.
    pub fn of(mut latencies: Vec<Duration>) -> Option<Self> {
        latencies.sort();
        let count = latencies.len();
        let at = |share| Some(latencies.get(rank(count, share))?.as_secs_f64() * 1e6);
        Some(Self {
            count,
            p50_us: at(0.5)?,
            p99_us: at(0.99)?,
            p999_us: at(0.999)?,
        })
    }
}

/// A file that is written once before, so that a measured write changes neither its length nor its
/// layout: no durable write is faster.
pub struct BareFile(File);

impl BareFile {
    /// Makes the file, with this many places of 4 KiB.
    pub fn new(path: &Path, places: u64) -> io::Result<Self> {
        let file = File::create(path)?;
        file.write_all_at(&vec![1; BARE_BYTES * places as usize], 0)?;
        file.sync_all().map(|()| Self(file))
    }

    /// Writes 4 KiB at a place with fdatasync, and returns how long this took.
    pub fn write(&self, place: u64) -> io::Result<Duration> {
        let started = Instant::now();
        let Self(file) = self;
        file.write_all_at(&[place as u8; BARE_BYTES], place * BARE_BYTES as u64)?;
        file.sync_data().map(|()| started.elapsed())
    }
}

/// Sends a request and waits for its reply, which must contain `expected`. Returns the reply and
/// how long it took.
pub fn ask(
    request: &str,
    expected: &str,
    to_node: &mut impl Write,
    from_node: &mut impl BufRead,
) -> anyhow::Result<(String, Duration)> {
    let mut reply = String::with_capacity(256);
    let started = Instant::now();
    to_node.write_all(request.as_bytes())?;
    from_node.read_line(&mut reply)?;
    let elapsed = started.elapsed();
    ensure!(
        reply.contains(expected),
        "the reply does not contain {expected}: {reply:?}"
    );
    Ok((reply, elapsed))
}

/// Sends requests for new events one at a time, and writes to the file at `bare` after each, so
/// that both meet the same disk. Returns the percentiles of the requests and of the writes.
pub fn lone_and_bare(
    events: impl ExactSizeIterator<Item = Event>,
    mut to_node: impl Write,
    mut from_node: impl BufRead,
    bare: &Path,
) -> anyhow::Result<[Option<Percentiles>; 2]> {
    let file = BareFile::new(bare, events.len() as u64)?;
    let (mut lone, mut bare) = (Vec::new(), Vec::new());
    for (event, place) in events.zip(0..) {
        let request = event.request(place);
        lone.push(ask(&request, NEW, &mut to_node, &mut from_node)?.1);
        bare.push(file.write(place)?);
    }
    Ok([lone, bare].map(Percentiles::of))
}
