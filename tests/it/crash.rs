//! Kills the real process with SIGKILL at its system calls, and checks the state that is left.
//!
//! After a kill, the state must be the one after some prefix of the requests that were sent, and
//! that prefix must contain every answered one. Most kills come before, in the middle of or after a
//! randomly chosen call, while the process creates or opens its directory, works, writes a counts
//! snapshot, carries out each type of request, or closes. A few come at any time from outside.
//!
//! `EXACTLY_ONCE_KILLS` is the number of kills. `EXACTLY_ONCE_SEED` is the first seed; each
//! directory takes the next one. A seed replays the requests and the time of the kill, as far as
//! the threads of the process and the timing of the machine repeat themselves.

pub mod life;
mod pattern;
mod tally;

use crate::kit::{
    Belief, Dump, Life, Source, caught, expect_no_damage, expect_no_reply, on_all_threads,
    scratch_dir, setting,
};
use crate::oracle::Request;
use life::{End, Home};
use pattern::{Pattern, Phase, Shot};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tally::Tally;

/// Enough for a state with a history, and few enough that the oracle stays fast.
const KILLS_PER_DIRECTORY: u64 = 50;
/// One directory in this many has autocommit.
const DIRECTORIES_PER_AUTOCOMMIT: u64 = 3;
/// How often a process without requests opens the directory before it is dumped.
const EMPTY_RUNS: f64 = 0.1;
/// After one kill in this many, `verify` reads the directory before anything opens it again.
const KILLS_PER_VERIFICATION: u64 = 5;

#[test]
fn after_sigkill_the_state_is_that_of_a_prefix_with_every_answered_request() {
    let first = setting("EXACTLY_ONCE_SEED", 1);
    let kills = setting("EXACTLY_ONCE_KILLS", 300);
    let mut total = Tally::default();
    let kills_of = |number| KILLS_PER_DIRECTORY.min(kills - number * KILLS_PER_DIRECTORY);
    on_all_threads(
        kills.div_ceil(KILLS_PER_DIRECTORY),
        |number| directory(first + number, kills_of(number)),
        |tally| total.add(tally),
    );
    println!("seeds from {first}: {total}");
    total.check();
}

/// Kills this many processes on one directory; the error is the report to print.
fn directory(seed: u64, kills: u64) -> Result<Tally, String> {
    let dir = scratch_dir();
    let mut home = Home::below(dir.path());
    home.autocommit = seed.is_multiple_of(DIRECTORIES_PER_AUTOCOMMIT);
    let mut directory = Directory::new(home, seed);
    let Err(reason) = caught(|| directory.run(kills)) else {
        return Ok(directory.tally);
    };
    Err(format!(
        "seed {seed}, kill {}, last {:?}: {reason}\nthe directory is kept in {}\nreplay it with\n  \
         EXACTLY_ONCE_SEED={seed} EXACTLY_ONCE_KILLS={kills} cargo test --test it crash",
        directory.tally.kills,
        directory.last,
        dir.keep().display(),
    ))
}

/// A state directory whose processes keep being killed.
struct Directory {
    home: Home,
    rng: ChaCha8Rng,
    source: Source,
    belief: Belief,
    tally: Tally,
    last: Option<Pattern>,
    /// True once a start has certainly finished. Until then, a kill may have left nothing that a
    /// dump could show.
    is_created: bool,
}

impl Directory {
    fn new(home: Home, seed: u64) -> Self {
        Self {
            belief: match home.autocommit {
                true => Belief::with_autocommit(),
                false => Belief::new(),
            },
            home,
            rng: ChaCha8Rng::seed_from_u64(seed),
            source: Source::new(seed),
            tally: Tally::default(),
            last: None,
            is_created: false,
        }
    }

    fn run(&mut self, kills: u64) -> Result<(), String> {
        while self.tally.kills < kills {
            let pattern = if self.is_created {
                Pattern::draw(&mut self.rng)
            } else {
                Pattern::AtCall(Shot::draw(Phase::Creation, &mut self.rng))
            };
            let life = self.live(pattern)?;
            // Some are killed again before anything could repair what the last kill has left.
            while self.tally.kills < kills && self.rng.random_bool(self.bare_kills()) {
                let phase = self.opening();
                let bare = Pattern::bare(phase, &mut self.rng);
                self.live(bare)?;
            }
            self.reconcile(&life)?;
        }
        self.finish()
    }

    /// How often one more process is killed while it opens. Each directory is created only once.
    fn bare_kills(&self) -> f64 {
        if self.is_created { 0.3 } else { 0.8 }
    }

    fn opening(&self) -> Phase {
        if self.is_created {
            Phase::Opening
        } else {
            Phase::Creation
        }
    }

    fn live(&mut self, pattern: Pattern) -> Result<Life, String> {
        self.last = Some(pattern);
        let (life, end) = life::live(&self.home, pattern, &mut self.source)?;
        self.is_created |= !life.replies.is_empty() || matches!(end, End::Clean);
        self.tally.count_end(pattern, &life, &end);
        Ok(life)
    }

    /// Finds the prefix that was applied, and makes the source resend unanswered requests.
    fn reconcile(&mut self, life: &Life) -> Result<(), String> {
        if self.tally.kills.is_multiple_of(KILLS_PER_VERIFICATION) {
            expect_no_damage(&self.home.data)?;
        }
        // What opens the directory first must repair it: sometimes a node without requests, and
        // otherwise the dump.
        if !self.is_created || self.rng.random_bool(EMPTY_RUNS) {
            expect_no_reply(&self.home.data)?;
            self.is_created = true;
        }
        let dump = Dump::read(&self.home.data)?;
        let prefix = self.belief.reconcile(life, &dump)?;
        self.tally.count_reconciled(life, prefix, self.belief.len());
        self.source.redeliver(life.unanswered());
        Ok(())
    }

    /// Commits what is pending in a last clean run. The belief must still hold.
    fn finish(&mut self) -> Result<(), String> {
        self.belief.run(&self.home.data, vec![Request::Commit])
    }
}
