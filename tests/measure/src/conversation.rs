//! A node on two pipes. It gets requests one at a time or as a stream, and ends by end of input or
//! by SIGKILL.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::harness::latency::{Percentiles, ask, lone_and_bare};
use crate::harness::workload::Event;
use crate::harness::{PAUSE, peak_memory_bytes, wait};
use crate::node::Binary;
use crate::stream::{Replies, Stream};

/// The size of a pipe on Linux. A larger buffer would only delay the node's input.
const CHUNK_BYTES: usize = 1 << 16;

/// The process of a node, which is killed if it still runs when this value is dropped.
struct Process(Child);

impl Drop for Process {
    /// Errors are those of a process that has already ended.
    fn drop(&mut self) {
        let Self(child) = self;
        child.kill().unwrap_or_default();
        child.wait().map(drop).unwrap_or_default();
    }
}

/// A running node.
pub(crate) struct Conversation {
    started: Instant,
    process: Process,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Conversation {
    /// Starts a node on a directory, without waiting for it.
    pub(crate) fn start(binary: &Binary, state: &Path) -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut child = binary.spawn(state, Stdio::piped(), Stdio::piped())?;
        let requests = child.stdin.take().context("standard input is no pipe")?;
        let replies = child.stdout.take().context("standard output is no pipe")?;
        Ok(Self {
            started,
            process: Process(child),
            requests,
            replies: BufReader::with_capacity(CHUNK_BYTES, replies),
        })
    }

    /// Returns the time since the process was started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Sends one request and waits for its reply, which must contain `expected`. Returns the reply
    /// and the time that it took.
    pub(crate) fn ask(&mut self, line: &str, expected: &str) -> anyhow::Result<(String, Duration)> {
        ask(line, expected, &mut self.requests, &mut self.replies)
    }

    /// Measures lone requests for new events, and writes to the file at `bare`.
    pub(crate) fn lone(
        &mut self,
        events: impl ExactSizeIterator<Item = Event>,
        bare: &Path,
    ) -> anyhow::Result<[Option<Percentiles>; 2]> {
        lone_and_bare(events, &mut self.requests, &mut self.replies, bare)
    }

    /// Sends requests without waiting for replies, and returns the replies to all of them.
    pub(crate) fn stream(&mut self, lines: &[String]) -> anyhow::Result<String> {
        let Self {
            requests, replies, ..
        } = self;
        std::thread::scope(|scope| {
            // Sending fails only if the node has ended; then replies are missing too.
            scope.spawn(|| send(requests, lines).unwrap_or_default());
            receive(replies, lines.len())
        })
    }

    /// Sends requests as a stream, and kills the node when this many are answered. Returns all
    /// whole replies that it had written until then, and its peak memory in bytes.
    pub(crate) fn kill(
        mut self,
        lines: &[String],
        answered: usize,
    ) -> anyhow::Result<(String, u64)> {
        let Self {
            requests,
            replies,
            process: Process(child),
            ..
        } = &mut self;
        let mut received = String::new();
        let peak = std::thread::scope(|scope| {
            scope.spawn(|| send(requests, lines).unwrap_or_default());
            let answers = receive(replies, answered);
            let peak = peak_memory_bytes(child.id()).unwrap_or_default();
            // The node is killed even after an error, because the sender might wait for room in the
            // pipe for ever.
            child.kill().context("killing the node")?;
            received = answers?;
            replies.read_to_string(&mut received)?;
            Ok::<_, anyhow::Error>(peak)
        })?;
        child.wait().context("waiting for the killed node")?;
        // The last line may have been cut.
        received.truncate(received.rfind('\n').map_or(0, |end| end + 1));
        Ok((received, peak))
    }

    /// Ends the input, waits for the node, and returns its peak memory in bytes.
    pub(crate) fn close(mut self) -> anyhow::Result<u64> {
        drop(self.requests);
        let peak = wait(&mut self.process.0, || Ok(()))?;
        Ok(peak.unwrap_or_default())
    }

    /// Sends a stream of requests for duplicates, and calls `work` when this many are answered.
    /// Then ends the stream and the input, waits for the node, and checks the replies to the
    /// stream. Returns the result of `work`, and the replies to the stream a second meanwhile.
    pub(crate) fn stream_beside<T>(
        self,
        stream: &Stream,
        answered: u64,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, f64)> {
        let Self {
            requests,
            replies: from_node,
            mut process,
            ..
        } = self;
        let (is_over, replies) = (AtomicBool::new(false), Replies::default());
        let (mut sent, mut read) = (Ok(0), Ok(()));
        let worked = std::thread::scope(|scope| {
            scope.spawn(|| sent = stream.send(requests, &is_over));
            let reader = scope.spawn(|| read = replies.read(from_node));
            let first = wait_for(&replies, answered, || reader.is_finished());
            let worked = first.and_then(|()| replies.rate_during(work));
            is_over.store(true, Ordering::Relaxed);
            if worked.is_err() {
                // The sender might wait for room in the pipe for ever.
                process.0.kill().context("killing the node")?;
            }
            worked
        })?;
        wait(&mut process.0, || Ok(()))?;
        read?;
        let (sent, received) = (sent.context("sending the stream")?, replies.count());
        ensure!(
            sent == received,
            "{sent} old duplicates had {received} replies; a figure of wrong replies is worth \
             nothing"
        );
        Ok(worked)
    }
}

fn send(requests: &mut ChildStdin, lines: &[String]) -> io::Result<()> {
    let mut output = BufWriter::with_capacity(CHUNK_BYTES, requests);
    for line in lines {
        output.write_all(line.as_bytes())?;
    }
    output.flush()
}

/// Waits until this many replies to a stream were read.
fn wait_for(replies: &Replies, count: u64, have_ended: impl Fn() -> bool) -> anyhow::Result<()> {
    while replies.count() < count {
        let cause = "it says why on standard error above";
        ensure!(
            !have_ended(),
            "the node ended after {} replies to the stream; {cause}",
            replies.count()
        );
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn receive(replies: &mut impl BufRead, count: usize) -> anyhow::Result<String> {
    let mut received = String::new();
    for number in 0..count {
        let bytes = replies.read_line(&mut received)?;
        let cause = "it says why on standard error above";
        ensure!(
            bytes > 0,
            "the node ended after {number} of {count} replies; {cause}"
        );
    }
    Ok(received)
}
