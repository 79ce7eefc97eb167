//! Counts the results, so that the test fails if too few calls failed.

use super::case::Outcome;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Default)]
pub struct Tally {
    /// Cases whose call was not made: the threads share the calls differently each time.
    unreached: u64,
    /// The number of cases by the call that failed and the result.
    outcomes: BTreeMap<(String, String), u64>,
    went_on: u64,
    stopped: u64,
    /// Those of `stopped` that had answered something.
    stopped_at_work: u64,
}

impl Tally {
    pub fn count(&mut self, outcome: &Outcome) {
        let Some(hit) = &outcome.hit else {
            self.unreached += 1;
            return;
        };
        let is_well = outcome.status == 0;
        let what = match outcome.status {
            0 => "went on".to_owned(),
            _ if outcome.stderr.contains("stuck for") => "stuck, then status 5".to_owned(),
            status => format!("status {status}"),
        };
        *self.outcomes.entry((hit.call.clone(), what)).or_default() += 1;
        self.went_on += u64::from(is_well);
        self.stopped += u64::from(!is_well);
        self.stopped_at_work += u64::from(!is_well && outcome.answered > 0);
    }

    /// Panics if too few calls were made to fail.
    pub fn check(&self) {
        let failed = self.stopped + self.went_on;
        assert!(failed > self.unreached, "too few calls failed: {self}");
        assert!(self.stopped_at_work > 0, "none failed at work: {self}");
        for call in ["pwrite db", "fdatasync db", "pwrite watermark"] {
            let has_failed = self.outcomes.keys().any(|(known, _)| known == call);
            assert!(has_failed, "never failed: {call}: {self}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} failed calls stopped the node, {} of them after its first reply, with {} it \
             went on, {} were not reached",
            self.stopped, self.stopped_at_work, self.went_on, self.unreached
        )?;
        for ((call, what), count) in &self.outcomes {
            write!(f, "\n  {call}: {what} {count} times")?;
        }
        Ok(())
    }
}
