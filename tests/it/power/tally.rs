//! What the power cuts of a campaign hit, so that one that never hits a window fails.

use std::collections::BTreeSet;
use std::fmt;

/// With fewer cuts chance may leave a window out; then they prove what they hit and no more.
const ENOUGH_TO_HIT_ALL: u64 = 60;

#[derive(Debug, Default)]
pub struct Tally {
    pub cuts: u64,
    /// Pages with unsynced writes: as the last of them left it, as the last sync did, as one in
    /// between did, and torn between two of these.
    pub kept: u64,
    pub dropped: u64,
    pub older: u64,
    pub torn: u64,
    /// Creations, renames and unlinks that are gone.
    pub names_lost: u64,
    pub during_creation: u64,
    /// Cuts after an fdatasync of the database whose replies have not begun to leave.
    pub before_the_reply: u64,
    pub with_a_torn_page: u64,
    /// Cuts after which more was there than had been answered.
    pub beyond_the_answered: u64,
    /// How many requests had been applied, in each outcome.
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
            (self.beyond_the_answered, "a cut that keeps the unanswered"),
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
