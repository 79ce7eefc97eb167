//! The stage in the middle: applies requests in memory, and ends the groups.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, TrySendError, bounded};
use tracing::warn;

use crate::engine::unix_ms;
use crate::error::StorageError;
use crate::look_ahead::LOOK_AHEAD;
use crate::node::answered::Answered;
use crate::node::commit::HeldGroup;
use crate::node::outbox::{LOOK_EVERY, Outbox};
use crate::node::put_off::PutOff;
use crate::node::stop::StopAtEnd;
use crate::node::{Decoded, Monitor, NodeError, Stop};
use crate::processor::{Preparation, Processor};
use crate::protocol::{Batch, Body, Line};
use crate::store::LowSpace;

/// A group ends after this many bytes of decoded requests and of their answers, as these are held
/// until they are written.
const MAX_HELD_BYTES_A_GROUP: usize = 8 << 20;

/// This many groups that are full, or that a question has ended, may wait for the committer while
/// the next is applied.
const MAX_WAITING_GROUPS: usize = 2;

/// The stage in the middle: applies requests, and hands groups with their replies on.
///
/// Dropped in the order of its fields: the committer goes on to close the store as soon as it is
/// told that no groups follow, while what the processor held in memory is still given back.
pub(super) struct Applier<'a> {
    groups: Sender<HeldGroup>,
    processor: Processor,
    /// Groups that have ended, and go before the one in hand.
    waiting: VecDeque<HeldGroup>,
    decoded: Receiver<Decoded>,
    /// Batches that go on when what their senders were answered has been taken.
    put_off: PutOff,
    /// Has a message when that may be so.
    has_room: Receiver<()>,
    /// What the group in hand answers. The last of them are lines of the batch in hand.
    answered: Vec<Answered>,
    /// Bytes of the batches that began with the group in hand, and of its answers.
    held_bytes: usize,
    /// How long groups have waited for the committer.
    waited: Duration,
    /// What is free on the disk, where that was too little when it was last told.
    low_space: Option<LowSpace>,
    monitor: &'a Monitor,
    stop: &'a Stop,
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

impl<'a> Applier<'a> {
    /// Applies what is decoded, and hands groups on. `has_room` has a message when batches that
    /// were put off may go on.
    pub(super) fn new(
        processor: Processor,
        decoded: Receiver<Decoded>,
        groups: Sender<HeldGroup>,
        has_room: Receiver<()>,
        monitor: &'a Monitor,
        stop: &'a Stop,
    ) -> Self {
        Self {
            groups,
            processor,
            waiting: VecDeque::new(),
            decoded,
            put_off: PutOff::default(),
            has_room,
            answered: Vec::new(),
            held_bytes: 0,
            waited: Duration::ZERO,
            low_space: None,
            monitor,
            stop,
            _stop: StopAtEnd(stop),
        }
    }

    /// Applies until no more requests come.
    pub(super) fn run(mut self) -> Result<(), NodeError> {
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
    fn next(&mut self, holds_any: bool) -> Next {
        loop {
            if let Some(batch) = self.put_off.take_one(self.stop) {
                return Next::Apply(batch);
            }
            match self.decoded.try_recv() {
                Ok(batch) => match self.put_off.put_after_others(batch) {
                    Some(batch) => return Next::Apply(batch),
                    None => continue,
                },
                Err(TryRecvError::Disconnected) if self.put_off.is_empty() => return Next::End,
                Err(TryRecvError::Disconnected | TryRecvError::Empty) => {}
            }
            if let Some(next) = self.wait(holds_any) {
                return next;
            }
        }
    }

    /// Waits until there is something to do; `None` if [`Applier::next`] is to look for it.
    fn wait(&self, holds_any: bool) -> Option<Next> {
        let mut ready = Select::new();
        let (mut output, mut loading, mut room) = (None, None, None);
        if holds_any || !self.waiting.is_empty() {
            output = Some(ready.send(&self.groups));
        } else {
            loading = self.processor.loading().map(|parts| ready.recv(parts));
        }
        if !self.put_off.is_empty() {
            room = Some(ready.recv(&self.has_room));
        }
        let is_at_end = self.decoded.is_empty() && self.stop.is_requested();
        let operation = match is_at_end && room.is_some() {
            // A queue whose senders are gone would always be ready.
            true => ready.ready_timeout(LOOK_EVERY).ok()?,
            false => {
                ready.recv(&self.decoded);
                ready.ready()
            }
        };
        match Some(operation) {
            operation if operation == output => Some(Next::HandOver),
            operation if operation == loading => Some(Next::Load),
            operation if operation == room => {
                // It is there to be woken up by, and says no more.
                self.has_room.try_recv().unwrap_or_default();
                None
            }
            // crossbeam may also wake up for nothing.
            _ => None,
        }
    }

    fn apply_batch(&mut self, mut decoded: Decoded) -> Result<(), NodeError> {
        if decoded.next_line == 0 {
            self.held_bytes += decoded.held_bytes;
        }
        let (batch, outbox) = (Arc::clone(&decoded.batch), Arc::clone(&decoded.outbox));
        let batch_bytes = decoded.held_bytes;
        let answered = Answered::new(batch, batch_bytes, decoded.next_line, outbox);
        self.answered.push(answered);
        let (started, waited) = (Instant::now(), self.waited);
        self.processor.begin_batch(unix_ms(SystemTime::now()))?;
        let is_done = self.apply_lines(&mut decoded)?;
        let waited = self.waited - waited;
        let time = started.elapsed().saturating_sub(waited);
        self.monitor.clock().applied(time);
        self.monitor.set(self.processor.statistics());
        self.tell_space();
        if !is_done {
            self.put_off.put(decoded);
        }
        Ok(())
    }

    /// Applies lines of a batch; false if the rest is to be put off.
    fn apply_lines(&mut self, decoded: &mut Decoded) -> Result<bool, NodeError> {
        let Decoded {
            batch,
            preparations,
            next_line,
            outbox,
            ..
        } = decoded;
        let Batch { text, lines } = &**batch;
        let (lines, preparations) = (&lines[*next_line..], &mut preparations[*next_line..]);
        let together = preparations.chunks_mut(LOOK_AHEAD);
        for (lines, preparations) in lines.chunks(LOOK_AHEAD).zip(together) {
            self.processor.look_ahead(preparations);
            for (line, preparation) in lines.iter().zip(&*preparations) {
                if !self.apply_line(line, text, preparation, outbox)? {
                    return Ok(false);
                }
                *next_line += 1;
                if self.group_is_full() {
                    self.set_aside()?;
                }
            }
        }
        Ok(true)
    }

    /// Says where the free space of the disk goes below the floor, and where it is above again.
    fn tell_space(&mut self) {
        let low = self.processor.low_space();
        match (std::mem::replace(&mut self.low_space, low), low) {
            (None, Some(low)) => warn!(
                "requests are refused: {} bytes are free on the disk, and {} are kept free; make \
                 room, or start with a lower --min-free-bytes",
                low.free_bytes, low.floor_bytes
            ),
            (Some(low), None) => warn!(
                "requests are taken again: {} bytes or more are free on the disk",
                low.floor_bytes
            ),
            _ => {}
        }
    }

    fn group_is_full(&self) -> bool {
        self.processor.group_is_full() || self.held_bytes >= MAX_HELD_BYTES_A_GROUP
    }

    /// Applies a line; false if it is to be put off with those after it, as its reply may be large
    /// and its sender has not taken what it was answered before.
    fn apply_line(
        &mut self,
        line: &Line,
        text: &str,
        preparation: &Preparation,
        outbox: &Outbox,
    ) -> Result<bool, NodeError> {
        if let Some(answer) = self.processor.apply_prepared(preparation)? {
            self.held_bytes += self.line_in_hand().push(answer);
            return Ok(true);
        }
        let Some(request) = line.body.request(text) else {
            self.line_in_hand().push_other();
            if matches!(line.body, Body::Query(_)) && line.msg_id.is_some() {
                self.ask()?;
            }
            return Ok(true);
        };
        if Processor::needs_durable(&request) {
            self.wait_until_durable()?;
            // All replies before this one are in the outbox now.
            if outbox.is_full(self.stop) {
                self.answered.pop();
                return Ok(false);
            }
        }
        let answer = self.processor.apply(&request, preparation)?;
        self.held_bytes += self.line_in_hand().push(answer);
        Ok(true)
    }

    /// Where the line in hand goes.
    fn line_in_hand(&mut self) -> &mut Answered {
        let last = self.answered.last_mut();
        last.expect("a group that ends within a batch leaves the rest to the next")
    }

    /// Has the question that came last answered from what is durable with the group in hand:
    /// everything before it, and nothing after it.
    fn ask(&mut self) -> Result<(), NodeError> {
        self.monitor.set(self.processor.statistics());
        let process = self.monitor.process();
        self.line_in_hand().ask(process);
        // The committer is not waited for: a client that only looks delays no other one.
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

    /// Hands the group in hand over, after those that wait.
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
