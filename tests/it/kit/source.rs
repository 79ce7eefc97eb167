//! An at-least-once source: new events, old ones again, and sometimes a control request.

use super::requests::{checkpoint, event, restore};
use crate::oracle::Request;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;

/// A redelivery usually takes one of this many last ids.
const RECENT: u64 = 60;

pub struct Source {
    rng: ChaCha8Rng,
    /// All ids below this have been sent.
    next_id: u64,
    /// The number of control requests that have been sent.
    controls: u64,
    /// The most different ids, and the most control requests, to send.
    most_ids: u64,
    most_controls: u64,
    /// Unanswered `process` requests of earlier lives.
    again: VecDeque<Request>,
}

impl Source {
    pub fn new(seed: u64) -> Self {
        // The kills are drawn from other random numbers: how much is sent before a kill depends on
        // timing, and must not change the kills after it.
        let rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed << 32);
        Self {
            rng,
            next_id: 0,
            controls: 0,
            most_ids: u64::MAX,
            most_controls: u64::MAX,
            again: VecDeque::new(),
        }
    }

    /// Limits the number of different ids and of control requests. Redeliveries are not limited.
    pub fn limit(&mut self, ids: u64, controls: u64) {
        (self.most_ids, self.most_controls) = (ids, controls);
    }

    pub fn next(&mut self) -> Request {
        let control = match self.rng.random_range(0..1000) {
            _ if self.controls >= self.most_controls => None,
            0..12 => Some(Request::Commit),
            12..22 => Some(checkpoint(self.checkpoint())),
            22..29 => Some(self.restore()),
            29..35 => Some(Request::Rollback),
            _ => None,
        };
        self.controls += u64::from(control.is_some());
        control.unwrap_or_else(|| self.again.pop_front().unwrap_or_else(|| self.event()))
    }

    /// Returns a restore of a checkpoint, which usually exists unless the directory is young.
    pub fn restore(&mut self) -> Request {
        restore(self.checkpoint())
    }

    /// Takes unanswered requests. Only a `process` request is safe to send again.
    pub fn redeliver(&mut self, unanswered: &[Request]) {
        let events = unanswered
            .iter()
            .filter(|r| matches!(r, Request::Process { .. }));
        self.again.extend(events.cloned());
    }

    fn checkpoint(&mut self) -> String {
        format!("c{}", self.rng.random_range(0..5))
    }

    fn event(&mut self) -> Request {
        let has_new = self.next_id < self.most_ids;
        let id = match self.rng.random_range(0..if has_new { 10 } else { 4 }) {
            _ if self.next_id == 0 => self.new_id(),
            0..2 => self
                .rng
                .random_range(self.next_id.saturating_sub(RECENT)..self.next_id),
            2..4 => self.rng.random_range(0..self.next_id),
            _ => self.new_id(),
        };
        // Each id has its own word; a few events carry another one.
        let word = if self.rng.random_bool(0.02) {
            self.rng.random_range(0..40)
        } else {
            id % 20
        };
        event(format!("event-{id}"), format!("word-{word}"))
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }
}
