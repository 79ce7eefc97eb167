//! Counts the cases that random sequences reach, so that a campaign that misses one fails.

use super::sequence::Step;
use crate::oracle::{Expected, Oracle, Request};
use std::collections::BTreeMap;
use std::fmt;

/// The cases that a campaign has to reach at least once.
const WANTED: [&str; 24] = [
    "accepted",
    "accepted again after its release",
    "accepted again after its release with another word",
    "checkpoint replaced",
    "checkpoint with pending outputs",
    "commit of nothing",
    "commit of one",
    "commit of several",
    "conflict",
    "conflict with a word never counted",
    "duplicate",
    "restore back",
    "restore forward",
    "restore of an event committed after the checkpoint",
    "restore that brings pending outputs back",
    "restore of an unknown checkpoint",
    "rollback of nothing",
    "rollback of some",
    "restart after a clean stop with outputs pending",
    "restart after a kill with outputs pending",
    "autocommit switched on with outputs pending",
    "autocommit of an event that is released already",
    "autocommit with outputs that a restore brought back",
    "restart with autocommit",
];

#[derive(Default)]
pub struct Reached {
    times: BTreeMap<&'static str, u64>,
}

impl Reached {
    /// The cases that `steps` reach, according to the oracle.
    pub fn by(steps: &[Step]) -> Self {
        let mut reached = Self::default();
        let mut oracle = Oracle::new();
        for step in steps {
            match step {
                Step::Request(request) => {
                    reached.before(&oracle, request);
                    let expected = oracle.apply(request);
                    reached.after(&oracle, request, &expected);
                }
                Step::Autocommit => {
                    let pending = !oracle.pending().is_empty();
                    reached.hit_if(pending, "autocommit switched on with outputs pending");
                    oracle.switch_autocommit_on();
                }
                _ if oracle.has_autocommit() => reached.hit("restart with autocommit"),
                Step::Stop if oracle.pending().is_empty() => {}
                Step::Stop => reached.hit("restart after a clean stop with outputs pending"),
                Step::Kill if oracle.pending().is_empty() => {}
                Step::Kill => reached.hit("restart after a kill with outputs pending"),
            }
        }
        reached
    }

    fn hit(&mut self, what: &'static str) {
        assert!(WANTED.contains(&what), "{what} is not in the list");
        *self.times.entry(what).or_insert(0) += 1;
    }

    fn hit_if(&mut self, condition: bool, what: &'static str) {
        if condition {
            self.hit(what);
        }
    }

    fn before(&mut self, oracle: &Oracle, request: &Request) {
        match request {
            Request::Process { event_id, .. } if oracle.has_autocommit() => {
                let is_new = oracle.word_of(event_id).is_none();
                self.hit_if(
                    is_new && oracle.is_released(event_id),
                    "autocommit of an event that is released already",
                );
                self.hit_if(
                    !oracle.pending().is_empty(),
                    "autocommit with outputs that a restore brought back",
                );
            }
            Request::Checkpoint { id } => {
                self.hit_if(oracle.has_checkpoint(id), "checkpoint replaced");
                self.hit_if(
                    !oracle.pending().is_empty(),
                    "checkpoint with pending outputs",
                );
            }
            Request::Restore { id } => {
                self.hit_if(oracle.restore_goes_back(id), "restore back");
                self.hit_if(oracle.restore_goes_forward(id), "restore forward");
                let released = oracle.restore_meets_a_release(id);
                self.hit_if(
                    released,
                    "restore of an event committed after the checkpoint",
                );
            }
            _ => {}
        }
    }

    fn after(&mut self, oracle: &Oracle, request: &Request, expected: &Expected) {
        match expected {
            Expected::Accepted { word, .. } => self.accepted(oracle, request, word),
            Expected::Duplicate { .. } => self.hit("duplicate"),
            Expected::Conflict { count, .. } => {
                self.hit("conflict");
                self.hit_if(*count == 0, "conflict with a word never counted");
            }
            Expected::CheckpointSaved { .. } => {}
            Expected::Restored { .. } => {
                let pending = !oracle.pending().is_empty();
                self.hit_if(pending, "restore that brings pending outputs back");
            }
            Expected::Committed { output_count: 0 } => self.hit("commit of nothing"),
            Expected::Committed { output_count: 1 } => self.hit("commit of one"),
            Expected::Committed { .. } => self.hit("commit of several"),
            Expected::RolledBack { discarded_count: 0 } => self.hit("rollback of nothing"),
            Expected::RolledBack { .. } => self.hit("rollback of some"),
            Expected::UnknownCheckpoint => self.hit("restore of an unknown checkpoint"),
        }
    }

    fn accepted(&mut self, oracle: &Oracle, request: &Request, word: &str) {
        self.hit("accepted");
        let Request::Process { event_id, .. } = request else {
            return;
        };
        if oracle.is_released(event_id) {
            self.hit("accepted again after its release");
            let other = oracle.released_word(event_id) != Some(word);
            self.hit_if(other, "accepted again after its release with another word");
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (what, times) in &other.times {
            *self.times.entry(what).or_insert(0) += times;
        }
    }

    pub fn missing(&self) -> Vec<&'static str> {
        WANTED
            .into_iter()
            .filter(|what| !self.times.contains_key(what))
            .collect()
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in WANTED {
            let times = self.times.get(what).copied().unwrap_or(0);
            write!(f, "\n  {times:>8} {what}")?;
        }
        Ok(())
    }
}
