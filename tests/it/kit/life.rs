//! What was sent in one life of a node, and what was answered.

use super::node::{Node, StdoutClosed};
use super::process::Finished;
use super::source::Source;
use super::wait::PATIENCE;
use crate::oracle::Request;
use std::fmt;
use std::time::{Duration, Instant};

/// What was sent in one life and what was answered; the `msg_id` is the index.
#[derive(Debug, Default)]
pub struct Life {
    pub sent: Vec<Request>,
    /// The replies to the first of `sent`.
    pub replies: Vec<String>,
    /// How many of `sent` were in the pipe, or read from it, when the end came.
    pub written: usize,
}

/// Why no further reply comes.
#[derive(Debug)]
pub enum Stopped {
    Closed,
    Silent,
}

impl Life {
    /// Kills the process, of which `outcome` is known so far, and takes what it had still answered.
    pub fn kill(
        &mut self,
        node: Node,
        outcome: Result<(), impl fmt::Display>,
    ) -> Result<(), String> {
        let ended = node.kill();
        outcome.map_err(|reason| format!("{reason}: {}", ended.stderr))?;
        self.take(&ended)
    }

    /// What may or may not have been applied.
    pub fn unanswered(&self) -> &[Request] {
        &self.sent[self.replies.len()..]
    }

    /// Takes what was not read yet of a process that has ended.
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

    /// Sends a request.
    pub fn send(&mut self, node: &Node, request: Request) {
        node.send(&request.line(self.sent.len() as u64));
        self.sent.push(request);
    }

    /// Sends what a source gives and listens until `is_over`, with at most `window` requests
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

    /// Listens until everything is answered.
    pub fn listen_to_the_end(&mut self, node: &Node) -> Result<(), Stopped> {
        self.stream_of(node, |_| None, 0, |life| life.unanswered().is_empty())
    }

    /// The same of what a function gives for how many requests were sent: nothing more where it
    /// gives none.
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

    /// Whether a reply came within `wait`.
    fn listen(&mut self, node: &Node, wait: Duration) -> Result<bool, Stopped> {
        let line = node.read_line_within(wait);
        let line = line.map_err(|StdoutClosed| Stopped::Closed)?;
        let came = line.is_some();
        self.replies.extend(line);
        Ok(came)
    }

    /// Takes replies until this time.
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
