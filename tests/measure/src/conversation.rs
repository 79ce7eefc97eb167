//! A node on two pipes: requests one at a time or as a stream, and an end by end of input or by
//! SIGKILL.

use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::memory::MemoryWatch;
use crate::node::{Binary, check_status};
use crate::request::Request;
use crate::tally::Tally;

/// What a pipe of Linux holds, so that a node that waits for more gets it early.
const CHUNK_BYTES: usize = 1 << 16;

/// A running node, its requests numbered.
#[derive(Debug)]
pub struct Conversation {
    started: Instant,
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
    watch: MemoryWatch,
    msg_id: u64,
    line: Vec<u8>,
}

impl Conversation {
    /// Starts a node on a directory, and does not wait for it.
    ///
    /// # Errors
    ///
    /// If the binary cannot be run.
    pub fn start(binary: &Binary, state: &Path) -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut child = binary.spawn(state, Stdio::piped(), Stdio::piped())?;
        let requests = child.stdin.take().context("standard input is no pipe")?;
        let replies = child.stdout.take().context("standard output is no pipe")?;
        Ok(Self {
            started,
            watch: MemoryWatch::start(child.id()),
            child,
            requests,
            replies: BufReader::with_capacity(CHUNK_BYTES, replies),
            msg_id: 0,
            line: Vec::new(),
        })
    }

    /// How long ago the process was started.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Sends one request and waits for its reply, which is returned with how long it took.
    ///
    /// # Errors
    ///
    /// If the node has ended.
    pub fn ask(&mut self, request: &Request) -> anyhow::Result<(&[u8], Duration)> {
        self.line.clear();
        self.msg_id += 1;
        request.append(self.msg_id, &mut self.line);
        let started = Instant::now();
        self.requests
            .write_all(&self.line)
            .context("sending a request")?;
        self.line.clear();
        self.replies
            .read_until(b'\n', &mut self.line)
            .context("reading a reply")?;
        let elapsed = started.elapsed();
        ensure!(
            self.line.ends_with(b"\n"),
            "the node ended without a reply; it says why on standard error above"
        );
        Ok((&self.line, elapsed))
    }

    /// Asks for a `process`, whose reply must say that its event is new.
    ///
    /// # Errors
    ///
    /// If the reply says anything else, or the node has ended.
    pub fn ask_new(&mut self, id: &dyn Display, word: u32) -> anyhow::Result<Duration> {
        let mut tally = Tally::default();
        let (reply, elapsed) = self.ask(&Request::Process(id, word))?;
        tally.add(reply);
        tally.expect(1, 0, "a lone request")?;
        Ok(elapsed)
    }

    /// Sends events without waiting for replies, and counts the replies of all of them.
    ///
    /// # Errors
    ///
    /// If the node has ended.
    pub fn stream<I: Display>(
        &mut self,
        events: impl ExactSizeIterator<Item = (I, u32)> + Send,
    ) -> anyhow::Result<Tally> {
        let (expected, first_msg_id) = (events.len() as u64, self.msg_id + 1);
        self.msg_id += expected;
        let (requests, replies) = (&mut self.requests, &mut self.replies);
        std::thread::scope(|scope| {
            let sender = scope.spawn(move || send(requests, events, first_msg_id));
            let tally = receive(replies, expected);
            // A sender that fails has been cut off by the end of the node, which shows in the
            // replies too.
            sender.join().expect("sending does not panic").ok();
            tally
        })
    }

    /// Sends events as a stream and kills the node when that many are answered. Tells how many
    /// replies there were in the end: what it had written before it was killed counts too.
    ///
    /// # Errors
    ///
    /// If the node ends before, or cannot be killed.
    pub fn stream_and_kill<I: Display>(
        mut self,
        events: impl Iterator<Item = (I, u32)> + Send,
        answered: u64,
    ) -> anyhow::Result<Killed> {
        let (requests, replies, child) = (&mut self.requests, &mut self.replies, &mut self.child);
        let first_msg_id = self.msg_id + 1;
        let replies = std::thread::scope(|scope| {
            scope.spawn(move || send(requests, events, first_msg_id));
            let received = receive(replies, answered);
            // Killed in any case: the sender might wait for room in the pipe for ever.
            child.kill().context("killing the node")?;
            let mut rest = Vec::new();
            replies.read_to_end(&mut rest)?;
            let mut tally = received?;
            // The last line may have been cut.
            let whole = memchr::memrchr(b'\n', &rest).map_or(0, |end| end + 1);
            tally.add(&rest[..whole]);
            Ok::<_, anyhow::Error>(tally)
        })?;
        self.child.wait().context("waiting for the killed node")?;
        Ok(Killed {
            replies,
            peak_memory_bytes: self.watch.stop(),
        })
    }

    /// Ends the input, waits for the node, and tells the most memory it had, in bytes.
    ///
    /// # Errors
    ///
    /// If the node fails at its end.
    pub fn close(mut self) -> anyhow::Result<u64> {
        drop(self.requests);
        let status = self.child.wait().context("waiting for the node")?;
        let peak_memory_bytes = self.watch.stop();
        check_status(status)?;
        Ok(peak_memory_bytes)
    }
}

/// What a node had done when it was killed.
#[derive(Debug)]
pub struct Killed {
    /// Its replies.
    pub replies: Tally,
    /// The most memory it had.
    pub peak_memory_bytes: u64,
}

fn send<I: Display>(
    requests: &mut ChildStdin,
    events: impl Iterator<Item = (I, u32)>,
    first_msg_id: u64,
) -> io::Result<()> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    for ((id, word), msg_id) in events.zip(first_msg_id..) {
        Request::Process(&id, word).append(msg_id, &mut chunk);
        if chunk.len() >= CHUNK_BYTES {
            requests.write_all(&chunk)?;
            chunk.clear();
        }
    }
    requests.write_all(&chunk)
}

fn receive(replies: &mut impl BufRead, expected: u64) -> anyhow::Result<Tally> {
    let (mut tally, mut line) = (Tally::default(), Vec::new());
    while tally.lines < expected {
        line.clear();
        replies.read_until(b'\n', &mut line)?;
        ensure!(
            line.ends_with(b"\n"),
            "the node ended after {} of {expected} replies; it says why on standard error above",
            tally.lines
        );
        tally.add(&line);
    }
    Ok(tally)
}
