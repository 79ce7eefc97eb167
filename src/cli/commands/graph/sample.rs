//! Histories for tests, made by a model of the state: sets of positions, as in the real one.

use std::collections::{BTreeMap, BTreeSet};

use exactly_once::inspect::Milestone;

/// A time in 2023, when a history begins; each milestone takes a second.
const BEGINNING_MS: u64 = 1_700_000_000_000;

/// A history under construction.
#[derive(Debug, Default)]
pub(super) struct History {
    head: u64,
    state: BTreeSet<u64>,
    released: BTreeSet<u64>,
    saved: BTreeMap<String, (BTreeSet<u64>, Milestone)>,
    commits: Vec<Milestone>,
    switches: Vec<Milestone>,
    seconds: u64,
}

/// Twenty events, with the checkpoint `a` after the first ten and `b` after the others.
pub(super) fn saved_twice() -> History {
    let mut history = History::default();
    history.accept(10).checkpoint("a");
    history.accept(10).checkpoint("b");
    history
}

impl History {
    /// Accepts this many events.
    pub(super) fn accept(&mut self, count: u64) -> &mut Self {
        self.state.extend(self.head + 1..=self.head + count);
        self.head += count;
        self
    }

    pub(super) fn checkpoint(&mut self, name: &str) -> &mut Self {
        let milestone = Milestone::Checkpoint {
            name: name.to_owned(),
            position: self.head,
            reached: self.reached(),
            events: self.state.len() as u64,
            at_ms: self.now(),
        };
        let saved = (self.state.clone(), milestone);
        self.saved.insert(name.to_owned(), saved);
        self
    }

    pub(super) fn delete(&mut self, name: &str) -> &mut Self {
        self.saved.remove(name).expect("it was saved");
        self
    }

    /// Releases the pending outputs, if there are any.
    pub(super) fn commit(&mut self) -> &mut Self {
        let outputs = self.state.difference(&self.released).count() as u64;
        let at_ms = self.now();
        if outputs > 0 {
            self.released.extend(&self.state);
            self.commits.push(Milestone::Commit {
                commit: self.commits.len() as u64 + 1,
                position: self.head,
                outputs,
                at_ms,
            });
        }
        self
    }

    pub(super) fn restore(&mut self, name: &str) -> &mut Self {
        let (target, _) = self.saved.get(name).expect("it was saved").clone();
        let events_left = self.state.difference(&target).count() as u64;
        let events_back = target.difference(&self.state).count() as u64;
        self.state = target;
        let restore = Milestone::Restore {
            checkpoint: name.to_owned(),
            position: self.head,
            reached: self.reached(),
            events_left,
            events_back,
            at_ms: self.now(),
        };
        self.switches.push(restore);
        self
    }

    /// Drops the events whose outputs are pending, if there are any.
    pub(super) fn rollback(&mut self) -> &mut Self {
        let before = self.state.len();
        self.state
            .retain(|position| self.released.contains(position));
        let at_ms = self.now();
        if self.state.len() < before {
            self.switches.push(Milestone::Rollback {
                position: self.head,
                reached: self.reached(),
                events_left: (before - self.state.len()) as u64,
                at_ms,
            });
        }
        self
    }

    /// All milestones, in the order in which a directory or a process shows them.
    pub(super) fn end(&self) -> Vec<Milestone> {
        let saved = self.saved.values().map(|(_, milestone)| milestone);
        let others = self.commits.iter().chain(&self.switches);
        let mut milestones: Vec<Milestone> = saved.chain(others).cloned().collect();
        milestones.push(Milestone::Present {
            position: self.head,
            reached: self.reached(),
            events: self.state.len() as u64,
        });
        milestones
    }

    fn reached(&self) -> u64 {
        self.state.last().copied().unwrap_or(0)
    }

    fn now(&mut self) -> u64 {
        self.seconds += 1;
        BEGINNING_MS + self.seconds * 1000
    }
}

/// A random history of 10 to 59 operations, the same for the same seed.
pub(super) fn random(seed: u64) -> Vec<Milestone> {
    let mut state = seed;
    // The generator of Knuth's MMIX; only its upper bits are random enough.
    let mut draw = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut history = History::default();
    for _ in 0..10 + draw(50) {
        let name = ["a", "b", "c", "d", "e"][draw(5) as usize];
        let is_saved = history.saved.contains_key(name);
        match draw(10) {
            0..=3 => history.accept(1 + draw(9)),
            4 => history.commit(),
            5 => history.rollback(),
            6 | 7 if is_saved => history.restore(name),
            8 if is_saved => history.delete(name),
            _ => history.checkpoint(name),
        };
    }
    history.end()
}
