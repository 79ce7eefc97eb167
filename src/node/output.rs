//! The output of the node: replies on their way to a reader that may be slow or stop reading.
//!
//! The thread that writes is not scoped. If the operating system cannot write without waiting, a
//! write may never return, and the node must end all the same.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use tracing::warn;

use crate::driver::Place;
use crate::node::error::NodeError;
use crate::node::monitor::Monitor;
use crate::node::outbox::{Backlog, LOOK_EVERY, Outbox, Part};
use crate::node::stop::{Stop, StopAtEnd};
use crate::protocol::ReplyWriter;
use crate::store::threads;

/// The input is not read while more bytes than this wait to be written.
const ENOUGH_WAITING_BYTES: usize = 16 << 20;

/// A warning is logged when the output has taken nothing for this long.
const NOTICE_AFTER: Duration = Duration::from_secs(10);

/// A pipe with room takes this many bytes without waiting (`PIPE_BUF` of Linux).
const ROOM_BYTES: usize = 4096;

/// Where the replies of a node go.
#[derive(Debug)]
pub struct ReplyOutput {
    descriptor: OwnedFd,
    spell: Option<fn(&str) -> String>,
}

impl<T: Into<OwnedFd>> From<T> for ReplyOutput {
    fn from(descriptor: T) -> Self {
        Self {
            descriptor: descriptor.into(),
            spell: None,
        }
    }
}

impl ReplyOutput {
    /// Sets a function that rewrites whole lines without changing their meaning, for example so
    /// that they cannot steer a terminal.
    #[must_use]
    pub fn formatted_by(self, spell: fn(&str) -> String) -> Self {
        Self {
            spell: Some(spell),
            ..self
        }
    }
}

/// Notes that nothing more is written when the writing thread ends, also by a panic.
struct EndAtDrop(Arc<Backlog>);

impl Drop for EndAtDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The thread that writes to the output.
pub(super) struct Output {
    thread: JoinHandle<io::Result<()>>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
    backlog: Arc<Backlog>,
}

impl Output {
    /// Starts the thread, and returns the outbox that it writes from.
    pub(super) fn start(
        output: ReplyOutput,
        stop: &Stop,
        monitor: &Monitor,
    ) -> Result<(Self, Arc<Outbox>), NodeError> {
        let (outbox, parts, backlog) = Outbox::new(ENOUGH_WAITING_BYTES);
        let (end, ended) = bounded(0);
        let writing = Arc::new(Mutex::new(Writing {
            target: Target::of(output.descriptor).map_err(NodeError::Output)?,
            spell: output.spell,
            writer: ReplyWriter::for_output(monitor.errors().clone()),
            replies: Vec::new(),
            error: None,
            backlog: Arc::clone(&backlog),
            stop: stop.clone(),
            monitor: monitor.clone(),
        }));
        let direct = Arc::clone(&writing);
        let outbox = outbox.with_direct(Box::new(move |part| match direct.try_lock() {
            Some(mut writing) => writing.write_now(part),
            None => Some(part),
        }));
        let stop = stop.clone();
        let ending = EndAtDrop(Arc::clone(&backlog));
        let write = move || {
            let _end = end;
            let _backlog = ending;
            let _stop = StopAtEnd(&stop);
            run(&writing, &parts)
        };
        let output = Self {
            thread: threads::start("output", write)?,
            ended,
            backlog,
        };
        Ok((output, Arc::new(outbox)))
    }

    /// Waits until everything is written; the outbox must be dropped before. After a signal or a
    /// failure it waits only while the reader takes something.
    pub(super) fn finish(self, stop: &Stop) -> Result<(), NodeError> {
        while self.ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            if self.backlog.is_given_up(stop) {
                return Err(NodeError::Output(given_up(stop)));
            }
        }
        let written = self.thread.join();
        let written = written.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.map_err(NodeError::Output)
    }
}

fn given_up(stop: &Stop) -> io::Error {
    let why = if stop.is_requested_again() {
        "a second signal came while standard output took nothing"
    } else {
        "standard output took nothing for 10 s while the process was ending"
    };
    io::Error::new(ErrorKind::TimedOut, why)
}

/// Writes the parts that could not be written at once, until no more come.
fn run(writing: &Mutex<Writing>, parts: &Receiver<Part>) -> io::Result<()> {
    while let Ok(part) = parts.recv() {
        let mut writing = writing.lock();
        let bytes = part.bytes();
        if let Err(error) = writing.write_part(part, parts.is_empty()) {
            writing.fail(error);
        }
        if writing.error.is_some() {
            break;
        }
        writing.backlog.answered(bytes);
    }
    let mut writing = writing.lock();
    if let Some(error) = writing.error.take() {
        return Err(error);
    }
    // If the storage has failed, the part that was to follow these replies may never come.
    let mut replies = std::mem::take(&mut writing.replies);
    writing.write(&mut replies)
}

/// The writing of replies to the output.
struct Writing {
    target: Target,
    /// Rewrites lines for the reader, if given.
    spell: Option<fn(&str) -> String>,
    writer: ReplyWriter,
    /// Replies that are formatted and not written.
    replies: Vec<u8>,
    /// The error that ended the writing.
    error: Option<io::Error>,
    backlog: Arc<Backlog>,
    stop: Stop,
    monitor: Monitor,
}

impl Writing {
    /// Writes a part if that surely needs no waiting, and returns what is left. A little is kept
    /// back if another part follows.
    fn write_now(&mut self, part: Part) -> Option<Part> {
        let takes_all = self.target.kind == Kind::File;
        let (lines, place) = match part {
            Part::Lines { lines, place, .. }
                if self.spell.is_none() && (takes_all || lines.are_few()) =>
            {
                (lines, place)
            }
            part => return Some(part),
        };
        let started = Instant::now();
        let mut replies = std::mem::take(&mut self.replies);
        let target = &mut self.target;
        let spelled = lines.spell(&mut self.writer, &mut replies, |replies| {
            target.put(replies)
        });
        let written = spelled.and_then(|_| match place {
            Place::Within => Ok(()),
            Place::Last => target.put(&mut replies),
        });
        self.replies = replies;
        self.monitor.clock().replied(started);
        match written {
            Ok(()) if self.replies.is_empty() || place == Place::Within => None,
            Ok(()) => Some(Part::Rest(self.replies.len())),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// Writes a part, and waits for room. A little is kept back if another part waits or follows at
    /// once.
    fn write_part(&mut self, part: Part, mut is_last: bool) -> io::Result<()> {
        let started = Instant::now();
        let mut replies = std::mem::take(&mut self.replies);
        let mut writer = std::mem::take(&mut self.writer);
        let mut result = match part {
            Part::Rest(_) => self.write(&mut replies),
            Part::Lines { lines, place, .. } => {
                is_last &= place == Place::Last;
                let spelled = lines.spell(&mut writer, &mut replies, |replies| self.write(replies));
                spelled.map(drop)
            }
        };
        if result.is_ok() && is_last {
            result = self.write(&mut replies);
        }
        (self.replies, self.writer) = (replies, writer);
        self.monitor.clock().replied(started);
        result
    }

    /// Notes the error that ends the writing.
    fn fail(&mut self, error: io::Error) {
        self.error = Some(error);
        self.stop.request();
        self.backlog.end();
    }

    /// Writes everything, and waits for room.
    fn write(&mut self, replies: &mut Vec<u8>) -> io::Result<()> {
        if replies.is_empty() {
            return Ok(());
        }
        if let Some(spell) = self.spell {
            *replies = spell(&String::from_utf8_lossy(replies)).into_bytes();
        }
        let mut is_told = false;
        let mut left = &replies[..];
        self.backlog.taken();
        while !left.is_empty() {
            match self.target.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    left = &left[written..];
                    self.has_taken(&mut is_told);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait_for_room(&mut is_told)?;
                }
                Err(error) => return Err(error),
            }
        }
        self.backlog.written();
        replies.clear();
        Ok(())
    }

    fn has_taken(&self, is_told: &mut bool) {
        self.backlog.taken();
        if std::mem::take(is_told) {
            warn!("standard output takes replies again");
        }
    }

    fn wait_for_room(&mut self, is_told: &mut bool) -> io::Result<()> {
        self.backlog.has_no_room();
        if self.target.wait_for_room()? {
            self.has_taken(is_told);
        }
        if self.backlog.is_given_up(&self.stop) {
            return Err(given_up(&self.stop));
        }
        if !*is_told && self.backlog.blocked_for() > NOTICE_AFTER {
            *is_told = true;
            warn!(
                "standard output has taken no reply for {} s; standard input is read on when its \
                 reader goes on",
                NOTICE_AFTER.as_secs()
            );
        }
        Ok(())
    }
}

/// The output, and how to write to it without waiting. The flags of its descriptor are not changed,
/// as other processes may share them.
struct Target {
    output: File,
    kind: Kind,
    /// Bytes in a pipe that its reader has not taken.
    untaken: Option<u64>,
}

/// Kinds of output, by how a write does not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A file takes everything at once.
    File,
    /// A pipe or a terminal, opened again with its own flags.
    OpenedAnew,
    /// A socket: each write has a flag not to wait.
    Socket,
    /// Anything else: `poll` finds room, and each write is small.
    Shared,
}

impl Target {
    fn of(output: OwnedFd) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&output)?.st_mode);
        let output = File::from(output);
        let (output, kind) = match kind {
            FileType::Socket => (output, Kind::Socket),
            _ if kind != FileType::Fifo && !output.is_terminal() => (output, Kind::File),
            _ => match open_anew(&output) {
                Ok(anew) => (anew, Kind::OpenedAnew),
                Err(_) => (output, Kind::Shared),
            },
        };
        Ok(Self {
            output,
            kind,
            untaken: None,
        })
    }

    /// Writes some of the bytes; [`ErrorKind::WouldBlock`] if there is no room.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let output = &mut self.output;
        match self.kind {
            Kind::File | Kind::OpenedAnew => output.write(bytes),
            Kind::Socket => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                Ok(rustix::net::send(&*output, bytes, flags)?)
            }
            Kind::Shared => {
                let at_once = Timespec::default();
                match poll(&mut [PollFd::new(output, PollFlags::OUT)], Some(&at_once))? {
                    0 => Err(ErrorKind::WouldBlock.into()),
                    _ => output.write(&bytes[..bytes.len().min(ROOM_BYTES)]),
                }
            }
        }
    }

    /// Writes as much as there is room for, and leaves the rest in `bytes`.
    fn put(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut written = 0;
        let mut result = Ok(());
        while written < bytes.len() {
            match self.write(&bytes[written..]) {
                Ok(0) => result = Err(ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        bytes.drain(..written);
        result
    }

    /// Waits for room, at most [`LOOK_EVERY`]. True if the reader has taken something, even if that
    /// makes no room yet.
    fn wait_for_room(&mut self) -> io::Result<bool> {
        let look_every = Timespec {
            tv_sec: 0,
            tv_nsec: LOOK_EVERY.as_nanos() as i64,
        };
        let mut wanted = [PollFd::new(&self.output, PollFlags::OUT)];
        match poll(&mut wanted, Some(&look_every)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let now = rustix::io::ioctl_fionread(&self.output).ok();
        let before = std::mem::replace(&mut self.untaken, now);
        Ok(before.zip(now).is_some_and(|(before, now)| now < before))
    }
}

/// Opens a pipe or a terminal again, so that writes to it do not wait.
fn open_anew(output: &File) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let path = format!("/proc/self/fd/{}", output.as_raw_fd());
    let mut options = File::options();
    options.write(true).custom_flags(flags.bits() as i32);
    options.open(path)
}
