//! Counts the outcomes, so that the test fails if the damages reach too little.

use super::harm::{Harm, Kind, Place, all};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What became of a damaged directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It opens, everything is there, and `verify` finds nothing.
    Whole,
    /// It opens and everything is there, but `verify` has a finding.
    OnlyVerifyMinds,
    /// It is refused with one line.
    Refused,
    /// It opens and something has changed, but `verify` had reported that.
    Named,
}

const OUTCOMES: [Outcome; 4] = [
    Outcome::Whole,
    Outcome::OnlyVerifyMinds,
    Outcome::Refused,
    Outcome::Named,
];

#[derive(Default)]
pub struct Tally {
    cases: BTreeMap<(Harm, Outcome), u64>,
}

impl Tally {
    pub fn add(&mut self, harm: Harm, outcome: Outcome) {
        *self.cases.entry((harm, outcome)).or_default() += 1;
    }

    /// The number of cases that match.
    fn count(&self, is_meant: impl Fn(Harm, Outcome) -> bool) -> u64 {
        let meant = self.cases.iter().filter(|((h, o), _)| is_meant(*h, *o));
        meant.map(|(_, count)| count).sum()
    }

    /// Panics if the damages missed a case.
    pub fn check(&self) {
        let all = all();
        if self.count(|_, _| true) < all.len() as u64 {
            return;
        }
        for harm in all {
            assert!(self.count(|h, _| h == harm) > 0, "never done: {harm:?}");
        }
        // An open reads nearly everything, so [`Outcome::Named`] is rare and need not occur.
        for outcome in [Outcome::Whole, Outcome::OnlyVerifyMinds, Outcome::Refused] {
            assert!(
                self.count(|_, o| o == outcome) > 0,
                "no case was {outcome:?}"
            );
        }
    }

    fn cell(&self, kind: Kind, place: Place) -> String {
        let harm = Harm { kind, place };
        let counts = OUTCOMES.map(|outcome| self.count(|h, o| (h, o) == (harm, outcome)));
        if counts == [0; 4] {
            return "-".to_owned();
        }
        counts.map(|count| count.to_string()).join("/")
    }
}

impl fmt::Display for Tally {
    /// A row for each kind, a column for each place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let harms = self.cases.keys().map(|(harm, _)| *harm);
        let kinds: BTreeSet<_> = harms.clone().map(|harm| harm.kind).collect();
        let places: BTreeSet<_> = harms.map(|harm| harm.place).collect();
        for outcome in OUTCOMES {
            write!(f, "{} {outcome:?}, ", self.count(|_, o| o == outcome))?;
        }
        write!(f, "in this order:\n{:16}", "")?;
        for place in &places {
            write!(f, "{:>14}", format!("{place:?}"))?;
        }
        for kind in kinds {
            write!(f, "\n{:16}", format!("{kind:?}"))?;
            for place in &places {
                write!(f, "{:>14}", self.cell(kind, *place))?;
            }
        }
        Ok(())
    }
}
