//! One process from its start to its SIGKILL.

use super::source::Source;
use crate::client::{Ended, Node, PATIENCE};
use crate::oracle::Request;
use rand::{Rng, RngExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// When the kill comes, and how many requests may be unanswered before the source waits.
#[derive(Clone, Copy, Debug)]
pub enum Pattern {
    /// This long after the start, with so many requests written at once.
    DuringOpen { requests: usize, delay: Duration },
    /// As soon as so many replies were seen.
    AfterReplies { replies: usize, window: usize },
    /// This long after the first reply.
    AfterDelay { delay: Duration, window: usize },
}

/// What was sent in one life and what was answered; the `msg_id` is the index.
#[derive(Debug, Default)]
pub struct Life {
    pub sent: Vec<Request>,
    /// The replies to the first of `sent`.
    pub replies: Vec<String>,
    /// How many of `sent` were in the pipe, or read from it, when the kill came.
    pub written: usize,
}

/// From the very start of the process to well after the open of a small state.
pub fn delay(rng: &mut impl Rng) -> Duration {
    Duration::from_micros(rng.random_range(0..30_000))
}

impl Pattern {
    pub fn during_open(rng: &mut impl Rng) -> Self {
        let requests = if rng.random_bool(0.5) {
            rng.random_range(1..50)
        } else {
            0
        };
        Self::DuringOpen {
            requests,
            delay: delay(rng),
        }
    }

    pub fn busy(rng: &mut impl Rng) -> Self {
        // Lone requests, small groups, and as much as the pipes hold.
        let window = match rng.random_range(0..4) {
            0 => rng.random_range(1..4),
            1 => rng.random_range(4..100),
            _ => rng.random_range(100..1500),
        };
        if rng.random_bool(0.5) {
            let most = if window < 4 { 20 } else { 300 };
            return Self::AfterReplies {
                replies: rng.random_range(1..most),
                window,
            };
        }
        Self::AfterDelay {
            delay: Duration::from_micros(rng.random_range(0..8_000)),
            window,
        }
    }
}

/// Starts a process on `dir`, has it work on what `source` gives, and kills it.
pub fn live(dir: &Path, pattern: Pattern, source: &mut Source) -> Result<Life, String> {
    // So many snapshots of the counts that kills fall into them too.
    let node = Node::start(Some(dir), &["--snapshot-every", "40"]);
    let mut life = Life::default();
    let outcome = match pattern {
        Pattern::DuringOpen { requests, delay } => {
            (0..requests).for_each(|_| life.send(&node, source));
            life.listen_until(&node, Instant::now() + delay)
        }
        Pattern::AfterReplies { replies, window } => {
            life.stream(&node, source, window, |life| life.replies.len() >= replies)
        }
        Pattern::AfterDelay { delay, window } => {
            let mut end = None;
            life.stream(&node, source, window, |life| {
                let now = Instant::now();
                !life.replies.is_empty() && now >= *end.get_or_insert(now + delay)
            })
        }
    };
    life.kill(node, outcome)
}

impl Life {
    /// Kills the process, of which `outcome` is known so far, and takes what it had still answered.
    pub fn kill(mut self, node: Node, outcome: Result<(), String>) -> Result<Self, String> {
        self.written = node.written();
        let ended = node.kill();
        outcome.map_err(|reason| format!("{reason}: {}", ended.stderr))?;
        self.end(&ended)?;
        Ok(self)
    }

    /// Takes what the process had still answered when it ended.
    pub fn end(&mut self, ended: &Ended) -> Result<(), String> {
        self.replies.extend(ended.unread_lines());
        let (replies, sent) = (self.replies.len(), self.sent.len());
        if replies > sent {
            return Err(format!("{replies} replies to {sent} requests"));
        }
        Ok(())
    }

    /// What may or may not have been applied.
    pub fn unanswered(&self) -> &[Request] {
        &self.sent[self.replies.len()..]
    }

    fn send(&mut self, node: &Node, source: &mut Source) {
        let request = source.next();
        node.send(&request.line(self.sent.len() as u64));
        self.sent.push(request);
    }

    /// Sends and listens until `is_over`, with at most `window` requests unanswered.
    pub fn stream(
        &mut self,
        node: &Node,
        source: &mut Source,
        window: usize,
        mut is_over: impl FnMut(&Self) -> bool,
    ) -> Result<(), String> {
        while !is_over(self) {
            let has_room = self.sent.len() - self.replies.len() < window;
            if has_room {
                self.send(node, source);
            }
            if has_room {
                self.listen(node, Duration::ZERO)?;
            } else {
                self.await_reply(node)?;
            }
        }
        Ok(())
    }

    fn await_reply(&mut self, node: &Node) -> Result<(), String> {
        match self.listen(node, PATIENCE)? {
            true => Ok(()),
            false => Err(format!("no reply within {PATIENCE:?}")),
        }
    }

    /// Listens until everything is answered.
    pub fn listen_to_the_end(&mut self, node: &Node) -> Result<(), String> {
        while !self.unanswered().is_empty() {
            self.await_reply(node)?;
        }
        Ok(())
    }

    /// Whether a reply came within `wait`.
    fn listen(&mut self, node: &Node, wait: Duration) -> Result<bool, String> {
        let line = node.read_line_within(wait);
        let line = line.map_err(|_| "the process ended by itself".to_owned())?;
        let came = line.is_some();
        self.replies.extend(line);
        Ok(came)
    }

    fn listen_until(&mut self, node: &Node, end: Instant) -> Result<(), String> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            self.listen(node, left)?;
            if left.is_zero() {
                return Ok(());
            }
        }
    }
}
