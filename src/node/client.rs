//! A client of the control socket: the thread that writes its replies.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use memchr::memchr;
use rustix::net::SendFlags;
use rustix::net::sockopt::{set_socket_send_buffer_size, socket_send_buffer_size};
use tracing::warn;

use crate::node::Stop;
use crate::node::lines::WRITE_BYTES;

use crate::node::outbox::{Backlog, LOOK_EVERY, Outbox, Part};
use crate::node::places::Place;
use crate::node::service::Service;
use crate::protocol::{ErrorCounts, ReplyWriter};

/// A client's requests are not read while more bytes than this wait to be written to it.
const ENOUGH_WAITING_BYTES: usize = 256 << 10;

/// Capacity of the buffer that a client keeps between replies.
const IDLE_BYTES: usize = 4 << 10;

/// A client that has taken nothing for this long is dropped once the node is ending.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(2);

/// Time for all of a client's replies once the node is ending.
const TIME_AT_THE_END: Duration = Duration::from_secs(10);

/// The last message to a client that is dropped because another one needs its place.
const DROPPED: &str = "dropped, as it had taken no reply for 30 s and another client needed its \
     place; ask again, and read on without a pause";

/// The last message to a client that the ending node does not wait for.
const LEFT_AT_THE_END: &str = "the process is ending and does not wait any longer for its replies \
     to be taken; ask again";

/// The stream of a client, shared by its reading and its writing thread.
#[derive(Debug, Clone)]
pub(super) struct ClientStream(Arc<UnixStream>);

impl ClientStream {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(Arc::new(stream))
    }

    /// Tells the client why it is not served, if the socket has room for that, and ends the
    /// writing.
    pub(super) fn refuse(&self, why: &str, errors: &ErrorCounts) {
        let mut line = Vec::new();
        ReplyWriter::for_control(errors.clone()).unavailable(&mut line, why);
        self.end_with(&line);
    }

    /// Writes the last bytes, after enlarging the socket's buffer, which may be full.
    fn end_with(&self, bytes: &[u8]) {
        if let Ok(size) = socket_send_buffer_size(&self.0) {
            // Linux doubles the size that is set.
            set_socket_send_buffer_size(&self.0, size).unwrap_or_default();
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // A client that is gone, or whose buffer is still full, only sees the connection end.
        rustix::net::send(&self.0, bytes, flags).unwrap_or_default();
        self.0.shutdown(Shutdown::Write).unwrap_or_default();
    }
}

impl Read for ClientStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl AsFd for ClientStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Starts the thread that writes to a client, and returns the outbox that it writes from. The
/// client keeps its place until that thread ends, even if it sends nothing more.
pub(super) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    stream: &ClientStream,
    service: &Service<'scope>,
    place: impl FnOnce(&Arc<Backlog>) -> Arc<Place>,
) -> io::Result<Arc<Outbox>> {
    stream.0.set_write_timeout(Some(LOOK_EVERY))?;
    let (outbox, parts, backlog) = Outbox::new(ENOUGH_WAITING_BYTES);
    let place = place(&backlog);
    let output = ClientOutput {
        stream: stream.clone(),
        stop: service.stop,
        errors: service.monitor.errors().clone(),
        backlog,
        lines: Vec::new(),
        ending_since: None,
    };
    let writing = move || {
        let _place = place;
        output.run(&parts);
    };
    thread::Builder::new().spawn_scoped(scope, writing)?;
    Ok(Arc::new(outbox))
}

/// The writing end of a client.
struct ClientOutput<'a> {
    stream: ClientStream,
    stop: &'a Stop,
    errors: ErrorCounts,
    backlog: Arc<Backlog>,
    /// Lines that are not written yet.
    lines: Vec<u8>,
    /// When this thread first saw that the node is ending.
    ending_since: Option<Instant>,
}

impl ClientOutput<'_> {
    /// Writes the client's replies until there are no more or the client does not take them.
    fn run(mut self, parts: &Receiver<Part>) {
        let mut writer = ReplyWriter::for_control(self.errors.clone());
        while let Ok(part) = parts.recv() {
            let bytes = part.bytes();
            if self.write_part(part, &mut writer).is_err() {
                break;
            }
            self.backlog.answered(bytes);
            // An idle client must take little memory.
            self.lines.shrink_to(IDLE_BYTES);
        }
        self.backlog.end();
        // This also ends the thread that reads from the client. The client still gets what was
        // sent.
        let _ = self.stream.0.shutdown(Shutdown::Both);
    }

    fn write_part(&mut self, part: Part, writer: &mut ReplyWriter) -> io::Result<()> {
        let Part::Lines {
            lines: answered,
            state,
            ..
        } = part
        else {
            return Ok(());
        };
        let mut lines = std::mem::take(&mut self.lines);
        let query = answered.spell(writer, &mut lines, |lines| {
            let written = self.write(lines);
            lines.clear();
            written
        });
        self.lines = lines;
        if let Some((query, state)) = query?.zip(state) {
            query.answer(*state, |parts| self.add_line(parts))?;
        }
        self.flush()
    }

    /// Adds a line, given in parts.
    fn add_line(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        parts
            .iter()
            .for_each(|part| self.lines.extend_from_slice(part));
        if self.lines.len() >= WRITE_BYTES {
            return self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut lines = std::mem::take(&mut self.lines);
        let written = self.write(&lines);
        lines.clear();
        self.lines = lines;
        written
    }

    /// Writes whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut written = 0;
        self.backlog.taken();
        while written < lines.len() {
            if let Some(why) = self.why_dropped() {
                warn!("a client of the control socket is told: {why}");
                self.end_with(why, &lines[..written], &lines[written..]);
                return Err(ErrorKind::TimedOut.into());
            }
            match (&*self.stream.0).write(&lines[written..]) {
                Ok(bytes) => {
                    written += bytes;
                    self.backlog.taken();
                }
                Err(error) if is_no_end(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.backlog.written();
        Ok(())
    }

    /// Returns why the client is dropped, if it is.
    fn why_dropped(&mut self) -> Option<&'static str> {
        if self.backlog.is_dropped() {
            return Some(DROPPED);
        }
        if !self.stop.is_requested() {
            return None;
        }
        let since = *self.ending_since.get_or_insert_with(Instant::now);
        let is_over = self.stop.is_requested_again()
            || since.elapsed() > TIME_AT_THE_END
            || self.backlog.blocked_for() > PATIENCE_AT_THE_END;
        is_over.then_some(LEFT_AT_THE_END)
    }

    /// Completes the line that is half written, and adds a line that says why no more follow.
    fn end_with(&self, why: &str, written: &[u8], left: &[u8]) {
        let mut last = Vec::new();
        if written.last().is_some_and(|&byte| byte != b'\n') {
            let end = memchr(b'\n', left).map_or(left.len(), |at| at + 1);
            last.extend_from_slice(&left[..end]);
        }
        ReplyWriter::for_control(self.errors.clone()).given_up(&mut last, why);
        self.stream.end_with(&last);
    }
}

fn is_no_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
