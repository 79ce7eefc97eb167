//! Kills the real process with SIGKILL while it is busy or opening, and finds out what is left.
//!
//! After a kill the state must be the one after some prefix of the requests that were sent, and
//! that prefix must contain every answered one. `EXACTLY_ONCE_KILLS` says how many kills,
//! `EXACTLY_ONCE_SEED` where the seeds begin: each directory has the next one. A seed replays what
//! is sent and when the kill comes, as far as the machine's timing repeats itself.

pub mod life;
pub mod reconcile;
pub mod source;
mod tally;

use crate::client::{dump::Dump, run_once, scratch_dir};
use crate::model::{caught, on_all_threads, setting};
use crate::oracle::Request;
use life::{Life, Pattern};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reconcile::Belief;
use source::Source;
use std::path::{Path, PathBuf};
use tally::Tally;

/// Enough for a state with a history, few enough for the oracle to stay quick.
const KILLS_PER_DIRECTORY: u64 = 50;
/// One life in so many is cut short during open; further kills during open follow other kills.
const LIVES_PER_OPEN_KILL: u64 = 3;

#[test]
fn after_sigkill_the_state_is_that_of_a_prefix_with_every_answered_request() {
    let first = setting("EXACTLY_ONCE_SEED", 1);
    let kills = setting("EXACTLY_ONCE_KILLS", 200);
    let mut total = Tally::default();
    let kills_of = |number| KILLS_PER_DIRECTORY.min(kills - number * KILLS_PER_DIRECTORY);
    on_all_threads(
        kills.div_ceil(KILLS_PER_DIRECTORY),
        |number| directory(first + number, kills_of(number)),
        |tally| total.add(&tally),
    );
    println!("seeds from {first}: {total}");
    total.check();
}

/// Kills so many processes on one directory; a failure comes back as the report to print.
fn directory(seed: u64, kills: u64) -> Result<Tally, String> {
    let dir = scratch_dir();
    let mut directory = Directory::new(dir.path().join("data"), seed);
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

/// A data directory whose processes keep being killed.
struct Directory {
    path: PathBuf,
    rng: ChaCha8Rng,
    source: Source,
    belief: Belief,
    tally: Tally,
    last: Option<Pattern>,
    /// Until the first reply, a kill may have left nothing that a dump could show.
    has_answered: bool,
}

impl Directory {
    fn new(path: PathBuf, seed: u64) -> Self {
        Self {
            path,
            rng: ChaCha8Rng::seed_from_u64(seed),
            source: Source::new(seed),
            belief: Belief::new(),
            tally: Tally::default(),
            last: None,
            has_answered: false,
        }
    }

    fn run(&mut self, kills: u64) -> Result<(), String> {
        let mut lives = 0;
        while self.tally.kills < kills {
            let pattern = if lives % LIVES_PER_OPEN_KILL == 0 {
                Pattern::during_open(&mut self.rng)
            } else {
                Pattern::busy(&mut self.rng)
            };
            lives += 1;
            let life = self.live(pattern)?;
            // Some are killed again before anything could repair what that kill has left.
            while self.tally.kills < kills && self.rng.random_bool(0.3) {
                let bare = Pattern::DuringOpen {
                    requests: 0,
                    delay: life::delay(&mut self.rng),
                };
                self.live(bare)?;
            }
            self.reconcile(&life)?;
        }
        self.finish()
    }

    fn live(&mut self, pattern: Pattern) -> Result<Life, String> {
        self.last = Some(pattern);
        let life = life::live(&self.path, pattern, &mut self.source)?;
        self.has_answered |= !life.replies.is_empty();
        self.tally.count_kill(pattern, &life);
        Ok(life)
    }

    /// Finds the prefix that was applied, and has the source send again what was not answered.
    fn reconcile(&mut self, life: &Life) -> Result<(), String> {
        // Whatever opens the directory first repairs it: a node must be able to, and a dump too.
        if !self.has_answered || self.rng.random_bool(0.5) {
            expect_no_reply(&self.path)?;
        }
        let dump = Dump::read(&self.path)?;
        let prefix = self.belief.reconcile(life, &dump)?;
        self.tally.count_reconciled(life, prefix, self.belief.len());
        self.source.redeliver(life.unanswered());
        Ok(())
    }

    /// A last clean run commits what is pending, and the belief must still hold.
    fn finish(&mut self) -> Result<(), String> {
        let (stdout, stderr, status) =
            run_once(&self.path, (Request::Commit.line(0) + "\n").as_bytes());
        if !status.success() {
            return Err(format!("the last run ended with {status}: {stderr}"));
        }
        let replies = String::from_utf8_lossy(&stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        let life = Life {
            sent: vec![Request::Commit],
            replies,
            written: 1,
        };
        self.belief
            .reconcile(&life, &Dump::read(&self.path)?)
            .map(|_| ())
    }
}

/// Opens the directory and closes it cleanly.
pub fn expect_no_reply(path: &Path) -> Result<(), String> {
    let (stdout, stderr, status) = run_once(path, b"");
    if status.success() && stdout.is_empty() {
        return Ok(());
    }
    let stdout = String::from_utf8_lossy(&stdout);
    Err(format!(
        "an empty run after the kill ended with {status}: {stderr}{stdout}"
    ))
}
