//! A channel that delivers events at least once, perhaps late, repeated or in any order.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::cli::import::batch::Batch;

/// A redelivery comes at most this many events after the first delivery.
const MAX_REDELIVERY_DELAY_EVENTS: u64 = 1_000;

/// An event to deliver, and the number of its record.
#[derive(Debug, Clone)]
struct Event {
    event_id: String,
    word: String,
    line: u64,
}

/// A channel that delivers every event at least once.
pub(super) struct Channel {
    random: ChaCha8Rng,
    redeliver: f64,
    /// Events that wait until all are known; `None` if they are not shuffled.
    held: Option<Vec<Event>>,
    /// Events to send again, by the number of first deliveries to wait for, then by their own
    /// number.
    again: BTreeMap<(u64, u64), Event>,
    first_deliveries: u64,
}

impl Channel {
    /// A channel that sends each event again with the probability `redeliver`. With `shuffle` it
    /// keeps all events until the end, and sends them in random order.
    pub(super) fn new(redeliver: f64, shuffle: bool, seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            redeliver,
            held: shuffle.then(Vec::new),
            again: BTreeMap::new(),
            first_deliveries: 0,
        }
    }

    /// Takes events, and returns what is delivered by now.
    pub(super) fn send(&mut self, batch: &Batch) -> Batch {
        let mut delivered = Batch::default();
        for (event_id, word, line) in batch.events() {
            let event = Event {
                event_id: event_id.to_owned(),
                word: word.to_owned(),
                line,
            };
            self.send_one(event, &mut delivered);
        }
        delivered
    }

    fn send_one(&mut self, event: Event, delivered: &mut Batch) {
        self.first_deliveries += 1;
        if self.random.random_bool(self.redeliver) {
            let delay = self.random.random_range(1..=MAX_REDELIVERY_DELAY_EVENTS);
            let due = (self.first_deliveries + delay, self.first_deliveries);
            self.again.insert(due, event.clone());
        }
        self.hold_or(event, delivered);
        while let Some(next) = self.again.first_entry()
            && next.key().0 <= self.first_deliveries
        {
            let event = next.remove();
            self.hold_or(event, delivered);
        }
    }

    fn hold_or(&mut self, event: Event, delivered: &mut Batch) {
        match &mut self.held {
            Some(held) => held.push(event),
            None => delivered.add_event(&event.event_id, &event.word, event.line),
        }
    }

    /// Returns all that is left.
    pub(super) fn finish(mut self) -> Batch {
        let mut delivered = Batch::default();
        for event in std::mem::take(&mut self.again).into_values() {
            self.hold_or(event, &mut delivered);
        }
        let mut held = self.held.take().unwrap_or_default();
        held.shuffle(&mut self.random);
        for event in held {
            delivered.add_event(&event.event_id, &event.word, event.line);
        }
        delivered
    }
}
