//! Counts what the kills hit, so that the test fails if they miss a case.

use super::life::End;
use super::pattern::{Pattern, Phase};
use crate::kit::Life;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};

/// Fewer kills may by chance miss a phase or a call, so they are not checked.
const ENOUGH_TO_HIT_ALL: u64 = 200;
/// The calls that every state makes again and again.
const MAIN_CALLS: [&str; 7] = [
    "pwrite db",
    "sync_file_range db",
    "fdatasync db",
    "pwrite watermark",
    "write stdout",
    "write snap.new",
    "fsync db",
];

#[derive(Default)]
pub struct Tally {
    pub kills: u64,
    /// Lives that ended well before the call of the kill.
    ended_well: u64,
    /// Kills at a call, counted by phase, by call, and by the side of the call.
    phases: BTreeMap<Phase, u64>,
    calls: BTreeMap<String, u64>,
    sides: BTreeMap<String, u64>,
    during_open: u64,
    before_any_reply: u64,
    /// Kills after a request was written and before its reply was read.
    in_flight: u64,
    /// Lives after which every written request had been applied.
    nothing_lost: u64,
    /// Lives after which an unanswered request had been applied.
    applied_unanswered: u64,
    /// Dumps that fit more than one state.
    ambiguous: u64,
    sent: usize,
    answered: usize,
}

impl Tally {
    pub fn count_end(&mut self, pattern: Pattern, life: &Life, end: &End) {
        self.sent += life.sent.len();
        self.answered += life.replies.len();
        match end {
            End::Clean => return self.ended_well += 1,
            End::Killed => {}
            End::Hit(hit) => {
                add_one(&mut self.calls, hit.call.clone());
                add_one(&mut self.sides, hit.how.clone());
            }
        }
        self.kills += 1;
        if let Pattern::AtCall(shot) = pattern {
            add_one(&mut self.phases, shot.phase);
        }
        self.during_open += u64::from(pattern.is_during_open());
        self.before_any_reply += u64::from(life.replies.is_empty());
        self.in_flight += u64::from(life.written > life.replies.len());
    }

    /// `prefix` is the number of requests found applied, `states` that of states the directory may
    /// be in.
    pub fn count_reconciled(&mut self, life: &Life, prefix: usize, states: usize) {
        self.nothing_lost += u64::from(prefix >= life.written);
        self.applied_unanswered += u64::from(prefix > life.replies.len());
        self.ambiguous += u64::from(states > 1);
    }

    pub fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.ended_well += other.ended_well;
        add_all(&mut self.phases, other.phases);
        add_all(&mut self.calls, other.calls);
        add_all(&mut self.sides, other.sides);
        self.during_open += other.during_open;
        self.before_any_reply += other.before_any_reply;
        self.in_flight += other.in_flight;
        self.nothing_lost += other.nothing_lost;
        self.applied_unanswered += other.applied_unanswered;
        self.ambiguous += other.ambiguous;
        self.sent += other.sent;
        self.answered += other.answered;
    }

    /// Panics if the kills missed a case.
    pub fn check(&self) {
        if self.kills < ENOUGH_TO_HIT_ALL {
            return;
        }
        for phase in Phase::ALL {
            assert!(
                self.phases.contains_key(&phase),
                "never in {phase:?}: {self}"
            );
        }
        for call in MAIN_CALLS {
            assert!(self.calls.contains_key(call), "never at {call}: {self}");
        }
        for side in ["before", "half", "after"] {
            assert!(self.sides.contains_key(side), "never {side} a call: {self}");
        }
        for (hit, what) in [
            (self.in_flight, "no kill found a request in flight"),
            (self.before_any_reply, "no kill came before the first reply"),
            (
                self.applied_unanswered,
                "no kill left more than was answered",
            ),
        ] {
            assert!(hit > 0, "{what}: {self}");
        }
        assert!(self.answered > 0, "no kill found a busy process: {self}");
    }
}

fn add_one<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    *counts.entry(key).or_default() += 1;
}

fn add_all<K: Ord>(counts: &mut BTreeMap<K, u64>, others: BTreeMap<K, u64>) {
    for (key, count) in others {
        *counts.entry(key).or_default() += count;
    }
}

/// The counts with their names, largest first.
fn listed<K: Debug>(counts: &BTreeMap<K, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let counts = counts
        .iter()
        .map(|(name, count)| format!("{count} {name:?}"));
    counts.collect::<Vec<_>>().join(", ").replace('"', "")
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_calls: u64 = self.phases.values().sum();
        writeln!(
            f,
            "{} kills, {at_calls} of them at a call; {} lives ended well before theirs",
            self.kills, self.ended_well
        )?;
        writeln!(f, "  in {}", listed(&self.phases))?;
        writeln!(f, "  {} a call", listed(&self.sides))?;
        writeln!(f, "  at {}", listed(&self.calls))?;
        write!(
            f,
            "  {} during open, {} before any reply, {} with requests in flight, {} lives with \
             nothing lost, {} with more applied than answered, {} ambiguous; ",
            self.during_open,
            self.before_any_reply,
            self.in_flight,
            self.nothing_lost,
            self.applied_unanswered,
            self.ambiguous,
        )?;
        write!(f, "{} requests sent, {} answered", self.sent, self.answered)
    }
}
