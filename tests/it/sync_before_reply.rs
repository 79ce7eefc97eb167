//! Seen from outside, no reply is written before the fdatasync of its group has returned.
//!
//! A small library between the node and the C library traces the calls on the database file and on
//! stdout, and can delay or fail an fdatasync.

pub mod sync_gate;
mod trace;

use crate::kit::{Dump, Finished, exit, numbered_lines, reply, run_node, stream};
use crate::oracle::{Expected, Oracle, Request};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use sync_gate::Bench;
use trace::{Checked, Reply};

/// Much longer than an fdatasync that is not delayed.
const SILENCE: Duration = Duration::from_millis(300);
/// Requests that are sent one at a time, and those that are sent in bursts after them.
const LOCK_STEP: usize = 300;
const PIPELINED: usize = 600;
/// Requests in one burst, which is one write.
const BURST: usize = 60;

#[test]
fn no_reply_leaves_while_its_fdatasync_has_not_returned() {
    let bench = Bench::new();
    let (node, _) = bench.start();
    let syncs = bench.syncs_begun();
    bench.close_gate();
    let requests: Vec<_> = (0..50).map(request).collect();
    let lines = lines_of(&requests);
    node.send_all(&lines[..1]);
    bench.wait_for_syncs(syncs + 1);
    node.expect_silence(SILENCE);
    // No later request can overtake it, not even one that changes nothing.
    node.send_all(&lines[1..]);
    node.send("no JSON");
    node.expect_silence(SILENCE);
    assert_eq!(bench.syncs_begun(), syncs + 1, "nothing went on meanwhile");
    bench.open_gate();
    let replies: Vec<_> = lines.iter().map(|_| node.read_line()).collect();
    judge(&requests, &replies);
    assert!(node.read_line().contains(r#""code": 12"#));
    node.finish().expect_quiet_success();
}

#[test]
fn every_reply_that_changes_the_state_comes_after_an_fdatasync_of_its_own_group() {
    let bench = Bench::new();
    let (node, greeting) = bench.start();
    let requests: Vec<_> = (0..LOCK_STEP + PIPELINED).map(request).collect();
    let lines = lines_of(&requests);
    let mut replies: Vec<_> = lines[..LOCK_STEP]
        .iter()
        .map(|line| node.ask(line))
        .collect();
    for burst in lines[LOCK_STEP..].chunks(BURST) {
        node.send_all(burst);
    }
    replies.extend((0..PIPELINED).map(|_| node.read_line()));
    node.finish().expect_quiet_success();

    let greeting = Reply {
        bytes: greeting.len() + 1,
        changes_state: false,
    };
    let changes = judge(&requests, &replies);
    let changing = |changes: &[Reply]| changes.iter().filter(|r| r.changes_state).count();
    let (one_by_one, at_once) = changes.split_at(LOCK_STEP);
    assert!(changing(one_by_one) > LOCK_STEP / 2 && changing(at_once) > PIPELINED / 2);

    let steps = bench.trace();
    let checked = trace::check(&steps, &[&[greeting], &*changes].concat());
    let Checked {
        answers,
        changing_answers,
    } = checked.unwrap_or_else(|broken| panic!("{broken}"));
    let bursts = PIPELINED / BURST;
    assert!(answers > LOCK_STEP + 1, "at least one each: {answers}");
    assert!(
        answers <= 1 + LOCK_STEP + PIPELINED,
        "no more than there are replies: {answers}"
    );
    // Before each restore the node waits until all before it is durable, so there are more groups
    // than bursts.
    assert!(
        changing_answers >= changing(one_by_one) + bursts,
        "too few were checked: {changing_answers}"
    );
}

#[test]
fn what_a_failed_fdatasync_leaves_unsure_is_never_answered() {
    let bench = Bench::new();
    let (node, _) = bench.start();
    let requests: Vec<_> = (0..61).map(request).collect();
    let lines = lines_of(&requests);
    let (answered, unsure) = lines.split_at(60);
    let replies: Vec<_> = answered.iter().map(|line| node.ask(line)).collect();
    judge(&requests[..answered.len()], &replies);
    bench.fail_one_sync();
    node.send_all(unsure);
    // Stdin stays open, so the node has to end by itself.
    expect_storage_failure(node.wait(), &bench);
    check_restart(&bench.data_dir(), &requests, answered.len());
}

#[test]
fn requests_that_wait_for_a_failed_fdatasync_are_not_answered_either() {
    let bench = Bench::new();
    let (node, _) = bench.start();
    let requests: Vec<_> = (0..200).map(request).collect();
    let lines = lines_of(&requests);
    let syncs = bench.syncs_begun();
    bench.close_gate();
    node.send_all(&lines[..1]);
    bench.wait_for_syncs(syncs + 1);
    node.send_all(&lines[1..]);
    bench.fail_one_sync();
    bench.open_gate();
    expect_storage_failure(node.wait(), &bench);
    // The next fdatasync would have succeeded, as in the kernel after a failure, so a node that
    // tries again would have answered.
    check_restart(&bench.data_dir(), &requests, 0);
}

#[test]
fn the_cause_of_a_storage_failure_is_named_once() {
    let bench = Bench::new();
    let (node, _) = bench.start();
    bench.fail_one_sync();
    node.send(&request(0).line(0));
    let line = node.wait().expect_refusal(exit::STORAGE);
    assert_eq!(line.matches("os error 5").count(), 1, "{line}");
}

#[test]
fn a_node_whose_fdatasync_never_returns_ends_with_a_clear_line_and_answers_nothing() {
    let bench = Bench::new();
    let (node, _) = bench.start_with(&["--storage-timeout", "3"]);
    let requests = [request(0)];
    bench.close_gate();
    node.send_all(&lines_of(&requests));
    let line = node.wait().expect_refusal(exit::STORAGE);
    assert!(line.contains("stuck for 3 s"), "{line}");
    bench.open_gate();
    check_restart(&bench.data_dir(), &requests, 0);
}

#[test]
fn a_process_that_is_stopped_for_longer_than_the_storage_timeout_is_not_stuck() {
    let bench = Bench::new();
    let (node, _) = bench.start_with(&["--storage-timeout", "5"]);
    let syncs = bench.syncs_begun();
    bench.close_gate();
    node.send(&request(0).line(0));
    bench.wait_for_syncs(syncs + 1);
    node.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(6));
    bench.open_gate();
    node.signal(Signal::CONT);
    assert!(node.read_line().contains("processed"));
    node.finish().expect_quiet_success();
}

fn request(number: usize) -> Request {
    stream::request(number, |of| format!("w{}", of % 7))
}

fn lines_of(requests: &[Request]) -> Vec<String> {
    numbered_lines(0, requests)
}

/// Checks the replies against the oracle, and marks those whose requests changed the state.
fn judge(requests: &[Request], replies: &[String]) -> Vec<Reply> {
    let mut oracle = Oracle::new();
    let mut changed_by = BTreeSet::new();
    let mut judged = Vec::new();
    for (number, (request, line)) in requests.iter().zip(replies).enumerate() {
        let before = oracle.clone();
        let expected = oracle.apply(request);
        check_reply(line, &expected, number);
        let changes_state = oracle != before;
        if changes_state {
            changed_by.insert(kind(request));
        }
        judged.push(Reply {
            bytes: line.len() + 1,
            changes_state,
        });
    }
    assert_eq!(judged.len(), requests.len());
    assert_eq!(changed_by.len(), 5, "each type of request: {changed_by:?}");
    judged
}

fn kind(request: &Request) -> &'static str {
    match request {
        Request::Process { .. } => "process",
        Request::Checkpoint { .. } => "checkpoint",
        Request::Restore { .. } => "restore",
        Request::Commit => "commit",
        Request::Rollback => "rollback",
    }
}

fn check_reply(line: &str, expected: &Expected, number: usize) {
    reply::assert_is(line, expected, number as u64);
}

fn expect_storage_failure(finished: Finished, bench: &Bench) {
    assert!(!bench.failure_is_due(), "the fdatasync was made to fail");
    let line = finished.expect_refusal(exit::STORAGE);
    assert!(line.contains("could not be made durable"), "{line}");
    assert!(line.contains("os error 5"), "the cause is named: {line}");
}

/// Checks that a plain start finds the state after a prefix of the requests that has every answered
/// one, and that it replies from that state when the events are sent again.
fn check_restart(data_dir: &Path, requests: &[Request], answered: usize) {
    let found = Dump::of(data_dir);
    let mut oracle = Oracle::new();
    for request in &requests[..answered] {
        oracle.apply(request);
    }
    for request in &requests[answered..] {
        if found.matches(&oracle) {
            break;
        }
        oracle.apply(request);
    }
    found
        .compare(&oracle)
        .unwrap_or_else(|reason| panic!("no prefix with all that was answered: {reason}"));

    let is_event = |request: &&Request| kind(request) == "process";
    let again: Vec<_> = requests.iter().filter(is_event).cloned().collect();
    let input = lines_of(&again).join("\n");
    let replies = run_node(data_dir, &[], input).expect_success();
    assert_eq!(replies.lines().count(), again.len());
    for (number, (request, line)) in again.iter().zip(replies.lines()).enumerate() {
        check_reply(line, &oracle.apply(request), number);
    }
}
