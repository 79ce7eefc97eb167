//! A client of the control socket: its replies on their way out.

use std::io::{self, BufWriter, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use tracing::warn;

use crate::error::StorageError;
use crate::inspect::{InspectError, Inspection, ProcessStats, Query};
use crate::node::{Stop, yield_to_others};
use crate::protocol::{AnswerWriter, ReplyWriter};
use crate::store::DurableState;

/// A client is not read while more replies than this wait for it.
const ENOUGH_WAITING_BYTES: usize = 1 << 20;

/// A client is dropped when more replies than this wait for it: what it has asked for in one read
/// may be answered by that much.
const TOO_MANY_WAITING_BYTES: usize = 16 << 20;

/// Bytes that are written at once: as few writes as possible, as each wakes the client up.
const BUFFER_BYTES: usize = 128 << 10;

/// What a question that waits counts for.
const QUESTION_BYTES: usize = 64 << 10;

/// A client that has taken nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same once the node is ending, and how long all of a client's replies may take then.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(2);
const TIME_AT_THE_END: Duration = Duration::from_secs(10);

/// How often a write that waits looks whether it should go on.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a client is told that is one too many.
pub(super) const TOO_MANY: &[u8] =
    b"{\"type\": \"error\", \"code\": 11, \"text\": \"too many clients; try again later\"}\n";

/// A question with whom to answer, and the figures of the process when it came.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) query: Query,
    pub(super) to: AnswerWriter,
    pub(super) process: ProcessStats,
}

/// A part of what a client is answered.
enum Part {
    Replies(Vec<u8>),
    Answer(Box<Question>, Box<DurableState>),
}

impl Part {
    fn bytes(&self) -> usize {
        match self {
            Self::Replies(bytes) => bytes.len(),
            Self::Answer(..) => QUESTION_BYTES,
        }
    }
}

/// How much waits for a client.
#[derive(Debug, Default)]
struct Backlog {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: usize,
    /// Whether nothing more is written to the client.
    is_gone: bool,
}

impl Backlog {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client. It ends when the last one lets go of it: its reader, and whoever holds a request or a
/// reply of its.
#[derive(Debug)]
pub(super) struct Client {
    outbox: Sender<Part>,
    backlog: Arc<Backlog>,
    /// How its replies are written; only one thread does so.
    writer: Mutex<ReplyWriter>,
}

impl Client {
    /// Starts the thread that writes to a client, and returns the stream to read from.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        stream: UnixStream,
        stop: &'scope Stop,
        held: Arc<()>,
    ) -> io::Result<(Arc<Self>, UnixStream)> {
        stream.set_write_timeout(Some(LOOK_EVERY))?;
        let input = stream.try_clone()?;
        let (outbox, parts) = unbounded();
        let backlog = Arc::new(Backlog::default());
        let client = Self {
            outbox,
            backlog: Arc::clone(&backlog),
            writer: Mutex::new(ReplyWriter::for_control()),
        };
        let writing = move || {
            // Whoever is written to counts as a client, whether or not it asks for more.
            let _held = held;
            let output = ClientOutput {
                stream,
                stop,
                last_taken: Instant::now(),
                ending_since: None,
            };
            write(output, &parts, &backlog);
        };
        thread::Builder::new().spawn_scoped(scope, writing)?;
        Ok((Arc::new(client), input))
    }

    /// Tells a client why it is not served. Whether it hears that is its own business.
    pub(super) fn refuse(mut stream: UnixStream, why: &[u8]) {
        stream
            .set_write_timeout(Some(LOOK_EVERY))
            .unwrap_or_default();
        stream.write_all(why).unwrap_or_default();
    }

    /// How the client's replies are written.
    pub(super) fn writer(&self) -> MutexGuard<'_, ReplyWriter> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until few replies wait; false if the client is gone or a stop is requested.
    pub(super) fn wait_until_replies_go(&self, stop: &Stop) -> bool {
        let mut waiting = self.backlog.lock();
        loop {
            if waiting.is_gone || stop.is_requested() {
                return false;
            }
            if waiting.bytes <= ENOUGH_WAITING_BYTES {
                return true;
            }
            let woken = self.backlog.changed.wait_timeout(waiting, LOOK_EVERY);
            (waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sends replies on their way; never waits.
    pub(super) fn reply(&self, replies: Vec<u8>) {
        if !replies.is_empty() {
            self.push(Part::Replies(replies));
        }
    }

    /// Has a question answered from what is durable; never waits.
    pub(super) fn answer(&self, question: Box<Question>, state: DurableState) {
        self.push(Part::Answer(question, Box::new(state)));
    }

    fn push(&self, part: Part) {
        let mut waiting = self.backlog.lock();
        if waiting.bytes > TOO_MANY_WAITING_BYTES && !waiting.is_gone {
            tell_dropped();
            waiting.is_gone = true;
        }
        if !waiting.is_gone {
            waiting.bytes += part.bytes();
            // A writer that has ended says so in the backlog.
            self.outbox.send(part).unwrap_or_default();
        }
    }
}

fn tell_dropped() {
    warn!("a client of the control socket does not take its replies; it is dropped");
}

/// Writes what a client is answered, until there is no more or it does not take it.
fn write(output: ClientOutput<'_>, parts: &Receiver<Part>, backlog: &Backlog) {
    let mut output = BufWriter::with_capacity(BUFFER_BYTES, output);
    while let Ok(part) = parts.recv() {
        let bytes = part.bytes();
        let written = match part {
            Part::Replies(replies) => output.write_all(&replies),
            Part::Answer(question, state) => answer_behind_others(&mut output, *question, *state),
        };
        let written = written.and_then(|()| output.flush());
        let mut waiting = backlog.lock();
        waiting.bytes -= bytes;
        waiting.is_gone |= written.is_err();
        let is_gone = waiting.is_gone;
        drop(waiting);
        backlog.changed.notify_all();
        if is_gone {
            break;
        }
    }
    // The reader of a client that is dropped ends too.
    let (output, _) = output.into_parts();
    output.stream.shutdown(Shutdown::Both).unwrap_or_default();
}

/// Why an answer ended early.
enum Ended {
    Unanswerable(InspectError),
    Gone(io::Error),
}

impl From<InspectError> for Ended {
    fn from(error: InspectError) -> Self {
        Self::Unanswerable(error)
    }
}

impl From<StorageError> for Ended {
    fn from(error: StorageError) -> Self {
        Self::Unanswerable(error.into())
    }
}

/// Answers a question on a thread that only has the time which the others leave: priority that
/// was given away is not had back.
fn answer_behind_others(
    output: &mut (impl Write + Send),
    question: Question,
    state: DurableState,
) -> io::Result<()> {
    thread::scope(|scope| {
        let answering = || {
            yield_to_others();
            answer(output, question, state)
        };
        let answering = thread::Builder::new().spawn_scoped(scope, answering)?;
        let answered = answering.join();
        // A panic, which has been told, costs the client its connection and nobody else anything.
        answered.unwrap_or_else(|_| Err(io::Error::other("the answer failed")))
    })
}

/// Answers a question, record by record.
fn answer(output: &mut impl Write, question: Question, state: DurableState) -> io::Result<()> {
    let Question { query, to, process } = question;
    let mut records = 0_u64;
    let inspection = Inspection::of_view(state, process).map_err(Ended::from);
    let answered = inspection.and_then(|inspection| {
        inspection.answer(&query, |record| {
            records += 1;
            let mut parts = to.record(record).into_iter();
            parts.try_for_each(|part| output.write_all(part).map_err(Ended::Gone))
        })
    });
    let mut line = Vec::new();
    match answered {
        Ok(()) => to.end(&mut line, records),
        // Whoever asks again finds the directory at rest, or the next process.
        Err(Ended::Unanswerable(InspectError::Storage(StorageError::Stopped))) => {
            to.unavailable(&mut line, "the process is ending; ask again");
        }
        Err(Ended::Unanswerable(error)) => to.error(&mut line, &error),
        Err(Ended::Gone(error)) => return Err(error),
    }
    output.write_all(&line)
}

/// A stream whose reader must take something now and then.
struct ClientOutput<'a> {
    stream: UnixStream,
    stop: &'a Stop,
    last_taken: Instant,
    /// When it was first seen that the node is ending.
    ending_since: Option<Instant>,
}

impl ClientOutput<'_> {
    fn is_too_slow(&mut self) -> bool {
        if self.stop.is_requested() {
            let since = *self.ending_since.get_or_insert_with(Instant::now);
            return since.elapsed() > TIME_AT_THE_END
                || self.last_taken.elapsed() > PATIENCE_AT_THE_END;
        }
        self.last_taken.elapsed() > PATIENCE
    }
}

impl Write for ClientOutput<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.last_taken = Instant::now();
        loop {
            if self.is_too_slow() {
                tell_dropped();
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.stream.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
