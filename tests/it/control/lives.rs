//! Lives of a node to which eight clients and standard input send requests at the same time. Most
//! lives end by SIGKILL. One order of the requests must explain all replies and the state that is
//! left.
//!
//! `EXACTLY_ONCE_CLIENT_LIVES` is the number of lives. `EXACTLY_ONCE_SEED` is the first seed; each
//! directory takes the next one. A seed replays the requests and the time of the end, as far as the
//! timing of the machine repeats itself.

use super::client_life::{Life, Plan, live};
use super::full_dump::{Point, Shown};
use super::linearization::{self, Witness};
use super::queries::{Asked, Due};
use crate::kit::{caught, event, on_all_threads, scratch_dir, setting};
use crate::oracle::{Expected, Output, Request};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

const CLIENTS: usize = 8;
const LIVES_PER_DIRECTORY: u64 = 8;
const KILLS: f64 = 0.8;
/// The requests of each client, and of standard input, in a life: few enough to find an order.
const REQUESTS: std::ops::RangeInclusive<usize> = 3..=6;
/// The ids that a life uses, and how many of them no earlier life used.
const IDS: u64 = 16;
const NEW_IDS: u64 = 5;
const WORDS: [&str; 3] = ["a", "b", "c"];
const MAX_DELAY_MICROS: u64 = 3_000;
/// In every other directory the node writes counts snapshots and runs, and reopens sled, during
/// queries, ids share fingerprints, and the cache has a few blocks.
const SMALL: [&str; 12] = [
    "--snapshot-every",
    "3",
    "--run-every",
    "2",
    "--reopen-bytes",
    "30000",
    "--fingerprint-bits",
    "2",
    "--memory",
    "2000",
    "--read-ahead",
    "4",
];
/// With fewer lives, chance may leave a case out.
const ENOUGH_TO_REACH_MOST: u64 = 40;
/// Requests are durable but unanswered only as long as a sync takes, so kills hit this rarely.
const ENOUGH_TO_REACH_ALL: u64 = 200;

const UNANSWERED: &str = "applied and not answered";
const REACHED_BY_MOST: [&str; 12] = [
    "kill",
    "clean end",
    "not answered",
    "accepted",
    "duplicate",
    "conflict",
    "checkpoint saved",
    "restored",
    "committed",
    "rolled back",
    "counts shown",
    "outputs shown",
];

#[test]
fn requests_of_eight_clients_and_standard_input_have_one_order_whenever_the_node_is_killed() {
    let first = setting("EXACTLY_ONCE_SEED", 1);
    let lives = setting("EXACTLY_ONCE_CLIENT_LIVES", 40);
    let lives_of = |number| LIVES_PER_DIRECTORY.min(lives - number * LIVES_PER_DIRECTORY);
    let mut total = Tally::default();
    on_all_threads(
        lives.div_ceil(LIVES_PER_DIRECTORY),
        |number| directory(first + number, lives_of(number)),
        |tally| total.add(tally),
    );
    println!("{lives} lives from seed {first}: {total}");
    total.check(lives);
}

/// Runs this many lives on one directory; the error is the report to print.
fn directory(seed: u64, lives: u64) -> Result<Tally, String> {
    let home = scratch_dir();
    let mut directory = Directory {
        data_dir: home.path().join("data"),
        arguments: if seed.is_multiple_of(2) { &SMALL } else { &[] },
        rng: ChaCha8Rng::seed_from_u64(seed),
        point: Point::default(),
        journal: Vec::new(),
        tally: Tally::default(),
    };
    for life in 0..lives {
        if let Err(reason) = caught(|| directory.live(life)) {
            return Err(format!(
                "seed {seed}, life {life}: {reason}\nthe directory is kept in {}\nreplay with\n  \
                 EXACTLY_ONCE_SEED={seed} EXACTLY_ONCE_CLIENT_LIVES={lives} cargo test --test it \
                 requests_of_eight_clients",
                home.keep().display(),
            ));
        }
    }
    Ok(directory.tally)
}

/// A state directory, and what is known of it.
struct Directory {
    data_dir: PathBuf,
    arguments: &'static [&'static str],
    rng: ChaCha8Rng,
    point: Point,
    /// Every event that was accepted.
    journal: Vec<Output>,
    tally: Tally,
}

impl Directory {
    fn live(&mut self, life: u64) -> Result<(), String> {
        let plan = self.plan(life);
        let life = live(&self.data_dir, plan, &mut self.rng)?;
        let shown = Shown::read(&self.data_dir)?;
        if !shown.journal.starts_with(&self.journal) {
            return Err(format!(
                "events of earlier lives have changed: {:?} and now {:?}",
                self.journal, shown.journal
            ));
        }
        let witness = linearization::find(&self.point, &life.sequences, &shown)?;
        self.tally.count(&self.point, &life, &witness);
        self.point = witness.end;
        self.journal = shown.journal;
        Ok(())
    }

    fn plan(&mut self, life: u64) -> Plan {
        let clients: Vec<_> = (0..CLIENTS).map(|_| self.asked(life, true)).collect();
        let most: usize = clients.iter().map(Vec::len).sum();
        Plan {
            arguments: self.arguments,
            clients,
            stdin: self.asked(life, false),
            answers: self.rng.random_range(0..=most),
            delay: Duration::from_micros(self.rng.random_range(0..=MAX_DELAY_MICROS)),
            is_kill: self.rng.random_bool(KILLS),
        }
    }

    fn asked(&mut self, life: u64, with_queries: bool) -> Vec<Asked> {
        let count = self.rng.random_range(REQUESTS);
        let until = if with_queries { 100 } else { 92 };
        (0..count).map(|_| self.draw(life, until)).collect()
    }

    fn draw(&mut self, life: u64, until: u32) -> Asked {
        let id = format!("c{}", self.rng.random_range(0..4));
        Asked::Request(match self.rng.random_range(0..until) {
            0..70 => self.event(life),
            70..77 => Request::Checkpoint { id },
            77..83 => Request::Restore { id },
            83..89 => Request::Commit,
            89..92 => Request::Rollback,
            92..97 => return Asked::Counts,
            _ => return Asked::Outputs,
        })
    }

    fn event(&mut self, life: u64) -> Request {
        let id = life * NEW_IDS + self.rng.random_range(0..IDS);
        // Each id has its own word; one event in ten carries another one.
        let word = id + u64::from(self.rng.random_bool(0.1));
        let word = WORDS[(word % WORDS.len() as u64) as usize];
        event(format!("e{id}"), word)
    }
}

/// Counts the cases reached, so that the test fails if it misses some.
#[derive(Default)]
struct Tally {
    times: BTreeMap<&'static str, usize>,
    sent: usize,
    answered: usize,
    /// The most places that one search visited.
    places: usize,
}

impl Tally {
    /// Counts the cases in an order that leads on from a point.
    fn count(&mut self, start: &Point, life: &Life, witness: &Witness) {
        self.hit(if life.is_kill { "kill" } else { "clean end" }, 1);
        let sent = life.sequences.iter().flatten();
        let answered = sent.filter(|sent| sent.answer.is_some()).count();
        self.sent += life.sent;
        self.answered += answered;
        self.hit("not answered", life.sent - answered);
        self.places = self.places.max(witness.places);
        let mut oracle = start.oracle.clone();
        for &(sequence, number) in &witness.order {
            let sent = &life.sequences[sequence][number];
            let due = sent.asked.apply(&mut oracle);
            if sent.answer.is_some() {
                self.hit(name_of(&sent.asked, &due), 1);
            } else if !due.changes_nothing() {
                self.hit(UNANSWERED, 1);
            }
        }
    }

    fn hit(&mut self, what: &'static str, times: usize) {
        *self.times.entry(what).or_default() += times;
    }

    fn add(&mut self, other: Self) {
        for (what, times) in other.times {
            self.hit(what, times);
        }
        self.sent += other.sent;
        self.answered += other.answered;
        self.places = self.places.max(other.places);
    }

    /// Panics if the lives missed a case.
    fn check(&self, lives: u64) {
        let most = REACHED_BY_MOST
            .iter()
            .filter(|_| lives >= ENOUGH_TO_REACH_MOST);
        let all = [UNANSWERED];
        let all = all.iter().filter(|_| lives >= ENOUGH_TO_REACH_ALL);
        for what in most.chain(all) {
            let times = self.times.get(what).copied().unwrap_or_default();
            assert!(times > 0, "never {what}: {self}");
        }
    }
}

fn name_of(asked: &Asked, due: &Due) -> &'static str {
    match (asked, due) {
        (Asked::Counts, _) => "counts shown",
        (_, Due::Records(_)) => "outputs shown",
        (_, Due::Reply(expected)) => match expected {
            Expected::Accepted { .. } => "accepted",
            Expected::Duplicate { .. } => "duplicate",
            Expected::Conflict { .. } => "conflict",
            Expected::CheckpointSaved { .. } => "checkpoint saved",
            Expected::Restored { .. } => "restored",
            Expected::Committed { output_count: 0 } => "committed nothing",
            Expected::Committed { .. } => "committed",
            Expected::RolledBack { discarded_count: 0 } => "rolled back nothing",
            Expected::RolledBack { .. } => "rolled back",
            Expected::UnknownCheckpoint => "unknown checkpoint",
        },
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests sent, {} answered, at most {} places tried for an order",
            self.sent, self.answered, self.places
        )?;
        let mut times = self.times.iter();
        times.try_for_each(|(what, times)| write!(f, ", {times} {what}"))
    }
}
