//! No reply and no dump depends on how the index of event ids is stored. Its runs have only a few
//! ids here, so that every path of it is taken.

use crate::kit::{
    Node, checkpoint, dump_of, numbered_event, numbered_input, reply, restore, run_node, run_on,
    scratch_dir,
};
use crate::oracle::{Oracle, Request};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// This many requests are sent before their replies are read.
const TOGETHER: usize = 10;

/// A state directory, and the oracle with the state that it must have.
struct Played<'a> {
    data_dir: &'a Path,
    arguments: &'a [&'a str],
    oracle: Oracle,
    sent: u64,
}

impl<'a> Played<'a> {
    fn new(data_dir: &'a Path, arguments: &'a [&'a str]) -> Self {
        Self {
            data_dir,
            arguments,
            oracle: Oracle::new(),
            sent: 0,
        }
    }

    /// Runs one process, which gets few requests at a time: each group stores only a part of a run.
    fn live(&mut self, requests: &[Request], is_killed: bool) {
        let node = Node::start(Some(self.data_dir), self.arguments);
        for together in requests.chunks(TOGETHER) {
            node.send_raw(numbered_input(self.sent, together).into_bytes());
            for request in together {
                let expected = self.oracle.apply(request);
                let checked = reply::check(&node.read_line(), &expected, self.sent);
                checked.unwrap_or_else(|why| panic!("{request:?}: {why}"));
                self.sent += 1;
            }
        }
        if is_killed {
            node.kill();
        } else {
            node.finish().expect_all_read();
        }
    }

    /// Checks that the directory is sound, and returns the number of stored runs.
    fn verified_runs(&self) -> u64 {
        let report = run_on("verify", self.data_dir, &[]).expect_record();
        assert_eq!(report["findings"].as_array().map(Vec::len), Some(0));
        report["runs"].as_u64().expect("a number")
    }
}

fn event_of(number: u64) -> Request {
    numbered_event(number, 13)
}

/// This many requests: new events from number `from` on, and old ones drawn evenly.
fn mixed(rng: &mut ChaCha8Rng, from: u64, count: u64) -> Vec<Request> {
    let mut next = from;
    let mut requests = Vec::new();
    for _ in 0..count {
        if next > 0 && rng.random_bool(0.4) {
            requests.push(event_of(rng.random_range(0..next)));
        } else {
            requests.push(event_of(next));
            next += 1;
        }
    }
    requests.extend((next..from + count).map(event_of));
    requests
}

#[test]
fn ids_that_share_their_fingerprints_are_each_counted_once() {
    for bits in ["1", "4"] {
        let dir = scratch_dir();
        let arguments = [
            ["--fingerprint-bits", bits],
            ["--run-every", "7"],
            ["--snapshot-every", "20"],
            ["--reopen-bytes", "20000"],
        ];
        let mut played = Played::new(dir.path(), arguments.as_flattened());
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for life in 0..6 {
            played.live(&mixed(&mut rng, life * 100, 100), life % 2 == 0);
        }
        assert!(played.verified_runs() >= 20);
    }
}

#[test]
fn a_replay_after_a_restore_is_answered_right_however_often_it_comes() {
    let dir = scratch_dir();
    let arguments = ["--run-every", "40", "--snapshot-every", "100"];
    let mut played = Played::new(dir.path(), &arguments);
    let events: Vec<_> = (0..500).map(event_of).collect();
    let mut first = vec![checkpoint("empty")];
    first.extend_from_slice(&events[..300]);
    first.push(Request::Commit);
    first.extend_from_slice(&events[300..]);
    played.live(&first, true);
    for round in 0..6 {
        let mut again = vec![restore("empty")];
        again.extend_from_slice(&events);
        // Each of these events is a duplicate now.
        again.extend_from_slice(&events);
        let ending = [Request::Commit, Request::Rollback][round % 2].clone();
        again.push(ending);
        played.live(&again, round % 2 == 0);
    }
    assert!(played.verified_runs() >= 20);
}

#[test]
fn old_events_are_found_while_the_index_is_read_again_and_after_that() {
    // The second index is read in four parts, and a part that an event needs is read first.
    for (run_every, stored) in [(50, 4_000), (4_096, 20_000)] {
        let dir = scratch_dir();
        let run_every_text = run_every.to_string();
        let arguments = ["--run-every", &run_every_text];
        let mut played = Played::new(dir.path(), &arguments);
        let events: Vec<_> = (0..stored).map(event_of).collect();
        played.live(&events, false);
        let runs = played.verified_runs();
        assert!(runs >= stored / run_every * 3 / 4, "{runs} runs");
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for life in 0..10 {
            let old = (0..200).filter_map(|_| events.choose(&mut rng).cloned());
            let mut requests: Vec<_> = old.collect();
            requests.push(event_of(stored + life / 2));
            played.live(&requests, true);
        }
    }
}

#[test]
fn no_reply_and_no_dump_shows_whether_and_how_runs_are_stored() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let requests = mixed(&mut rng, 0, 600);
    let input = numbered_input(0, &requests);
    let answer = |arguments: &[&str]| {
        let dir = scratch_dir();
        let replies = run_node(dir.path(), arguments, &input).expect_success();
        (replies, dump_of(dir.path(), &[]))
    };
    let plain = answer(&[]);
    for run_every in ["1", "9", "200"] {
        assert!(
            answer(&["--run-every", run_every]) == plain,
            "runs of {run_every}"
        );
    }
}
