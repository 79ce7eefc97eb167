//! Relaying lines: requests from an input to a node, and the replies to an output.
//!
//! The replies are those that the node itself would have written to a client who sent it the same
//! lines, but an error names the line of this input.

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use thiserror::Error;

use crate::client::error::ClientError;
use crate::client::link::{AfterLoss, Incoming};
use crate::client::{Client, after_loss};
use crate::error::StorageError;
use crate::protocol::{
    Addressee, Batch, BatchReader, Body, ErrorCounts, ReplyWriter, put_query, put_request,
};

/// Batches that may wait to be sent.
const WAITING_BATCHES: usize = 4;

/// At most this many lines wait for their replies.
const MAX_WAITING: usize = 1 << 16;

/// No further line is taken while the batches of the lines that wait have more bytes than this.
const ENOUGH_BYTES: usize = 16 << 20;

/// Replies are written as soon as they have this many bytes.
const WRITE_BYTES: usize = 64 << 10;

/// The replies that are written to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    All,
    /// Only errors.
    Errors,
    /// None.
    None,
}

/// Why an input was not relayed to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RelayError {
    /// A thread or a pipe could not be made.
    #[error(transparent)]
    System(StorageError),
    /// The input could not be read. Everything that was read before is answered.
    #[error("the input could not be read")]
    Input(#[source] io::Error),
    /// The replies could not be written.
    #[error("the replies could not be written")]
    Output(#[source] io::Error),
    /// The connection ended before the reply to a request that must not be repeated blindly.
    #[error(
        "line {line}: the node ended before it replied to this {kind}, which may or may not have \
         been carried out; look at the state, and send the rest from this line or the next"
    )]
    Unclear {
        /// The number of the line, from 1.
        line: u64,
        /// The type of the request.
        kind: &'static str,
    },
    /// The client cannot go on.
    #[error("{} of the lines up to line {line} have no reply", unanswered)]
    Client {
        /// The number of the last line that was sent, from 1.
        line: u64,
        /// How many requests have no reply.
        unanswered: usize,
        /// Why not.
        source: ClientError,
    },
}

/// Relays lines to a node over a client.
#[derive(Debug)]
pub struct Relay<'c, W> {
    client: &'c mut Client,
    wanted: Wanted,
    output: W,
    writer: ReplyWriter,
    /// Replies that are not written yet.
    replies: Vec<u8>,
    /// The lines that are not answered, in order.
    waiting: VecDeque<Waiting>,
    /// About how many bytes these lines take.
    waiting_bytes: usize,
    requests: u64,
    refused: u64,
    first_refused: Option<String>,
}

/// A line that is not answered.
#[derive(Debug)]
struct Waiting {
    batch: Arc<Batch>,
    /// Its number among the decoded lines of the batch.
    index: usize,
    /// False if the node does not get it, as its reply needs no state.
    is_sent: bool,
    /// About how many bytes it takes.
    bytes: usize,
}

/// What the reading thread passes on.
type Decoded = io::Result<Batch>;

impl<'c, W: Write> Relay<'c, W> {
    /// Makes a relay that writes the wanted replies to `output`.
    pub fn new(client: &'c mut Client, wanted: Wanted, output: W) -> Self {
        Self {
            client,
            wanted,
            output,
            writer: ReplyWriter::for_control(ErrorCounts::default()),
            replies: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            requests: 0,
            refused: 0,
            first_refused: None,
        }
    }

    /// Number of requests that were answered, and of those that were refused.
    pub fn counts(&self) -> (u64, u64) {
        (self.requests, self.refused)
    }

    /// The text of the first error reply.
    pub fn first_refused(&self) -> Option<&str> {
        self.first_refused.as_deref()
    }

    /// Relays all lines of an input, and returns when all of them are answered. Lines are sent as
    /// soon as they can be read. If this fails, the input may still be read by a thread that waits
    /// for it.
    ///
    /// # Errors
    ///
    /// [`RelayError`].
    pub fn run(&mut self, input: impl Read + Send + 'static) -> Result<(), RelayError> {
        let (to_send, batches) = bounded(WAITING_BATCHES);
        let system = |error| RelayError::System(StorageError::Thread(error));
        let (woken, waker) = io::pipe().map_err(system)?;
        rustix::io::ioctl_fionbio(&woken, true).map_err(|error| system(error.into()))?;
        let read = move || read(input, to_send, waker);
        let reading = thread::Builder::new().spawn(read);
        reading.map_err(system)?;
        let relayed = self.relay(&batches, &woken);
        let written = self.write();
        relayed.and(written)
    }

    fn relay(&mut self, batches: &Receiver<Decoded>, woken: &PipeReader) -> Result<(), RelayError> {
        let mut lines = Lines {
            batches,
            batch: None,
            ended: None,
        };
        let mut last = 0;
        loop {
            self.take_replies(last)?;
            while self.has_room() {
                let Some((batch, index)) = lines.next() else {
                    break;
                };
                last = number(&batch, index);
                self.send(batch, index)
                    .map_err(|error| self.failed(error, last))?;
            }
            self.answer_unsent()?;
            if self.waiting.is_empty()
                && let Some(ended) = lines.ended.take()
            {
                return ended.map_err(RelayError::Input);
            }
            self.write()?;
            let can_send = lines.ended.is_none() && self.has_room();
            let woken = can_send.then_some(woken);
            let exchanged = self.client.link.exchange(true, woken.map(AsFd::as_fd));
            exchanged.map_err(|error| self.failed(error, last))?;
            if let Some(mut woken) = woken {
                // Whether there is a byte is of no interest.
                woken.read(&mut [0; 64]).unwrap_or_default();
            }
        }
    }

    /// True if another line may be taken.
    fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING
            && self.waiting_bytes < ENOUGH_BYTES
            && self.client.link.has_room()
    }

    /// Sends a line, or keeps it until the lines before it are answered.
    fn send(&mut self, batch: Arc<Batch>, index: usize) -> Result<(), ClientError> {
        let link = &mut self.client.link;
        let line = &batch.lines[index];
        let mut is_sent = true;
        if let Some(request) = line.body.request(&batch.text) {
            let put = |out: &mut Vec<u8>, msg_id| put_request(out, msg_id, &request);
            link.add(after_loss(&request), put)?;
        } else if let Body::Query(query) = &line.body {
            let put = |out: &mut Vec<u8>, msg_id| {
                put_query(out, msg_id, query);
                true
            };
            link.add(AfterLoss::AskAgain, put)?;
        } else {
            is_sent = false;
        }
        // Every line counts as its share of the batch, which stays until its last line is answered.
        let bytes = batch.text.len() / batch.lines.len();
        self.waiting_bytes += bytes;
        self.waiting.push_back(Waiting {
            batch,
            index,
            is_sent,
            bytes,
        });
        Ok(())
    }

    /// Takes all replies that were read.
    fn take_replies(&mut self, last: u64) -> Result<(), RelayError> {
        loop {
            self.answer_unsent()?;
            let taken = self.client.link.take();
            let (line, is_last) = match taken {
                Ok(None) => return Ok(()),
                Ok(Some(Incoming { line, is_last })) => (line, is_last),
                Err(error) => return Err(self.failed(error, last)),
            };
            let Some(Waiting { batch, index, .. }) = self.waiting.front() else {
                return Ok(());
            };
            let error = line.error();
            let is_error = error.is_some();
            if let Some((_, text)) = error {
                self.refused += 1;
                let number = number(batch, *index);
                self.first_refused
                    .get_or_insert_with(|| format!("line {number}: {text}"));
            }
            let asked = &batch.lines[*index];
            let before = self.replies.len();
            if is_error || asked.msg_id.is_some() {
                let to = addressee(batch, *index);
                let (head, members) = (line.head.as_bytes(), line.members.as_bytes());
                self.writer.relayed(&mut self.replies, to, head, members);
            }
            if !self.wanted.has(is_error) {
                // It was written all the same, as the writer numbers the replies.
                self.replies.truncate(before);
            }
            if is_last {
                self.requests += 1;
                self.answered();
            }
            if self.replies.len() >= WRITE_BYTES {
                self.write()?;
            }
        }
    }

    /// Answers the lines at the front that the node does not get.
    fn answer_unsent(&mut self) -> Result<(), RelayError> {
        while self.waiting.front().is_some_and(|first| !first.is_sent)
            && let Some(Waiting { batch, index, .. }) = self.answered()
        {
            let line = &batch.lines[index];
            let is_error = !matches!(line.body, Body::Init { .. });
            let before = self.replies.len();
            let to = addressee(&batch, index);
            self.writer
                .reply_to_line(&mut self.replies, to, &line.body, &batch.text);
            self.requests += 1;
            if is_error {
                self.refused += 1;
                let text = match &line.body {
                    Body::Malformed(why) => why.to_string(),
                    _ => format!("line {}: an unknown type", number(&batch, index)),
                };
                self.first_refused.get_or_insert(text);
            }
            if !self.wanted.has(is_error) {
                self.replies.truncate(before);
            }
            if self.replies.len() >= WRITE_BYTES {
                self.write()?;
            }
        }
        Ok(())
    }

    /// Takes the first line that waits.
    fn answered(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        self.waiting_bytes -= first.bytes;
        Some(first)
    }

    fn write(&mut self) -> Result<(), RelayError> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let written = self.output.write_all(&self.replies);
        self.replies.clear();
        written
            .and_then(|()| self.output.flush())
            .map_err(RelayError::Output)
    }

    /// The error for a client that cannot go on after line `last` was sent.
    fn failed(&self, source: ClientError, last: u64) -> RelayError {
        if let ClientError::Unclear { kind, before } = source {
            let sent = self.waiting.iter().filter(|waiting| waiting.is_sent);
            let mut lines = sent.map(|waiting| number(&waiting.batch, waiting.index));
            let line = lines.nth(before).unwrap_or(last);
            return RelayError::Unclear { line, kind };
        }
        RelayError::Client {
            line: last,
            unanswered: self.waiting.len(),
            source,
        }
    }
}

/// The decoded lines of an input.
struct Lines<'a> {
    batches: &'a Receiver<Decoded>,
    /// The present batch, and the index of its next line.
    batch: Option<(Arc<Batch>, usize)>,
    /// How the input has ended, if it has.
    ended: Option<io::Result<()>>,
}

impl Lines<'_> {
    /// The next line, if one was read: its batch, and its index there.
    fn next(&mut self) -> Option<(Arc<Batch>, usize)> {
        loop {
            if let Some((batch, next)) = &mut self.batch
                && *next < batch.lines.len()
            {
                *next += 1;
                return Some((Arc::clone(batch), *next - 1));
            }
            self.batch = None;
            if self.ended.is_some() {
                return None;
            }
            match self.batches.try_recv() {
                Ok(Ok(batch)) => self.batch = Some((Arc::new(batch), 0)),
                Ok(Err(error)) => self.ended = Some(Err(error)),
                Err(TryRecvError::Disconnected) => self.ended = Some(Ok(())),
                Err(TryRecvError::Empty) => return None,
            }
        }
    }
}

/// Reads and decodes an input to its end, and wakes the relay for each batch and at the end.
fn read(input: impl Read, batches: Sender<Decoded>, mut waker: PipeWriter) {
    let mut reader = BatchReader::for_relay(input);
    let last = loop {
        match reader.read() {
            Ok(Some(batch)) if batch.lines.is_empty() => {}
            Ok(Some(batch)) => {
                let passed_on = batches.send(Ok(batch)).is_ok();
                if !passed_on || waker.write_all(&[0]).is_err() {
                    // The relay has ended.
                    return;
                }
            }
            Ok(None) => break Ok(reader.finish()),
            Err(error) => break Err(error),
        }
    };
    batches.send(last).unwrap_or_default();
}

fn addressee(batch: &Batch, index: usize) -> Addressee<'_> {
    let line = &batch.lines[index];
    Addressee {
        src: line.src.map(|src| src.of(&batch.text)),
        msg_id: line.msg_id,
    }
}

/// The number of a line in its input, from 1.
fn number(batch: &Batch, index: usize) -> u64 {
    batch.before + u64::from(batch.lines[index].at) + 1
}

impl Wanted {
    /// True if a reply is wanted.
    fn has(self, is_error: bool) -> bool {
        self == Self::All || is_error && self == Self::Errors
    }
}
