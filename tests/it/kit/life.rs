//! The requests of one life of a node, and the replies.

use super::node::{Node, StdoutClosed};
use super::process::Finished;
use super::source::Source;
use super::wait::PATIENCE;
use crate::oracle::Request;
use std::fmt;
use std::time::{Duration, Instant};

/// The requests of one life and their replies. The `msg_id` of a request is its index.
#[derive(Debug, Default)]
pub struct Life {
    pub sent: Vec<Request>,
    /// The replies to the first requests of `sent`.
    pub replies: Vec<String>,
    /// The number of requests in `sent` that were written to the pipe before the end.
    pub written: usize,
}

/// The reason why no further reply comes.
#[derive(Debug)]
pub enum Stopped {
    Closed,
    Silent,
}

impl Life {
    /// Kills the process, after the `outcome` so far, and takes its remaining replies.
    pub fn kill(
        &mut self,
        node: Node,
        outcome: Result<(), impl fmt::Display>,
    ) -> Result<(), String> {
        let ended = node.kill();
        outcome.map_err(|reason| format!("{reason}: {}", ended.stderr))?;
        self.take(&ended)
    }

    /// The requests that may or may not have been applied.
    pub fn unanswered(&self) -> &[Request] {
        &self.sent[self.replies.len()..]
    }

    /// Takes the unread output of a process that has ended; fails if it shows a bug.
    pub fn take(&mut self, ended: &Finished) -> Result<(), String> {
        self.replies.extend(ended.complete_lines());
        self.written = ended.written;
        if ended.stderr.contains("a bug: ") {
            return Err(ended.stderr.clone());
        }
        let (replies, sent) = (self.replies.len(), self.sent.len());
        if replies > sent {
            return Err(format!("{replies} replies to {sent} requests"));
        }
        Ok(())
    }

    pub fn send(&mut self, node: &Node, request: Request) {
        node.send(&request.line(self.sent.len() as u64));
        self.sent.push(request);
    }

    /// Sends requests of a source and reads replies until `is_over`, with at most `window`
    /// unanswered.
    pub fn stream(
        &mut self,
        node: &Node,
        source: &mut Source,
        window: usize,
        is_over: impl FnMut(&Self) -> bool,
    ) -> Result<(), Stopped> {
        self.stream_of(node, |_| Some(source.next()), window, is_over)
    }

    /// Reads replies until every request is answered.
    pub fn listen_to_the_end(&mut self, node: &Node) -> Result<(), Stopped> {
        self.stream_of(node, |_| None, 0, |life| life.unanswered().is_empty())
    }

    /// As `stream`, with requests from a function of the number sent; `None` sends nothing.
    pub fn stream_of(
        &mut self,
        node: &Node,
        mut request: impl FnMut(usize) -> Option<Request>,
        window: usize,
        mut is_over: impl FnMut(&Self) -> bool,
    ) -> Result<(), Stopped> {
        while !is_over(self) {
            let has_room = self.sent.len() - self.replies.len() < window;
            let next = has_room.then(|| request(self.sent.len())).flatten();
            let wait = if next.is_some() {
                Duration::ZERO
            } else {
                PATIENCE
            };
            if let Some(request) = next {
                self.send(node, request);
            }
            if !self.listen(node, wait)? && !wait.is_zero() {
                return Err(Stopped::Silent);
            }
        }
        Ok(())
    }

    /// True if a reply came within `wait`.
    fn listen(&mut self, node: &Node, wait: Duration) -> Result<bool, Stopped> {
        let line = node.read_line_within(wait);
        let line = line.map_err(|StdoutClosed| Stopped::Closed)?;
        let came = line.is_some();
        self.replies.extend(line);
        Ok(came)
    }

    /// Reads replies until this time.
    pub fn listen_until(&mut self, node: &Node, end: Instant) -> Result<(), Stopped> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            self.listen(node, left)?;
            if left.is_zero() {
                return Ok(());
            }
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "the process ended by itself"),
            Self::Silent => write!(f, "no reply within {PATIENCE:?}"),
        }
    }
}

impl From<Stopped> for String {
    fn from(stopped: Stopped) -> Self {
        stopped.to_string()
    }
}
