//! Request sequences with stops between them, and the notation in which failures print them.
//!
//! `p id word` is a process, `c name` a checkpoint, `r name` a restore, `k` a commit, `b` a
//! rollback, `x` a clean stop and a new start, `X` a SIGKILL after the last reply and a new start,
//! `a` a clean stop and a new start with autocommit.

use crate::kit::{checkpoint, event, restore};
use crate::oracle::Request;
use rand::{Rng, RngExt};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Request(Request),
    Stop,
    Kill,
    Autocommit,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(Request::Process { event_id, word }) => write!(f, "p {event_id} {word}"),
            Self::Request(Request::Checkpoint { id }) => write!(f, "c {id}"),
            Self::Request(Request::Restore { id }) => write!(f, "r {id}"),
            Self::Request(Request::Commit) => f.write_str("k"),
            Self::Request(Request::Rollback) => f.write_str("b"),
            Self::Stop => f.write_str("x"),
            Self::Kill => f.write_str("X"),
            Self::Autocommit => f.write_str("a"),
        }
    }
}

/// The sequence in the notation that `parse` reads.
pub fn notation(steps: &[Step]) -> String {
    steps
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Reads a sequence; panics if it is not valid.
pub fn parse(sequence: &str) -> Vec<Step> {
    sequence.split(';').map(parse_step).collect()
}

fn parse_step(step: &str) -> Step {
    let id = |id: &&str| (*id).to_owned();
    Step::Request(
        match step.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["p", event_id, word] => event(id(event_id), id(word)),
            ["c", name] => checkpoint(id(name)),
            ["r", name] => restore(id(name)),
            ["k"] => Request::Commit,
            ["b"] => Request::Rollback,
            ["x"] => return Step::Stop,
            ["X"] => return Step::Kill,
            ["a"] => return Step::Autocommit,
            _ => panic!("not a step: {step:?}"),
        },
    )
}

/// A random sequence with so few ids and words that many requests have the same ones.
pub fn random(rng: &mut impl Rng) -> Vec<Step> {
    let alphabet = Alphabet {
        ids: rng.random_range(3..=5),
        words: rng.random_range(2..=3),
    };
    let length = rng.random_range(1..=40);
    let mut saved = Vec::new();
    let steps = (0..length).map(|_| alphabet.random_step(rng, &mut saved));
    let mut steps: Vec<_> = steps.collect();
    if rng.random_bool(0.4) {
        // It mostly comes early. After a rollback only checkpoints have unreleased outputs.
        let latest = rng.random_range(0..=steps.len());
        let at = rng.random_range(0..=latest);
        steps.insert(at, Step::Autocommit);
        if rng.random_bool(0.5) {
            steps.insert(at, Step::Request(Request::Rollback));
        }
    }
    steps
}

struct Alphabet {
    ids: u32,
    words: u32,
}

impl Alphabet {
    /// A random step. Most restores name one of the `saved` checkpoints.
    fn random_step(&self, rng: &mut impl Rng, saved: &mut Vec<String>) -> Step {
        let any_name = format!("c{}", rng.random_range(0..3));
        Step::Request(match rng.random_range(0..100) {
            0..44 => event(
                format!("e{}", rng.random_range(0..self.ids)),
                ["a", "b", "c"][rng.random_range(0..self.words) as usize].to_owned(),
            ),
            44..59 => {
                saved.push(any_name.clone());
                checkpoint(any_name)
            }
            59..76 if saved.is_empty() || rng.random_bool(0.05) => restore(any_name),
            59..76 => restore(saved[rng.random_range(0..saved.len())].clone()),
            76..85 => Request::Commit,
            85..92 => Request::Rollback,
            92..97 => return Step::Stop,
            _ => return Step::Kill,
        })
    }
}
