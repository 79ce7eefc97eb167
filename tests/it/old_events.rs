//! Events that are sent again in any order are answered as the oracle answers them, whatever fits
//! into memory and however far is read ahead.

use crate::kit::{Node, checkpoint, event, numbered_input, reply, restore, scratch_dir, stats_of};
use crate::oracle::{Oracle, Request};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// The number of new events. With an id of this many bytes a block of the journal has ten of them.
const EVENTS: u64 = 3_000;
const ID_BYTES: usize = 300;

/// More than the runs take that are not stored yet, which must stay in memory.
const UNSTORED_RUNS_BYTES: u64 = 200_000;

fn event_of(number: u64, word: u64) -> Request {
    event(format!("{number:0ID_BYTES$}"), format!("w{word}"))
}

/// New events, then old ones in any order with a few that are new, of another word, or no events.
fn requests(seed: u64) -> (Vec<Request>, Vec<Request>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut new = vec![checkpoint("empty")];
    new.extend((0..EVENTS).map(|number| event_of(number, number % 13)));
    new.insert(EVENTS as usize / 2, checkpoint("half"));
    new.insert(EVENTS as usize / 4, Request::Commit);
    let mut old = Vec::new();
    for next in (EVENTS..).take(5_000) {
        let number = rng.random_range(0..EVENTS);
        old.push(match rng.random_range(0..1_000) {
            0 => restore("half"),
            1 => restore("empty"),
            2 => Request::Commit,
            3 => Request::Rollback,
            4..20 => event_of(number, number % 13 + 1),
            20..40 => event_of(next, next % 13),
            // The same event again within one batch.
            40..60 => old.last().cloned().unwrap_or(Request::Commit),
            _ => event_of(number, number % 13),
        });
    }
    (new, old)
}

/// Sends all requests at once to a new process, and compares all replies with the oracle's. Returns
/// the figures of the process.
fn stream(
    data_dir: &Path,
    arguments: &[&str],
    oracle: &mut Oracle,
    requests: &[Request],
) -> serde_json::Value {
    let node = Node::start(Some(data_dir), arguments);
    node.send_raw(numbered_input(0, requests).into_bytes());
    for (number, request) in (0..).zip(requests) {
        let expected = oracle.apply(request);
        let checked = reply::check(&node.read_line(), &expected, number);
        checked.unwrap_or_else(|why| panic!("{arguments:?}, request {number}: {why}"));
    }
    let stats = stats_of(data_dir);
    node.kill();
    stats["process"].clone()
}

#[test]
fn old_events_in_any_order_are_answered_right_with_any_memory() {
    for (seed, (memory, read_ahead)) in (1..).zip([
        ("0", "1"),
        ("20000", "1"),
        ("20000", "20"),
        ("200000", "30"),
        ("200000", "3000"),
        ("100MiB", "3000"),
    ]) {
        let dir = scratch_dir();
        let arguments = [
            ["--run-every", "64"],
            ["--memory", memory],
            ["--read-ahead", read_ahead],
            ["--fingerprint-bits", "12"],
        ];
        let arguments = arguments.as_flattened();
        let (new, old) = requests(seed);
        let mut oracle = Oracle::new();
        stream(dir.path(), arguments, &mut oracle, &new);
        let process = stream(dir.path(), arguments, &mut oracle, &old);
        let figure = |name: &str| process[name].as_u64().expect("a number");
        assert!(figure("reads") > 0, "{process}");
        assert!(figure("reads_ahead") > 0, "{process}");
        let (used, budget) = (figure("cache_bytes"), figure("memory_bytes"));
        assert!(used <= budget + UNSTORED_RUNS_BYTES, "{process}");
    }
}
