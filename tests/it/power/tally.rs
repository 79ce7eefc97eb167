//! Counts what the power cuts of a campaign hit, so that a campaign that misses something fails.

use std::collections::BTreeSet;
use std::fmt;

/// Fewer cuts than this may miss something by chance, so they need not hit everything.
const ENOUGH_TO_HIT_ALL: u64 = 60;

#[derive(Debug, Default)]
pub struct Tally {
    pub cuts: u64,
    /// Pages with unsynced writes: kept as the last write left them, dropped to the last sync, at
    /// an older write between these, and torn between two of them.
    pub kept: u64,
    pub dropped: u64,
    pub older: u64,
    pub torn: u64,
    /// Lost creations, renames and unlinks.
    pub names_lost: u64,
    pub during_creation: u64,
    /// Cuts after an fdatasync of the database and before the first byte of its replies.
    pub before_the_reply: u64,
    pub with_a_torn_page: u64,
    /// Cuts that left more requests than had been answered.
    pub beyond_the_answered: u64,
    /// The lengths of the prefixes that were found.
    pub prefixes: BTreeSet<usize>,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.kept += other.kept;
        self.dropped += other.dropped;
        self.older += other.older;
        self.torn += other.torn;
        self.names_lost += other.names_lost;
        self.during_creation += other.during_creation;
        self.before_the_reply += other.before_the_reply;
        self.with_a_torn_page += other.with_a_torn_page;
        self.beyond_the_answered += other.beyond_the_answered;
        self.prefixes.extend(other.prefixes);
    }

    /// Panics when the cuts missed what they were meant to hit.
    pub fn check(&self) {
        if self.cuts < ENOUGH_TO_HIT_ALL {
            return;
        }
        for (hit, what) in [
            (self.kept, "a page kept"),
            (self.dropped, "a page dropped"),
            (self.names_lost, "a name lost"),
            (self.during_creation, "a cut during the first creation"),
            (self.before_the_reply, "a cut between fdatasync and reply"),
            (self.with_a_torn_page, "a cut with a torn page"),
            (self.beyond_the_answered, "an unanswered request kept"),
        ] {
            assert!(hit > 0, "never hit: {what}: {self}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cuts: {} during creation, {} between fdatasync and reply, {} with a torn page; ",
            self.cuts, self.during_creation, self.before_the_reply, self.with_a_torn_page,
        )?;
        write!(
            f,
            "unsynced pages: {} kept, {} dropped, {} older, {} torn; {} names lost; ",
            self.kept, self.dropped, self.older, self.torn, self.names_lost,
        )?;
        let (first, last) = (self.prefixes.first(), self.prefixes.last());
        write!(
            f,
            "{} outcomes beyond the answered, {} prefixes reached from {:?} to {:?} requests",
            self.beyond_the_answered,
            self.prefixes.len(),
            first.unwrap_or(&0),
            last.unwrap_or(&0),
        )
    }
}
