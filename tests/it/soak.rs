//! A long run with requests of every kind, kills and restarts, and bounds on its memory and disk.
//!
//! `EXACTLY_ONCE_SOAK_SECONDS` is its length. `EXACTLY_ONCE_SEED` decides what is sent, but not how
//! much, which depends on the timing of the machine. Every reply is checked, and after each process
//! the directory is compared as in `crash`. The bounds prove something after minutes or hours; a
//! short run only shows that the test works.

mod figures;

use crate::kit::{
    Belief, Dump, Life, Memory, Node, Source, caught, expect_no_damage, scratch_dir, setting,
};
use figures::Figures;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The number of different ids, and of control requests, in a long run. More would be too slow: the
/// oracle copies all ids for each checkpoint and restore.
const IDS: u64 = 150_000;
const CONTROLS: u64 = 15_000;
/// The most of them in a second of a short run.
const IDS_A_SECOND: u64 = 500;
const CONTROLS_A_SECOND: u64 = 20;
/// The shortest and longest life of a process, unless the run is short.
const LIFE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(20));
/// One life in this many is this many times as long, so that a leak of memory shows.
const LIVES_PER_LONG_LIFE: u64 = 10;
/// The share of processes that end by SIGKILL and not at the end of their input.
const KILLS: f64 = 0.7;
/// With these, counts snapshots come and go, runs of the index are stored, and sled is reopened at
/// times.
const OPTIONS: [&str; 6] = [
    "--snapshot-every",
    "1000",
    "--run-every",
    "1000",
    "--reopen-bytes",
    "20000000",
];

#[test]
fn a_long_run_with_kills_and_restarts_answers_right_and_takes_no_more_than_its_events_need() {
    let seed = setting("EXACTLY_ONCE_SEED", 1);
    let seconds = setting("EXACTLY_ONCE_SOAK_SECONDS", 4);
    println!("seed {seed}, {seconds} seconds");
    let dir = scratch_dir();
    let path = dir.path().join("data");
    let mut soak = Soak::new(path, seed, Duration::from_secs(seconds));
    if let Err(reason) = caught(|| soak.run()) {
        panic!(
            "{reason}\n{}\nthe directory is kept in {}\nrun it again with\n  \
             EXACTLY_ONCE_SEED={seed} EXACTLY_ONCE_SOAK_SECONDS={seconds} cargo test --test it \
             soak",
            soak.figures,
            dir.keep().display()
        );
    }
    println!("{}", soak.figures);
    soak.figures.check();
}

struct Soak {
    path: PathBuf,
    time: Duration,
    rng: ChaCha8Rng,
    source: Source,
    belief: Belief,
    figures: Figures,
}

impl Soak {
    fn new(path: PathBuf, seed: u64, time: Duration) -> Self {
        Self {
            path,
            time,
            rng: ChaCha8Rng::seed_from_u64(seed),
            source: Source::new(seed),
            belief: Belief::new(),
            figures: Figures::new(time),
        }
    }

    fn run(&mut self) -> Result<(), String> {
        for number in 1.. {
            if self.figures.is_over() {
                break;
            }
            let length = self.life_time(number);
            self.live(length)?;
        }
        Ok(())
    }

    /// The length of a life. A short run has shorter lives, so that it has several.
    fn life_time(&mut self, number: u64) -> Duration {
        let shortest = LIFE.0.min(self.time / 20);
        let longest = LIFE.1.min(self.time / 5);
        let times = if number.is_multiple_of(LIVES_PER_LONG_LIFE) {
            u32::try_from(LIVES_PER_LONG_LIFE).expect("it is ten")
        } else {
            1
        };
        self.rng.random_range(shortest..=longest) * times
    }

    /// Runs one process from its start to its end, then checks the directory.
    fn live(&mut self, length: Duration) -> Result<(), String> {
        let end = Instant::now() + length;
        let start = Instant::now();
        let node = Node::start(Some(&self.path), &OPTIONS);
        let mut lived = self.round(&node, 1, 1);
        self.figures.started_within(start.elapsed());
        while lived.is_ok() && Instant::now() < end && !self.figures.is_over() {
            let (requests, window) = self.shape();
            lived = self.round(&node, requests, window);
            self.observe_if_due(&node);
        }
        self.figures.see_memory(Memory::of(node.pid()));
        let last = if lived.is_err() || self.rng.random_bool(KILLS) {
            self.kill(node, lived)?
        } else {
            self.figures.clean_ends += 1;
            node.finish().expect_all_read();
            Life::default()
        };
        expect_no_damage(&self.path)?;
        self.belief.reconcile(&last, &Dump::read(&self.path)?)?;
        self.source.redeliver(last.unanswered());
        Ok(())
    }

    /// The number of requests, and of unanswered ones at which the source waits.
    fn shape(&mut self) -> (usize, usize) {
        match self.rng.random_range(0..4) {
            0 => (self.rng.random_range(1..200), 1),
            1 => (self.rng.random_range(1..2_000), 20),
            _ => (
                self.rng.random_range(1..10_000),
                self.rng.random_range(100..1_500),
            ),
        }
    }

    /// Sends requests, waits for all replies, and checks them.
    fn round(&mut self, node: &Node, requests: usize, window: usize) -> Result<(), String> {
        self.limit_source();
        let mut life = Life::default();
        life.stream(node, &mut self.source, window, |life| {
            life.sent.len() >= requests
        })?;
        life.listen_to_the_end(node)?;
        self.figures.count(&life);
        self.belief.hear(&life)
    }

    fn limit_source(&mut self) {
        let passed = |most: u64, most_a_second: u64| {
            let whole = self.time.as_secs().max(1);
            let rate = (most as f64 / whole as f64).min(most_a_second as f64);
            (rate * self.figures.passed().as_secs_f64()) as u64
        };
        let ids = passed(IDS, IDS_A_SECOND);
        let controls = passed(CONTROLS, CONTROLS_A_SECOND);
        self.source.limit(ids, controls);
    }

    /// Kills a process in the middle of its work, unless it has failed before.
    fn kill(&mut self, node: Node, lived: Result<(), String>) -> Result<Life, String> {
        let mut life = Life::default();
        let (requests, window) = self.shape();
        let lived = lived.and_then(|()| {
            let is_over = |life: &Life| life.replies.len() >= requests;
            let streamed = life.stream(&node, &mut self.source, window, is_over);
            streamed.map_err(String::from)
        });
        life.kill(node, lived)?;
        self.figures.kills += 1;
        self.figures.count(&life);
        Ok(life)
    }

    fn observe_if_due(&mut self, node: &Node) {
        if self.figures.is_due() {
            self.figures.see_memory(Memory::of(node.pid()));
            self.figures.observe(&self.path);
        }
    }
}
