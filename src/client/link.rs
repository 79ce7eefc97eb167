//! The connection of a client: it writes requests and reads replies without waiting for one of them
//! alone, keeps what has no reply, and sends it again over a new connection.

use std::collections::VecDeque;
use std::error::Error;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use memchr::memchr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::client::error::{ClientError, ErrorReply, NoConnection};
use crate::protocol::ReplyLine;

/// At most this many requests wait for their replies: enough for several groups of the node.
const MAX_UNANSWERED: usize = 1 << 15;

/// No further request is taken while the unanswered ones have more bytes than this.
const ENOUGH_BYTES: usize = 8 << 20;

/// Requests are written as soon as they have this many bytes.
const WRITE_BYTES: usize = 64 << 10;

/// Most bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// A buffer is moved together when about this many of its bytes are done with.
const MOVE_BYTES: usize = 256 << 10;

/// A connection that was idle for longer than this was a good one, though it gave no reply.
const LONG: Duration = Duration::from_secs(1);

/// Time between two attempts to connect.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Makes a connection to a node.
pub(super) type Connect = Box<dyn FnMut() -> Result<UnixStream, NoConnection> + Send>;

/// Called once when the node has sent nothing for a while, with how long that is.
pub(super) type Tell = Box<dyn FnMut(Duration) + Send>;

/// What is done with a request if the connection ends before its reply.
#[derive(Debug, Clone, Copy)]
pub(super) enum AfterLoss {
    /// It is sent again, as that has no further effect.
    Repeat,
    /// The client stops, as it may have taken effect. Holds the type of the request.
    Stop(&'static str),
    /// The client stops, and the caller may ask again.
    Ask,
    /// It is sent again, unless a part of its records has come: then the client stops.
    AskAgain,
}

/// A request without a reply.
#[derive(Debug)]
struct Unanswered {
    /// Bytes of its line.
    bytes: usize,
    after_loss: AfterLoss,
}

/// A line of a reply.
pub(super) struct Incoming<'a> {
    pub(super) line: ReplyLine<'a>,
    /// False for a record of a query, which further lines follow.
    pub(super) is_last: bool,
}

/// The connection, with the requests that have no reply.
pub(super) struct Link {
    make: Connect,
    stream: Option<UnixStream>,
    unanswered: VecDeque<Unanswered>,
    next_msg_id: u64,
    /// Lines of requests. Those before `answered` have their replies, and those before `written`
    /// were written to the present connection.
    lines: Vec<u8>,
    answered: usize,
    written: usize,
    /// Lines of replies. Those before `taken` are done with, and up to `searched` there is no
    /// newline.
    inbox: Vec<u8>,
    taken: usize,
    searched: usize,
    /// True if the node has ended the present connection.
    is_ended: bool,
    /// True if a part of the records of the first request has come.
    is_in_records: bool,
    /// When the present connection was made.
    connected_at: Instant,
    /// True if the present connection has given a reply.
    has_answered: bool,
    /// True if the last connection ended without any reply.
    was_fruitless: bool,
    /// Since when a connection that gives a reply is tried for.
    lost_since: Option<Instant>,
    /// Why the node did not serve the last connection.
    refusal: Option<ErrorReply>,
    /// How long to try for a connection that gives a reply.
    pub(super) wait: Duration,
    /// How long a node may be silent, and how long it is before that is told.
    pub(super) patience: Duration,
    pub(super) tell: Option<(Duration, Tell)>,
    silent_since: Instant,
    is_told: bool,
}

impl Link {
    pub(super) fn new(connect: Connect, patience: Duration) -> Self {
        Self {
            make: connect,
            stream: None,
            unanswered: VecDeque::new(),
            next_msg_id: 0,
            lines: Vec::new(),
            answered: 0,
            written: 0,
            inbox: Vec::new(),
            taken: 0,
            searched: 0,
            is_ended: false,
            is_in_records: false,
            connected_at: Instant::now(),
            has_answered: false,
            was_fruitless: false,
            lost_since: None,
            refusal: None,
            wait: Duration::ZERO,
            patience,
            tell: None,
            silent_since: Instant::now(),
            is_told: false,
        }
    }

    /// Number of requests without a reply.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// True if another request may be added.
    pub(super) fn has_room(&self) -> bool {
        self.unanswered.len() < MAX_UNANSWERED && self.lines.len() - self.answered < ENOUGH_BYTES
    }

    /// Adds a request. `put` appends its line, which has the given number.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotInTheProtocol`] if `put` returns false.
    pub(super) fn add(
        &mut self,
        after_loss: AfterLoss,
        put: impl FnOnce(&mut Vec<u8>, u64) -> bool,
    ) -> Result<(), ClientError> {
        if self.answered == self.lines.len()
            || self.answered >= self.lines.len().max(MOVE_BYTES) / 2
        {
            self.lines.drain(..self.answered);
            self.written -= self.answered;
            self.answered = 0;
        }
        let before = self.lines.len();
        if !put(&mut self.lines, self.next_msg_id) {
            return Err(ClientError::NotInTheProtocol);
        }
        if self.unanswered.is_empty() {
            self.begin_silence();
        }
        self.next_msg_id += 1;
        let bytes = self.lines.len() - before;
        self.unanswered.push_back(Unanswered { bytes, after_loss });
        if self.lines.len() - self.written >= WRITE_BYTES {
            self.exchange(false, None)?;
        }
        Ok(())
    }

    /// Takes the next line of a reply, if one was read.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotAReply`] if it does not belong to the first request without a reply.
    pub(super) fn take(&mut self) -> Result<Option<Incoming<'_>>, ClientError> {
        let Some(end) = self.line_end() else {
            return Ok(None);
        };
        let from = self.taken;
        (self.taken, self.searched) = (end + 1, end + 1);
        let line = ReplyLine::of(&self.inbox[from..end]).ok_or(ClientError::NotAReply)?;
        let first = self.next_msg_id - self.unanswered.len() as u64;
        if line.in_reply_to.is_none() {
            let (code, text) = line.error().ok_or(ClientError::NotAReply)?;
            // The node does not serve this connection, or no longer.
            self.refusal = Some(ErrorReply { code, text });
            self.is_ended = true;
            return Ok(None);
        }
        if self.unanswered.is_empty() || line.in_reply_to != Some(first) {
            return Err(ClientError::NotAReply);
        }
        let is_last = line.kind != "record";
        self.has_answered = true;
        self.is_in_records = !is_last;
        if is_last {
            let answered = self.unanswered.pop_front();
            self.answered += answered.map_or(0, |answered| answered.bytes);
        }
        Ok(Some(Incoming { line, is_last }))
    }

    /// Writes requests and reads replies. If `waits`, until there is a whole line of a reply, or
    /// `other` can be read. Connects if necessary; after a lost connection, requests without a
    /// reply are sent again.
    ///
    /// # Errors
    ///
    /// Any [`ClientError`] except [`ClientError::NotInTheProtocol`].
    pub(super) fn exchange(
        &mut self,
        waits: bool,
        other: Option<BorrowedFd<'_>>,
    ) -> Result<(), ClientError> {
        loop {
            if self.line_end().is_some() {
                return self.poll(false, None).map(drop);
            }
            if self.is_ended {
                self.lose()?;
                if self.unanswered.is_empty() {
                    // If there is none, it is tried again when there is something to send.
                    self.try_once()?;
                }
            }
            if self.stream.is_none() && !self.unanswered.is_empty() {
                self.reconnect()?;
            }
            let is_other_ready = self.poll(waits, other)?;
            if !waits || is_other_ready {
                return Ok(());
            }
            self.check_silence()?;
        }
    }

    /// Polls once; true if `other` can be read.
    fn poll(&mut self, waits: bool, other: Option<BorrowedFd<'_>>) -> Result<bool, ClientError> {
        let wanted = match self.written < self.lines.len() {
            true => PollFlags::IN | PollFlags::OUT,
            false => PollFlags::IN,
        };
        let stream = self
            .stream
            .as_ref()
            .map(|stream| PollFd::new(stream, wanted));
        let has_stream = stream.is_some();
        let other = other.map(|other| PollFd::from_borrowed_fd(other, PollFlags::IN));
        let mut polled: Vec<PollFd<'_>> = stream.into_iter().chain(other).collect();
        let timeout = match waits {
            true => self.time_to_tell().map(timespec),
            false => Some(Timespec::default()),
        };
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(false),
            Err(error) => return Err(ClientError::System(error.into())),
        }
        let events: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
        let (of_stream, of_other) = events.split_at(usize::from(has_stream));
        let is_readable = of_other.iter().any(|events| !events.is_empty());
        if let Some(events) = of_stream.first().filter(|events| !events.is_empty()) {
            if events.contains(PollFlags::OUT) {
                self.write();
            }
            self.read();
        }
        Ok(is_readable)
    }

    /// Writes as much as the connection takes at once.
    fn write(&mut self) {
        let Some(stream) = &self.stream else { return };
        while self.written < self.lines.len() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::send(stream, &self.lines[self.written..], flags) {
                Ok(written) => self.written += written,
                Err(Errno::INTR) => {}
                // If the connection has ended, a read says so after the last reply.
                Err(_) => return,
            }
        }
    }

    /// Reads what has come.
    fn read(&mut self) {
        let Some(stream) = &self.stream else { return };
        if self.taken == self.inbox.len() {
            self.inbox.clear();
            (self.taken, self.searched) = (0, 0);
        } else if self.taken >= MOVE_BYTES {
            self.inbox.drain(..self.taken);
            (self.taken, self.searched) = (0, self.searched - self.taken);
        }
        let before = self.inbox.len();
        self.inbox.resize(before + READ_BYTES, 0);
        let read = rustix::net::recv(stream, &mut self.inbox[before..], RecvFlags::DONTWAIT);
        let read = read.map(|(read, _)| read);
        self.inbox.truncate(before + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(1..) => self.begin_silence(),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(0) | Err(_) => self.is_ended = true,
        }
    }

    /// Where the next line of the inbox ends.
    fn line_end(&mut self) -> Option<usize> {
        let found = memchr(b'\n', &self.inbox[self.searched..]);
        match found {
            Some(at) => self.searched += at,
            None => self.searched = self.inbox.len(),
        }
        found.map(|_| self.searched)
    }

    /// Drops the connection, and the request that is being answered, which must be the only one
    /// without a reply.
    pub(super) fn abandon(&mut self) {
        self.forget();
        self.is_ended = true;
        self.inbox.clear();
        (self.taken, self.searched) = (0, 0);
    }

    /// Takes everything that was sent for answered.
    fn forget(&mut self) {
        self.unanswered.clear();
        (self.answered, self.written) = (self.lines.len(), self.lines.len());
    }

    /// Gives up the present connection. Everything without a reply will be sent again.
    fn lose(&mut self) -> Result<(), ClientError> {
        // A connection on which nothing was sent for long is no sign of a node that never answers.
        let idle = match self.unanswered.is_empty() {
            true => self.connected_at.elapsed(),
            false => self.silent_since.duration_since(self.connected_at),
        };
        self.was_fruitless = !std::mem::take(&mut self.has_answered) && idle < LONG;
        if !self.was_fruitless {
            self.lost_since = None;
        }
        let was_in_records = std::mem::take(&mut self.is_in_records);
        self.stream = None;
        self.is_ended = false;
        self.inbox.clear();
        (self.taken, self.searched) = (0, 0);
        // Then nothing of this connection was carried out.
        let was_not_served = self.was_fruitless
            && self
                .refusal
                .as_ref()
                .is_some_and(ErrorReply::is_unavailable);
        let mut at = self.answered;
        for (before, request) in self.unanswered.iter().enumerate() {
            match request.after_loss {
                _ if at >= self.written || was_not_served => break,
                AfterLoss::Repeat => at += request.bytes,
                AfterLoss::Stop(kind) => return Err(ClientError::Unclear { kind, before }),
                AfterLoss::AskAgain if before > 0 || !was_in_records => at += request.bytes,
                AfterLoss::AskAgain => return Err(self.ended()),
                AfterLoss::Ask => {
                    // It is the only request without a reply.
                    self.forget();
                    return Err(self.ended());
                }
            }
        }
        self.written = self.answered;
        Ok(())
    }

    /// Why a connection has ended early.
    fn ended(&mut self) -> ClientError {
        match self.refusal.take() {
            Some(refusal) => ClientError::Refused(refusal),
            None => ClientError::Ended,
        }
    }

    /// Connects, if there is no connection.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if there is none in time.
    pub(super) fn connect(&mut self) -> Result<(), ClientError> {
        match self.stream {
            Some(_) => Ok(()),
            None => self.reconnect(),
        }
    }

    /// Tries once to connect. Returns why there is no connection, if a later attempt may succeed.
    fn try_once(&mut self) -> Result<Option<Box<dyn Error + Send + Sync>>, ClientError> {
        match (self.make)() {
            Ok(stream) => {
                self.refusal = None;
                self.stream = Some(stream);
                self.connected_at = Instant::now();
                self.begin_silence();
                Ok(None)
            }
            Err(NoConnection::Yet(why)) => Ok(Some(why)),
            Err(NoConnection::Ever(_)) if self.refusal.is_some() => Err(self.ended()),
            Err(NoConnection::Ever(why)) => {
                let why = why.downcast().map(|error| *error);
                Err(why.unwrap_or_else(ClientError::NoConnection))
            }
        }
    }

    /// Connects, and tries again until the time is over.
    fn reconnect(&mut self) -> Result<(), ClientError> {
        let lost_since = *self.lost_since.get_or_insert_with(Instant::now);
        if std::mem::take(&mut self.was_fruitless) {
            let is_final = |refusal: &ErrorReply| !refusal.is_temporary();
            let waited = lost_since.elapsed();
            if waited > self.wait || self.refusal.as_ref().is_some_and(is_final) {
                return Err(self.ended());
            }
            sleep(TRY_EVERY);
        }
        loop {
            let waited = lost_since.elapsed();
            match self.try_once()? {
                None => return Ok(()),
                Some(source) if waited > self.wait => {
                    return Err(ClientError::Unreachable { waited, source });
                }
                Some(_) => sleep(TRY_EVERY),
            }
        }
    }

    fn begin_silence(&mut self) {
        self.silent_since = Instant::now();
        self.is_told = false;
    }

    /// How long to wait until a silence must be told, or ends the patience; `None` if no reply is
    /// due.
    fn time_to_tell(&self) -> Option<Duration> {
        if self.unanswered.is_empty() {
            return None;
        }
        let tell = self.tell.as_ref().filter(|_| !self.is_told);
        let limit = tell.map_or(self.patience, |(after, _)| self.patience.min(*after));
        Some(limit.saturating_sub(self.silent_since.elapsed()))
    }

    fn check_silence(&mut self) -> Result<(), ClientError> {
        let waited = self.silent_since.elapsed();
        if self.unanswered.is_empty() {
            return Ok(());
        }
        if waited >= self.patience {
            let waited = self.patience;
            return Err(ClientError::Silent { waited });
        }
        if let Some((after, tell)) = &mut self.tell
            && waited >= *after
            && !std::mem::replace(&mut self.is_told, true)
        {
            tell(*after);
        }
        Ok(())
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    }
}
