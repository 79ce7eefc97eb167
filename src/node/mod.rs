//! The node: a pipeline that reads requests from one channel and writes replies to another.
//!
//! ```text
//! input -> read and decode -> apply in memory -> commit   -> spell and write the replies -> output
//!          a thread           the caller's       a thread    a thread
//! ```
//!
//! Clients of the control socket have a thread each that reads, and one that writes: their requests
//! join the one queue in front of the applier, which is what orders them all. Each of their
//! questions is answered on a thread of its own.
//!
//! While one group is being made durable, the next is applied and the one after it decoded. A
//! group is what is already waiting, up to a limit, and is never waited for. Replies leave only
//! after the fdatasync of their group, as the thread that commits is the one that hands them on. It
//! waits for no reader that leaves no room: what is not taken waits in an outbox of its own, and
//! while much is in there, requests of that sender are not read.

mod answered;
mod answers;
mod apply;
mod client;
mod commit;
mod control;
mod ignored_signals;
mod monitor;
mod outbox;
mod output;
mod places;
mod priority;
mod put_off;
mod question;
mod stages;
mod stop;

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Sender, bounded};
use thiserror::Error;

use crate::engine::Engine;
use crate::error::StorageError;
use crate::processor::{Preparation, Preparer};
use crate::protocol::{Batch, BatchReader, Body, Line};
use crate::threads;
use answers::ANSWER_BYTES;
use apply::Applier;
use commit::Committer;
use control::Service;
pub use control::{CONTROL_SOCKET, ControlSocket, DEFAULT_MAX_CLIENTS, connect};
pub use ignored_signals::IgnoredSignals;
pub use monitor::Monitor;
use outbox::Outbox;
use output::Output;
pub use output::ReplyOutput;
pub use priority::yield_to_others;
pub use stages::StageTimes;
use stages::TimedInput;
use stop::StopAtEnd;
pub use stop::{Stop, Stoppable};

/// Decoded batches that may wait, a megabyte: the decoder runs ahead while the applier waits
/// for a group, and no further.
const WAITING_BATCHES: usize = 4;

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
/// An output that takes nothing holds up nothing but the reading of the input. At the end it is
/// waited for, after a signal until it has taken nothing for 10 s, or until the next signal.
///
/// # Errors
///
/// [`NodeError`], once everything that can still be made durable is.
pub fn serve(
    engine: Engine,
    input: impl Read + Send,
    output: impl Into<ReplyOutput>,
    control: Option<ControlSocket>,
    stop: &Stop,
    monitor: &Monitor,
) -> Result<(), NodeError> {
    let (processor, mut store) = engine.into_parts();
    store.begin()?;
    let (room, has_room) = bounded(1);
    let (output, outbox) = Output::start(output.into(), stop, monitor, room.clone())?;
    let (batches, decoded) = bounded(WAITING_BATCHES);
    let (groups, held) = bounded(0);
    let served = std::thread::scope(|scope| {
        // A thread that cannot be started ends those that were.
        let _stop = StopAtEnd(stop);
        let preparer = processor.preparer();
        let clock = monitor.clock();
        if let Some(control) = control {
            let service = Service {
                preparer,
                batches: batches.clone(),
                room,
                stop,
                errors: monitor.errors().clone(),
            };
            let serve = move || control.serve(scope, service, monitor.clients());
            threads::start_scoped(scope, "control", serve)?;
        }
        let committer = Committer::new(store, Arc::clone(&outbox), monitor);
        let input = TimedInput { input, clock };
        let decoding = threads::start_scoped(scope, "decode", move || {
            // Clients are not served any longer than the input.
            let _stop = StopAtEnd(stop);
            decode(input, preparer, batches, outbox, stop)
        })?;
        let committing = threads::start_scoped(scope, "commit", || {
            let _stop = StopAtEnd(stop);
            committer.run(held)
        })?;
        let applier = Applier::new(processor, decoded, groups, has_room, monitor, stop);
        let applied = applier.run();
        let committed = committing
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let decoded = decoding
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // The committer knows why the applier found it gone.
        committed.map_err(NodeError::from).and(applied).and(decoded)
    });
    if served.is_err() {
        stop.hurry();
    }
    let written = output.finish(stop);
    served.and(written)
}

/// A batch with what was worked out ahead of each of its lines.
struct Decoded {
    batch: Arc<Batch>,
    preparations: Vec<Preparation>,
    /// Bytes that it takes until all its lines are answered, about.
    held_bytes: usize,
    /// The first line that is not applied yet.
    next_line: usize,
    /// Where its replies go.
    outbox: Arc<Outbox>,
}

impl Decoded {
    fn new(batch: Batch, preparer: Preparer, outbox: Arc<Outbox>) -> Self {
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
            batch: Arc::new(batch),
            next_line: 0,
            outbox,
        }
    }
}

/// Reads and decodes until the input ends, a stop is requested or no batches are taken any more.
fn decode(
    input: TimedInput<'_, impl Read>,
    preparer: Preparer,
    batches: Sender<Decoded>,
    outbox: Arc<Outbox>,
    stop: &Stop,
) -> Result<(), NodeError> {
    let clock = input.clock;
    let mut reader = BatchReader::new(input);
    while outbox.wait_until_taken(stop) {
        let started = Instant::now();
        match reader.read() {
            Ok(Some(batch)) if batch.lines.is_empty() => clock.decoded(started),
            Ok(Some(batch)) => {
                let decoded = Decoded::new(batch, preparer, Arc::clone(&outbox));
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
        // Without an applier to take the last line, another thread has failed and says so.
        let last = Decoded::new(reader.finish(), preparer, outbox);
        batches.send(last).unwrap_or_default();
    }
    Ok(())
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
