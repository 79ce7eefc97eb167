//! Section 5 with random lines: valid requests that a mutation has made bad.
//!
//! The mutated lines that an independent judge calls bad are sent. Each gets exactly one error that
//! says what the page says, and the state is that of the good requests between them.
//! `EXACTLY_ONCE_LINES` is the number of lines, `EXACTLY_ONCE_SEED` the seed of the first process;
//! each process takes the next one.

mod judge;
mod mutation;
mod request;

use super::malformed::names_line;
use crate::kit::{
    ErrorReply, Node, caught, dump, event, home_and_data_dir, on_all_threads, reply, setting,
};
use crate::oracle::{Expected, Oracle};
use judge::{RULES, Rule, Verdict, judge};
use mutation::Mutation;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

const LINES_PER_NODE: u64 = 10_000;
const LINES_PER_GOOD_ONE: u32 = 100;
/// More lines are made while at most about this many replies are due.
const WINDOW: usize = 4_000;
/// The writing thread gets this many bad lines at a time.
const CHUNK: usize = 250;
/// Fewer lines than this may miss a rule by chance.
const ENOUGH_TO_REACH_ALL: u64 = 20_000;
const LONGEST_SHOWN: usize = 3_000;

#[test]
fn every_spoilt_line_gets_one_error_and_changes_nothing() {
    let first = setting("EXACTLY_ONCE_SEED", 1);
    let lines = setting("EXACTLY_ONCE_LINES", 20_000);
    let mut total = Tally::default();
    let lines_of = |number| LINES_PER_NODE.min(lines - number * LINES_PER_NODE);
    on_all_threads(
        lines.div_ceil(LINES_PER_NODE),
        |number| play(first + number, lines_of(number)),
        |tally| total.add(tally),
    );
    println!("{lines} bad lines with seeds from {first}: {total}");
    if lines >= ENOUGH_TO_REACH_ALL {
        total.check();
    }
}

/// Sends this many bad lines to one node; an error is the report to print.
fn play(seed: u64, lines: u64) -> Result<Tally, String> {
    caught(|| Game::new(seed).play(lines)).map_err(|reason| {
        format!(
            "seed {seed}: {reason}\nreplay it with\n  EXACTLY_ONCE_SEED={seed} \
             EXACTLY_ONCE_LINES={lines} cargo test --test it every_spoilt_line"
        )
    })
}

/// A line that was sent, and the reply that must come.
enum Sent {
    Good { msg_id: u64, expected: Expected },
    Bad { line: Vec<u8>, verdict: Verdict },
}

struct Game {
    rng: ChaCha8Rng,
    oracle: Oracle,
    tally: Tally,
    waiting: VecDeque<Sent>,
    /// The number of lines sent, and of the good ones among them.
    sent: usize,
    good: u64,
    /// The number of lines answered.
    answered: usize,
}

impl Game {
    fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            oracle: Oracle::new(),
            tally: Tally::default(),
            waiting: VecDeque::new(),
            sent: 0,
            good: 0,
            answered: 0,
        }
    }

    fn play(mut self, lines: u64) -> Result<Tally, String> {
        let (_home, data_dir) = home_and_data_dir();
        let node = Node::start(Some(&data_dir), &[]);
        while (self.sent as u64) < lines + self.good {
            let left = lines + self.good - self.sent as u64;
            let chunk = self.chunk(CHUNK.min(left as usize));
            node.send_raw(chunk);
            while self.waiting.len() > WINDOW {
                self.check(&node.read_line())?;
            }
        }
        while !self.waiting.is_empty() {
            self.check(&node.read_line())?;
        }
        node.finish().expect_all_read();
        dump::check(&data_dir, &self.oracle)?;
        Ok(self.tally)
    }

    /// This many bad lines, with good ones between them.
    fn chunk(&mut self, lines: usize) -> Vec<u8> {
        let mut chunk = Vec::new();
        for _ in 0..lines {
            if self.rng.random_ratio(1, LINES_PER_GOOD_ONE) {
                chunk.extend(self.good_line());
                chunk.push(b'\n');
            }
            let (line, verdict) = self.bad_line();
            chunk.extend(&line);
            chunk.push(b'\n');
            self.waiting.push_back(Sent::Bad { line, verdict });
            self.sent += 1;
        }
        chunk
    }

    /// A new event; its reply gives the number of good lines so far.
    fn good_line(&mut self) -> Vec<u8> {
        let msg_id = self.good;
        let request = event(format!("good{msg_id}"), "w");
        let expected = self.oracle.apply(&request);
        self.waiting.push_back(Sent::Good { msg_id, expected });
        self.good += 1;
        self.sent += 1;
        request.line(msg_id).into_bytes()
    }

    /// A random request that a mutation has made bad; mutated requests that stay good are dropped.
    fn bad_line(&mut self) -> (Vec<u8>, Verdict) {
        loop {
            let [mut line, other] = [(); 2].map(|()| request::random(&mut self.rng).into_bytes());
            let mutation = Mutation::random(&mut self.rng);
            mutation.apply(&mut line, &other, &mut self.rng);
            let verdict = judge(&line);
            self.tally.count(mutation, verdict);
            if let Some(verdict) = verdict {
                return (line, verdict);
            }
        }
    }

    fn check(&mut self, reply: &str) -> Result<(), String> {
        self.answered += 1;
        let number = self.answered;
        match self.waiting.pop_front().expect("a reply is waited for") {
            Sent::Good { msg_id, expected } => reply::check(reply, &expected, msg_id),
            Sent::Bad { line, verdict } => check_error(reply, verdict, number)
                .map_err(|reason| format!("line {number}: {reason}\n{}", shown(&line))),
        }
    }
}

fn check_error(reply: &str, verdict: Verdict, line_number: usize) -> Result<(), String> {
    let error = ErrorReply::read(reply)?;
    let is_right = error.code == verdict.code
        && verdict.in_reply_to.allows(error.in_reply_to)
        && (error.code != 12 || names_line(&error.text, line_number));
    if is_right {
        return Ok(());
    }
    Err(format!("expected {verdict:?}, got {reply}"))
}

fn shown(line: &[u8]) -> String {
    let start = line[..line.len().min(LONGEST_SHOWN)].escape_ascii();
    format!("its {} bytes begin with: {start}", line.len())
}

/// How often each mutation led to each error code or to none, and how often each rule was broken.
#[derive(Default)]
struct Tally {
    mutations: BTreeMap<(Mutation, Option<u32>), u64>,
    rules: BTreeMap<Rule, u64>,
}

impl Tally {
    fn count(&mut self, mutation: Mutation, verdict: Option<Verdict>) {
        let code = verdict.map(|verdict| verdict.code);
        *self.mutations.entry((mutation, code)).or_default() += 1;
        if let Some(verdict) = verdict {
            *self.rules.entry(verdict.rule).or_default() += 1;
        }
    }

    fn add(&mut self, other: Self) {
        for (key, count) in other.mutations {
            *self.mutations.entry(key).or_default() += count;
        }
        for (rule, count) in other.rules {
            *self.rules.entry(rule).or_default() += count;
        }
    }

    /// Panics when the mutations missed a rule.
    fn check(&self) {
        for rule in RULES {
            assert!(self.rules.contains_key(&rule), "never broken: {rule:?}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\n{:16}{:>12}{:>12}{:>12}",
            "", "error 12", "error 10", "still good"
        )?;
        let mutations: BTreeSet<_> = self
            .mutations
            .keys()
            .map(|(mutation, _)| *mutation)
            .collect();
        let of = |mutation, code| self.mutations.get(&(mutation, code)).copied().unwrap_or(0);
        for mutation in mutations {
            let [first, second, third] = [Some(12), Some(10), None].map(|code| of(mutation, code));
            write!(
                f,
                "\n{:16}{first:>12}{second:>12}{third:>12}",
                format!("{mutation:?}")
            )?;
        }
        for (rule, count) in &self.rules {
            write!(f, "\n{count:>12} {rule:?}")?;
        }
        Ok(())
    }
}
