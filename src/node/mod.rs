//! The node: a pipeline that reads requests from one channel and writes replies to another.
//!
//! ```text
//! input -> read and decode -> apply in memory -> commit, then write the replies -> output
//!          a thread           the caller's       a thread
//! ```
//!
//! Clients of the control socket have a thread each that reads, and one that writes what the thread
//! that commits has spelled: their requests join the one queue in front of the applier, which is
//! what orders them all. Each of their questions is answered on a thread of its own.
//!
//! While one group is being made durable, the next is applied and the one after it decoded. A
//! group is what is already waiting, up to a limit, and is never waited for. Replies leave only
//! behind the fdatasync of their group, as the thread that commits is the one that spells them.

mod answered;
mod answers;
mod client;
mod commit;
mod control;
mod monitor;
mod priority;
mod stages;
mod stop;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, TrySendError, bounded};
use thiserror::Error;

use crate::engine::{Engine, unix_ms};
use crate::error::StorageError;
use crate::look_ahead::LOOK_AHEAD;
use crate::processor::{Preparation, Preparer, Processor};
use crate::protocol::{Batch, BatchReader, Body, Line};
use crate::threads;
use answered::Answered;
use answers::ANSWER_BYTES;
use client::Client;
use commit::{Committer, HeldGroup};
pub use control::{CONTROL_SOCKET, ControlSocket, connect};
pub use monitor::Monitor;
pub use priority::yield_to_others;
pub use stages::StageTimes;
use stages::TimedInput;
use stop::StopAtEnd;
pub use stop::{Stop, Stoppable};

/// Decoded batches that may wait, a megabyte: the decoder runs ahead while the applier waits
/// for a group, and no further.
const WAITING_BATCHES: usize = 4;

/// A group ends after this many bytes of decoded requests and of their answers, as these are held
/// until they are written.
const MAX_HELD_BYTES_A_GROUP: usize = 8 << 20;

/// So many groups that are full, or that a question has ended, may wait for the committer while the
/// next is applied.
const MAX_WAITING_GROUPS: usize = 2;

/// Why a node ended before its input did.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The input could not be read. Everything read before was carried out and answered.
    #[error("the input could not be read; what was read of it is carried out, so start it again")]
    Input(#[source] io::Error),
    /// The replies could not be written. What was applied is durable.
    #[error("the replies could not be written; all is durable, so start again and send it again")]
    Output(#[source] io::Error),
    /// The storage failed. What was not answered may or may not have taken effect.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Serves the protocol until the input ends or `stop` is requested, and closes the engine; to the
/// clients of a control socket too, if there is one.
///
/// At the end of input everything that was read is carried out, made durable and answered; a
/// last line without a newline counts at the end of input, and not after a stop. When this
/// returns, `stop` has been requested.
///
/// # Errors
///
/// [`NodeError`], once everything that can still be made durable is.
pub fn serve(
    engine: Engine,
    input: impl Read + Send,
    output: impl Write + Send,
    control: Option<ControlSocket>,
    stop: &Stop,
    monitor: &Monitor,
) -> Result<(), NodeError> {
    let (processor, mut store) = engine.into_parts();
    store.begin()?;
    let (batches, decoded) = bounded(WAITING_BATCHES);
    let (groups, held) = bounded(0);
    std::thread::scope(|scope| {
        // A thread that cannot be started ends those that were.
        let _stop = StopAtEnd(stop);
        let preparer = processor.preparer();
        let clock = monitor.clock();
        if let Some(control) = control {
            let (batches, clients) = (batches.clone(), monitor.clients());
            let serve = move || control.serve(scope, preparer, batches, clients, stop);
            threads::start_scoped(scope, "control", serve)?;
        }
        let input = TimedInput { input, clock };
        let decoding = threads::start_scoped(scope, "decode", move || {
            // Clients are not served any longer than the input.
            let _stop = StopAtEnd(stop);
            decode(input, preparer, batches, stop)
        })?;
        let committer = Committer::new(store, output, stop, clock);
        let committing = threads::start_scoped(scope, "commit", || {
            let _stop = StopAtEnd(stop);
            committer.run(held)
        })?;
        let applier = Applier {
            groups,
            processor,
            waiting: VecDeque::new(),
            decoded,
            answered: Vec::new(),
            held_bytes: 0,
            waited: Duration::ZERO,
            monitor,
            _stop: StopAtEnd(stop),
        };
        let applied = applier.run();
        let committed = committing
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let decoded = decoding
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // The committer knows why the applier found it gone.
        committed.and(applied).and(decoded)
    })
}

/// A batch with what was worked out ahead of each of its lines.
struct Decoded {
    batch: Batch,
    preparations: Vec<Preparation>,
    /// Bytes that it takes until all its lines are answered, about.
    held_bytes: usize,
    /// The client of the control socket that it is of, if not of the input.
    client: Option<Arc<Client>>,
}

impl Decoded {
    fn new(batch: Batch, preparer: Preparer, client: Option<Arc<Client>>) -> Self {
        let requests = batch
            .lines
            .iter()
            .map(|line| line.body.request(&batch.text));
        let prepare = |request| preparer.prepare(&request);
        Self {
            preparations: requests
                .map(|r| r.map_or_else(Preparation::default, prepare))
                .collect(),
            held_bytes: held_bytes(&batch),
            batch,
            client,
        }
    }
}

/// Reads and decodes until the input ends, a stop is requested or nobody takes the batches.
fn decode(
    input: TimedInput<'_, impl Read>,
    preparer: Preparer,
    batches: Sender<Decoded>,
    stop: &Stop,
) -> Result<(), NodeError> {
    let clock = input.clock;
    let mut reader = BatchReader::new(input);
    loop {
        let started = Instant::now();
        match reader.read() {
            Ok(Some(batch)) if batch.lines.is_empty() => clock.decoded(started),
            Ok(Some(batch)) => {
                let decoded = Decoded::new(batch, preparer, None);
                clock.decoded(started);
                if batches.send(decoded).is_err() {
                    return Ok(());
                }
            }
            Ok(None) => break,
            Err(error) => return Err(NodeError::Input(error)),
        }
    }
    if !stop.is_requested() {
        // Nobody to take the last line means that another thread has failed and says so.
        let last = Decoded::new(reader.finish(), preparer, None);
        batches.send(last).unwrap_or_default();
    }
    Ok(())
}

/// The stage in the middle: applies requests, and hands groups with their replies on.
///
/// Dropped in the order of its fields: the committer goes on to close the store as soon as it is
/// told that no groups follow, while what the processor held in memory is still given back.
struct Applier<'a> {
    groups: Sender<HeldGroup>,
    processor: Processor,
    /// Groups that have ended, and go before the one in hand.
    waiting: VecDeque<HeldGroup>,
    decoded: Receiver<Decoded>,
    /// What the group in hand answers. The last of them are lines of the batch in hand.
    answered: Vec<Answered>,
    /// Bytes of the batches that began with the group in hand, and of its answers.
    held_bytes: usize,
    /// How long groups have waited for the committer.
    waited: Duration,
    monitor: &'a Monitor,
    _stop: StopAtEnd<'a>,
}

/// What the applier does next.
enum Next {
    /// Take in a part of the index.
    Load,
    Apply(Decoded),
    HandOver,
    End,
}

impl Applier<'_> {
    fn run(mut self) -> Result<(), NodeError> {
        let mut holds_any = false;
        loop {
            match self.next(holds_any) {
                Next::Load => self.processor.load()?,
                Next::Apply(batch) => {
                    self.offer_waiting()?;
                    self.apply_batch(batch)?;
                    holds_any = true;
                }
                Next::HandOver => {
                    holds_any &= !self.waiting.is_empty();
                    match self.waiting.pop_front() {
                        Some(held) => self.send(held)?,
                        None => self.hand_over(None)?,
                    }
                }
                Next::End => break,
            }
        }
        self.hand_over(None)?;
        while let Some(group) = self.processor.take_last_group()? {
            let held = HeldGroup {
                group,
                ..HeldGroup::default()
            };
            self.groups.send(held).map_err(|_| StorageError::Stopped)?;
        }
        Ok(())
    }

    /// Takes what is waiting; only when nothing is, the group in hand may go.
    fn next(&self, holds_any: bool) -> Next {
        match self.decoded.try_recv() {
            Ok(batch) => return Next::Apply(batch),
            Err(TryRecvError::Disconnected) => return Next::End,
            Err(TryRecvError::Empty) => {}
        }
        let mut ready = Select::new();
        ready.recv(&self.decoded);
        let (mut output, mut loading) = (None, None);
        if holds_any || !self.waiting.is_empty() {
            output = Some(ready.send(&self.groups));
        } else {
            loading = self.processor.loading().map(|parts| ready.recv(parts));
        }
        match ready.ready() {
            operation if Some(operation) == output => Next::HandOver,
            operation if Some(operation) == loading => Next::Load,
            // crossbeam may also wake up for nothing.
            _ => self.next(holds_any),
        }
    }

    fn apply_batch(&mut self, decoded: Decoded) -> Result<(), NodeError> {
        let Decoded {
            batch,
            mut preparations,
            held_bytes,
            client,
        } = decoded;
        let batch = Arc::new(batch);
        self.held_bytes += held_bytes;
        self.answered
            .push(Answered::new(Arc::clone(&batch), client));
        let Batch { text, lines } = &*batch;
        let (started, waited) = (Instant::now(), self.waited);
        self.processor.begin_batch(unix_ms(SystemTime::now()))?;
        let together = preparations.chunks_mut(LOOK_AHEAD);
        for (lines, preparations) in lines.chunks(LOOK_AHEAD).zip(together) {
            self.processor.look_ahead(preparations);
            for (line, preparation) in lines.iter().zip(&*preparations) {
                self.apply_line(line, text, preparation)?;
                if self.group_is_full() {
                    self.set_aside()?;
                }
            }
        }
        let waited = self.waited - waited;
        let time = started.elapsed().saturating_sub(waited);
        self.monitor.clock().applied(time);
        self.monitor.set(self.processor.statistics());
        Ok(())
    }

    fn group_is_full(&self) -> bool {
        self.processor.group_is_full() || self.held_bytes >= MAX_HELD_BYTES_A_GROUP
    }

    fn apply_line(
        &mut self,
        line: &Line,
        text: &str,
        preparation: &Preparation,
    ) -> Result<(), NodeError> {
        if let Some(answer) = self.processor.apply_prepared(preparation)? {
            self.held_bytes += self.line_in_hand().push(answer);
            return Ok(());
        }
        let Some(request) = line.body.request(text) else {
            self.line_in_hand().push_other();
            return match (&line.body, line.msg_id) {
                (Body::Query(_), Some(_)) => self.ask(),
                _ => Ok(()),
            };
        };
        if Processor::needs_durable(&request) {
            self.wait_until_durable()?;
        }
        let answer = self.processor.apply(&request, preparation)?;
        self.held_bytes += self.line_in_hand().push(answer);
        Ok(())
    }

    /// Where the line in hand goes.
    fn line_in_hand(&mut self) -> &mut Answered {
        let last = self.answered.last_mut();
        last.expect("a group that ends within a batch leaves the rest to the next")
    }

    /// Has the question that came last answered from what is durable with the group in hand:
    /// everything before it, and nothing behind it.
    fn ask(&mut self) -> Result<(), NodeError> {
        self.monitor.set(self.processor.statistics());
        let process = self.monitor.process();
        self.line_in_hand().ask(process);
        // The committer is not waited for, as nobody waits for who looks on.
        self.set_aside()
    }

    /// Ends the group in hand, and goes on while the committer has another.
    fn set_aside(&mut self) -> Result<(), NodeError> {
        let held = self.end_group(None)?;
        self.waiting.push_back(held);
        self.offer_waiting()?;
        if self.waiting.len() > MAX_WAITING_GROUPS {
            self.send_waiting()?;
        }
        Ok(())
    }

    fn wait_until_durable(&mut self) -> Result<(), NodeError> {
        let (durable, wait) = bounded(1);
        self.hand_over(Some(durable))?;
        let started = Instant::now();
        let result = wait.recv();
        self.waited += started.elapsed();
        result.map_err(|_| StorageError::Stopped.into())
    }

    /// Hands the group in hand over, behind those that wait.
    fn hand_over(&mut self, durable: Option<Sender<()>>) -> Result<(), NodeError> {
        let held = self.end_group(durable)?;
        self.send_waiting()?;
        self.send(held)
    }

    /// Hands over what waits, as far as the committer takes it at once.
    fn offer_waiting(&mut self) -> Result<(), NodeError> {
        while let Some(held) = self.waiting.pop_front() {
            match self.groups.try_send(held) {
                Ok(()) => {}
                Err(TrySendError::Full(held)) => {
                    self.waiting.push_front(held);
                    break;
                }
                Err(TrySendError::Disconnected(_)) => return Err(StorageError::Stopped.into()),
            }
        }
        Ok(())
    }

    fn send_waiting(&mut self) -> Result<(), NodeError> {
        while let Some(held) = self.waiting.pop_front() {
            self.send(held)?;
        }
        Ok(())
    }

    fn send(&mut self, held: HeldGroup) -> Result<(), NodeError> {
        let started = Instant::now();
        let result = self.groups.send(held);
        self.waited += started.elapsed();
        result.map_err(|_| StorageError::Stopped.into())
    }

    /// Ends the group in hand.
    fn end_group(&mut self, durable: Option<Sender<()>>) -> Result<HeldGroup, NodeError> {
        let group = self.processor.take_group()?;
        self.held_bytes = 0;
        let rest = self.answered.last().and_then(Answered::rest);
        let answered = std::mem::replace(&mut self.answered, rest.into_iter().collect());
        Ok(HeldGroup {
            group,
            answered,
            durable,
        })
    }
}

/// Bytes that a batch takes until all its lines are answered, about.
fn held_bytes(batch: &Batch) -> usize {
    let reasons = batch.lines.iter().map(|line| match &line.body {
        Body::Malformed(why) => why.len(),
        _ => 0,
    });
    let line_bytes = size_of::<Line>() + ANSWER_BYTES;
    batch.text.len() + batch.lines.len() * line_bytes + reasons.sum::<usize>()
}
