//! Plays a sequence through the real program, and compares each reply with the oracle.

use super::sequence::Step;
use crate::kit::{Finished, Node, dump, reply};
use crate::oracle::{Expected, Oracle, Request};
use std::path::Path;

/// A sequence that was played to its end without a difference.
pub struct Played {
    pub oracle: Oracle,
    /// The last reply line.
    pub last_reply: Option<String>,
}

/// Plays `steps` from a new state in `dir`, with one process between two stops. The `msg_id` of a
/// request is the number of its step, from 1.
pub fn play(dir: &Path, steps: &[Step]) -> Result<Played, String> {
    let mut played = Played {
        oracle: Oracle::new(),
        last_reply: None,
    };
    let mut asked = Vec::new();
    for (step, number) in steps.iter().zip(1..) {
        match step {
            Step::Request(request) => asked.push((number, request)),
            stop => {
                play_process(dir, &asked, stop, &mut played)?;
                asked.clear();
                if *stop == Step::Autocommit {
                    start_with_autocommit(dir)?;
                    played.oracle.switch_autocommit_on();
                }
            }
        }
    }
    play_process(dir, &asked, &Step::Stop, &mut played)?;
    Ok(played)
}

/// Calls `play`, then compares a dump with the oracle.
pub fn play_and_dump(dir: &Path, steps: &[Step]) -> Result<Played, String> {
    let played = play(dir, steps)?;
    dump::check(dir, &played.oracle).map_err(|reason| format!("at the end: {reason}"))?;
    Ok(played)
}

/// Runs a process that switches autocommit on and reads nothing. Later ones do not set the option.
fn start_with_autocommit(dir: &Path) -> Result<(), String> {
    let ended = Node::start(Some(dir), &["--autocommit"]).finish();
    expect_well(&ended)
}

fn expect_well(ended: &Finished) -> Result<(), String> {
    match ended.status.success() {
        true => Ok(()),
        false => Err(format!("the process failed: {ended:?}")),
    }
}

fn play_process(
    dir: &Path,
    asked: &[(u64, &Request)],
    stop: &Step,
    played: &mut Played,
) -> Result<(), String> {
    let expected: Vec<Expected> = asked
        .iter()
        .map(|(_, request)| played.oracle.apply(request))
        .collect();
    let input: String = asked
        .iter()
        .map(|(number, r)| r.line(*number) + "\n")
        .collect();
    // A process with an even number of requests stores counts and the index all the time, and later
    // ones start from them. In a directory that it creates, ids share fingerprints.
    let every_few_events = [
        ["--snapshot-every", "3"],
        ["--run-every", "2"],
        ["--reopen-bytes", "2000"],
        ["--memory", "2000"],
        ["--read-ahead", "4"],
        ["--fingerprint-bits", "2"],
    ];
    let args = if asked.len().is_multiple_of(2) {
        every_few_events.as_flattened()
    } else {
        &[]
    };
    let node = Node::start(Some(dir), args);
    node.send_raw(input.into_bytes());
    let mut replies = Vec::new();
    let ended = if *stop == Step::Kill {
        replies.extend(asked.iter().map(|_| node.read_line()));
        node.kill()
    } else {
        node.finish()
    };
    if *stop != Step::Kill {
        expect_well(&ended)?;
    }
    replies.extend(ended.complete_lines());
    for ((line, expected), (number, _)) in replies.iter().zip(&expected).zip(asked) {
        reply::check(line, expected, *number).map_err(|e| format!("step {number}: {e}"))?;
    }
    if replies.len() != asked.len() {
        return Err(format!(
            "{} replies to {} requests",
            replies.len(),
            asked.len()
        ));
    }
    played.last_reply = replies.pop().or(played.last_reply.take());
    Ok(())
}
