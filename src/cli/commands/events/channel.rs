//! A channel that delivers events at least once, perhaps late, repeated or in any order.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::cli::streams::json_lines::write_line;

/// A redelivery comes at most this many events after the first delivery.
const MAX_REDELIVERY_DELAY_EVENTS: u64 = 1_000;

/// An event to deliver.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) event_id: String,
    pub(super) word: String,
}

/// A channel that delivers every event at least once.
pub(super) struct Channel<W: Write> {
    output: W,
    random: ChaCha8Rng,
    redeliver: f64,
    /// Events that wait until all are known; `None` if they are not shuffled.
    held: Option<Vec<Event>>,
    /// Events to send again, by the number of first deliveries to wait for, then by their own
    /// number.
    again: BTreeMap<(u64, u64), Event>,
    first_deliveries: u64,
    msg_id: u64,
}

#[derive(Serialize)]
struct Request<'a> {
    src: &'static str,
    dest: &'static str,
    body: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    msg_id: u64,
    event_id: &'a str,
    word: &'a str,
}

impl<W: Write> Channel<W> {
    /// A channel that sends each event again with the probability `redeliver`. With `shuffle` it
    /// keeps all events until the end, and sends them in random order.
    pub(super) fn new(redeliver: f64, shuffle: bool, seed: u64, output: W) -> Self {
        Self {
            output,
            random: ChaCha8Rng::seed_from_u64(seed),
            redeliver,
            held: shuffle.then(Vec::new),
            again: BTreeMap::new(),
            first_deliveries: 0,
            msg_id: 0,
        }
    }

    pub(super) fn send(&mut self, event: Event) -> io::Result<()> {
        self.first_deliveries += 1;
        if self.random.random_bool(self.redeliver) {
            let delay = self.random.random_range(1..=MAX_REDELIVERY_DELAY_EVENTS);
            let due = (self.first_deliveries + delay, self.first_deliveries);
            self.again.insert(due, event.clone());
        }
        self.deliver(event)?;
        while let Some(next) = self.again.first_entry()
            && next.key().0 <= self.first_deliveries
        {
            let event = next.remove();
            self.deliver(event)?;
        }
        Ok(())
    }

    fn deliver(&mut self, event: Event) -> io::Result<()> {
        match &mut self.held {
            Some(held) => held.push(event),
            None => self.write(&event)?,
        }
        Ok(())
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        self.msg_id += 1;
        let (event_id, word) = (event.event_id.as_str(), event.word.as_str());
        let body = Body {
            r#type: "process",
            msg_id: self.msg_id,
            event_id,
            word,
        };
        let request = Request {
            src: "stream",
            dest: "processor",
            body,
        };
        write_line(&mut self.output, &request)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        for event in std::mem::take(&mut self.again).into_values() {
            self.deliver(event)?;
        }
        let mut held = self.held.take().unwrap_or_default();
        held.shuffle(&mut self.random);
        for event in &held {
            self.write(event)?;
        }
        self.output.flush()
    }
}
