//! One process from its start to its end, nearly always by SIGKILL.

use super::pattern::{Pattern, Shot, Timed};
use super::source::Source;
use crate::calls::Hit;
use crate::client::{Ended, Node, PATIENCE, StdoutClosed};
use crate::command::binary;
use crate::oracle::Request;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Where a process lives.
pub struct Home {
    pub data: PathBuf,
    /// Where it is told which call killed it.
    pub note: PathBuf,
    pub autocommit: bool,
}

/// What was sent in one life and what was answered; the `msg_id` is the index.
#[derive(Debug, Default)]
pub struct Life {
    pub sent: Vec<Request>,
    /// The replies to the first of `sent`.
    pub replies: Vec<String>,
    /// How many of `sent` were in the pipe, or read from it, when the end came.
    pub written: usize,
}

/// How a life ended.
#[derive(Debug)]
pub enum End {
    /// At a call.
    Hit(Hit),
    /// By a kill from outside.
    Killed,
    /// Its requests were all answered before it made the call to be killed at.
    Clean,
}

/// Why no further reply comes.
#[derive(Debug)]
pub enum Stopped {
    Closed,
    Silent,
}

impl Home {
    pub fn below(home: &Path) -> Self {
        let home = home.canonicalize().expect("it is there");
        Self {
            autocommit: false,
            data: home.join("data"),
            note: home.join("note"),
        }
    }

    fn command(&self) -> Command {
        let mut command = binary();
        // So many snapshots of the counts, runs of the index and openings of sled that kills fall
        // into them too; and ids that share their fingerprints.
        command.args(["--snapshot-every", "40", "--run-every", "10"]);
        command.args([
            "--reopen-bytes",
            "30000",
            "--fingerprint-bits",
            "8",
            "--data-dir",
        ]);
        command.arg(&self.data);
        command.args(self.autocommit.then_some("--autocommit"));
        command
    }
}

/// Starts a process, has it work on what `source` gives, and sees it end as the pattern says.
pub fn live(home: &Home, pattern: Pattern, source: &mut Source) -> Result<(Life, End), String> {
    let mut life = Life::default();
    let end = match pattern {
        Pattern::AtCall(shot) => life.until_call(home, shot, source)?,
        Pattern::AtTime(timed) => life.until_killed(home, timed, source)?,
    };
    Ok((life, end))
}

impl Life {
    fn until_call(&mut self, home: &Home, shot: Shot, source: &mut Source) -> Result<End, String> {
        let mut command = home.command();
        shot.aim().arm(&mut command, &home.data, &home.note);
        let node = Node::start_as(command);
        let request = |sent| (sent < shot.total).then(|| shot.request(sent, source));
        let is_over = |life: &Self| life.replies.len() == shot.total;
        match self.stream_of(&node, request, shot.window, is_over) {
            Ok(()) | Err(Stopped::Closed) => {}
            Err(stopped) => return Err(stopped.into()),
        }
        let ended = node.finish();
        self.take(&ended)?;
        match (Hit::take(&home.note), ended.status.signal()) {
            (Some(hit), Some(9)) => Ok(End::Hit(hit)),
            (None, None) if ended.status.success() && is_over(self) => Ok(End::Clean),
            (hit, _) => Err(format!(
                "{} of {} answered, hit {hit:?}, ended with {}: {}",
                self.replies.len(),
                self.sent.len(),
                ended.status,
                ended.stderr
            )),
        }
    }

    fn until_killed(
        &mut self,
        home: &Home,
        timed: Timed,
        source: &mut Source,
    ) -> Result<End, String> {
        let node = Node::start_as(home.command());
        let outcome = match timed {
            Timed::DuringOpen { requests, delay } => {
                (0..requests).for_each(|_| self.send(&node, source.next()));
                self.listen_until(&node, Instant::now() + delay)
            }
            Timed::AfterReplies { replies, window } => {
                let is_over = |life: &Self| life.replies.len() >= replies;
                self.stream(&node, source, window, is_over)
            }
            Timed::AfterDelay { delay, window } => {
                let mut end = None;
                let is_over = |life: &Self| {
                    let now = Instant::now();
                    !life.replies.is_empty() && now >= *end.get_or_insert(now + delay)
                };
                self.stream(&node, source, window, is_over)
            }
        };
        self.kill(node, outcome).map(|()| End::Killed)
    }

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

    /// Takes what nobody had read yet of a process that has ended.
    pub fn take(&mut self, ended: &Ended) -> Result<(), String> {
        self.replies.extend(ended.unread_lines());
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

    fn send(&mut self, node: &Node, request: Request) {
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

    fn stream_of(
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

    fn listen_until(&mut self, node: &Node, end: Instant) -> Result<(), Stopped> {
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
