//! What the kills of a campaign hit, so that one that never hits a window fails.

use super::life::{Life, Pattern};
use std::fmt;

#[derive(Default)]
pub struct Tally {
    pub kills: u64,
    during_open: u64,
    before_any_reply: u64,
    /// Kills between a request being written and its reply being read.
    in_flight: u64,
    /// Kills after which everything written was there.
    nothing_lost: u64,
    /// Kills after which something was there whose reply was never seen.
    applied_unanswered: u64,
    /// Dumps that more than one state could have given.
    ambiguous: u64,
    sent: usize,
    answered: usize,
}

impl Tally {
    pub fn count_kill(&mut self, pattern: Pattern, life: &Life) {
        self.kills += 1;
        self.during_open += u64::from(matches!(pattern, Pattern::DuringOpen { .. }));
        self.before_any_reply += u64::from(life.replies.is_empty());
        self.in_flight += u64::from(life.written > life.replies.len());
        self.sent += life.sent.len();
        self.answered += life.replies.len();
    }

    /// `prefix` is how many of the requests of a life were found applied, `states` how many states
    /// the directory may be in.
    pub fn count_reconciled(&mut self, life: &Life, prefix: usize, states: usize) {
        self.nothing_lost += u64::from(prefix >= life.written);
        self.applied_unanswered += u64::from(prefix > life.replies.len());
        self.ambiguous += u64::from(states > 1);
    }

    pub fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.during_open += other.during_open;
        self.before_any_reply += other.before_any_reply;
        self.in_flight += other.in_flight;
        self.nothing_lost += other.nothing_lost;
        self.applied_unanswered += other.applied_unanswered;
        self.ambiguous += other.ambiguous;
        self.sent += other.sent;
        self.answered += other.answered;
    }

    /// Panics when the kills missed what they were meant to hit.
    pub fn check(&self) {
        assert!(
            self.kills == 0 || self.during_open * 4 >= self.kills,
            "few during open: {self}"
        );
        // A handful of kills may miss by chance; then they prove what they hit and no more.
        if self.kills >= 20 {
            assert!(
                self.in_flight > 0,
                "no kill found a request in flight: {self}"
            );
            assert!(
                self.before_any_reply > 0,
                "no kill came before the first reply: {self}"
            );
            assert!(self.answered > 0, "no kill found a busy process: {self}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kills,
            during_open,
            before_any_reply,
            in_flight,
            ..
        } = self;
        let Self {
            nothing_lost,
            applied_unanswered,
            ambiguous,
            sent,
            answered,
            ..
        } = self;
        write!(
            f,
            "{kills} kills: {during_open} during open, {before_any_reply} before any reply, \
             {in_flight} with requests in flight, {nothing_lost} with nothing lost, \
             {applied_unanswered} with more applied than answered, {ambiguous} ambiguous; \
             {sent} requests sent, {answered} answered"
        )
    }
}
