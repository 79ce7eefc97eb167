//! Makes each call that stores something fail in turn, and checks the result.
//!
//! A workload with every type of request runs once for each write to a file of the state directory
//! and for each sync, and that one call fails. The process must end in bounded time with a line
//! that says why, or go on if the call did not matter. What it answered must be right, and must be
//! there after the next start.
//!
//! Each call fails in one of four ways, chosen by its number and `EXACTLY_ONCE_SEED`, or in as many
//! of them as `EXACTLY_ONCE_FAULTS` says. `EXACTLY_ONCE_FAULT` plays a single case instead, in the
//! form in which a failure prints it.

mod case;
mod tally;
mod workload;

use crate::kit::{on_all_threads, setting};
use case::{Case, FAULTS, calls_of};
use tally::Tally;
use workload::{Origin, Start};

#[test]
fn whatever_call_on_its_files_fails_the_node_answers_nothing_that_is_not_kept() {
    let starts = [Origin::Fresh, Origin::Killed].map(Start::make);
    if let Ok(case) = std::env::var("EXACTLY_ONCE_FAULT") {
        return play(&case, &starts);
    }
    let seed = setting("EXACTLY_ONCE_SEED", 1);
    let mut tally = Tally::default();
    // One program error shows in many cases, so all of them are reported.
    let mut failures = Vec::new();
    for start in &starts {
        let cases = cases(start, seed);
        on_all_threads(
            cases.len() as u64,
            |number| Ok(cases[number as usize].try_on(start)),
            |outcome| match outcome {
                Ok(outcome) => tally.count(&outcome),
                Err(report) => failures.push(report),
            },
        );
    }
    println!("seed {seed}: {tally}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    tally.check();
}

/// Plays one case and prints the result.
fn play(case: &str, starts: &[Start]) {
    let case = Case::read(case).unwrap_or_else(|| panic!("not a case: {case:?}"));
    let start = starts.iter().find(|start| start.origin == case.origin);
    let played = case.try_on(start.expect("there is one of each"));
    println!("{}", played.unwrap_or_else(|report| panic!("{report}")));
}

/// Each call in turn, with the wanted number of ways to fail.
fn cases(start: &Start, seed: u64) -> Vec<Case> {
    let calls = calls_of(start).len() as u64;
    let ways = setting("EXACTLY_ONCE_FAULTS", 1).min(FAULTS.len() as u64);
    let case = |number, way| Case {
        origin: start.origin,
        number,
        fault: FAULTS[((seed + number + way) % FAULTS.len() as u64) as usize],
    };
    let of_call = |number| (0..ways).map(move |way| case(number, way));
    (1..=calls).flat_map(of_call).collect()
}
