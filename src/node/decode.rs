//! The first stage of the input: lines are read and decoded.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;

use crate::node::decoded::Decoded;
use crate::node::error::NodeError;
use crate::node::outbox::Outbox;
use crate::node::stop::Stop;
use crate::node::times::StageClock;
use crate::processor::Preparer;
use crate::protocol::BatchReader;

/// Decoded batches that may wait, about a megabyte: with them the decoder goes on while the applier
/// waits for a group to be persisted.
pub(super) const WAITING_BATCHES: usize = 4;

/// Reads and decodes until the input ends, a stop is requested or the applier has ended.
pub(super) fn decode(
    input: impl Read,
    clock: &StageClock,
    preparer: Preparer,
    batches: &Sender<Decoded>,
    outbox: &Arc<Outbox>,
    stop: &Stop,
) -> Result<(), NodeError> {
    let decoded = |batch| Decoded::new(batch, preparer, Arc::clone(outbox));
    let mut reader = BatchReader::new(TimedInput { input, clock });
    while outbox.wait_until_taken(stop) {
        let started = Instant::now();
        match reader.read() {
            Ok(Some(batch)) if batch.lines.is_empty() => clock.decoded(started),
            Ok(Some(batch)) => {
                let decoded = decoded(batch);
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
        // If the applier has ended, the pipeline has failed and reports why.
        batches.send(decoded(reader.finish())).unwrap_or_default();
    }
    Ok(())
}

/// An input whose reading is timed.
struct TimedInput<'a, R> {
    input: R,
    clock: &'a StageClock,
}

impl<R: Read> Read for TimedInput<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let started = Instant::now();
        let result = self.input.read(buffer);
        self.clock.read(started);
        result
    }
}
