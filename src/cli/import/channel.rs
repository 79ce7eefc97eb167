//! A channel that delivers events at least once, perhaps late, repeated or in any order.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A redelivery comes at most this many events after the first delivery.
const MAX_REDELIVERY_DELAY_EVENTS: u64 = 1_000;

/// An event to deliver, and the number of its record.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) event_id: String,
    pub(super) word: String,
    pub(super) line: u64,
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

    /// Takes an event, and delivers what is due.
    pub(super) fn send(
        &mut self,
        event: Event,
        mut deliver: impl FnMut(&Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.first_deliveries += 1;
        if self.random.random_bool(self.redeliver) {
            let delay = self.random.random_range(1..=MAX_REDELIVERY_DELAY_EVENTS);
            let due = (self.first_deliveries + delay, self.first_deliveries);
            self.again.insert(due, event.clone());
        }
        self.hold_or(event, &mut deliver)?;
        while let Some(next) = self.again.first_entry()
            && next.key().0 <= self.first_deliveries
        {
            let event = next.remove();
            self.hold_or(event, &mut deliver)?;
        }
        Ok(())
    }

    fn hold_or(
        &mut self,
        event: Event,
        deliver: &mut impl FnMut(&Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match &mut self.held {
            Some(held) => held.push(event),
            None => deliver(&event)?,
        }
        Ok(())
    }

    /// Delivers all that is left.
    pub(super) fn finish(
        mut self,
        mut deliver: impl FnMut(&Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for event in std::mem::take(&mut self.again).into_values() {
            self.hold_or(event, &mut deliver)?;
        }
        let mut held = self.held.take().unwrap_or_default();
        held.shuffle(&mut self.random);
        held.iter().try_for_each(deliver)
    }
}
