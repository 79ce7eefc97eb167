//! Events that are sent again in any order are answered as the oracle answers them, whatever fits
//! into memory and however far is read ahead. No other client waits for what is read ahead.

use crate::kit::{
    Node, SocketClient, accepted, binary, carry_out, checkpoint, event, event_line, exit,
    numbered_input, preload, reply, restore, scratch_dir, stats_of, verified, wait_for,
};
use crate::oracle::{Oracle, Request};
use exactly_once::{Engine, Handle, Options};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::io::Errno;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The number of new events. With an id of this many bytes a block of the journal has ten of them.
const EVENTS: u64 = 3_000;
const ID_BYTES: usize = 300;

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
        // Without memory there is no place for what is read ahead.
        assert_eq!(figure("reads_ahead") > 0, memory != "0", "{process}");
        assert!(figure("cache_bytes") <= figure("memory_bytes"), "{process}");
    }
}

const MANY_EVENTS: u64 = 20_000;
/// Room for the parts of all runs, in each of which nearly every event is looked for, and for a
/// twentieth of the blocks.
const MANY_EVENTS_MEMORY: &str = "400000";
/// Most events of the first batch, after which is read ahead for the first time.
const FIRST_EVENTS: usize = 300;

/// Old events of which few share a page of sled, and a node that is about to read ahead for them.
struct ReadingAhead {
    home: TempDir,
    oracle: Oracle,
    old: Vec<Request>,
    command: Command,
}

impl ReadingAhead {
    fn new() -> Self {
        let home = scratch_dir();
        let data_dir = home.path().join("state");
        let arguments = [
            "--run-every",
            "64",
            "--memory",
            MANY_EVENTS_MEMORY,
            "--quiet",
        ];
        let event_of = |number: u64| event(format!("{number:0100}"), "w");
        let new: Vec<_> = (0..MANY_EVENTS).map(event_of).collect();
        let oracle = Oracle::after(&new);
        carry_out(&data_dir, &arguments, new);
        // The first batch reads few of the other pages, so that reading ahead needs the disk.
        let first = (0..MANY_EVENTS / 10).map(|number| number * 1_237 % (MANY_EVENTS / 10));
        let others = (0..MANY_EVENTS).map(|number| number * 1_237 % MANY_EVENTS);
        let old = first.take(FIRST_EVENTS).chain(others).map(event_of);
        let mut command = binary();
        command.arg("--data-dir").arg(&data_dir).args(arguments);
        let library = preload::library("old_events", "old_events/library.rs");
        command.env("LD_PRELOAD", library);
        Self {
            old: old.collect(),
            oracle,
            command,
            home,
        }
    }

    fn data_dir(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// Starts the node, and sends it the old events.
    fn start(&mut self) -> Node {
        let node = Node::start_as(&mut self.command);
        node.send_raw(numbered_input(0, &self.old).into_bytes());
        node
    }
}

#[test]
fn another_client_is_answered_while_the_store_is_read_ahead() {
    let mut reading = ReadingAhead::new();
    let [gate, waits] = ["gate", "waits"].map(|name| reading.home.path().join(name));
    File::create(&gate).expect("there is room");
    reading
        .command
        .env("READ_GATE", &gate)
        .env("READ_WAITS", &waits);
    let node = reading.start();
    let mut client = SocketClient::connect(&reading.data_dir());
    wait_for("the node reads ahead", || waits.exists().then_some(()));
    for number in 0..20 {
        client.send(&event_line(number, &format!("lone {number}"), "lone"));
        let reply = client.next_line().expect("the node answers");
        assert_eq!(reply, accepted(number, "lone", number + 1));
    }
    assert!(gate.exists());
    fs::remove_file(&gate).expect("it is there");
    for (number, request) in (0..).zip(&reading.old) {
        let expected = reading.oracle.apply(request);
        reply::check(&node.read_line(), &expected, number).expect("it is right");
    }
    node.finish().expect_all_read();
}

#[test]
fn a_failure_of_the_disk_while_the_store_is_read_ahead_ends_the_node() {
    let mut reading = ReadingAhead::new();
    reading
        .command
        .env("READ_ERRNO", Errno::IO.raw_os_error().to_string());
    let finished = reading.start().wait();
    assert_eq!(finished.code(), Some(exit::STORAGE), "{finished:?}");
    verified(&reading.data_dir());
}

/// Only what is not read ahead shows that events come in the order of the journal. Then each block
/// is needed once, and nothing has to be looked for.
#[test]
fn a_replay_in_order_after_events_in_any_order_is_soon_read_ahead_no_more() {
    const EVENTS: usize = 60_000;
    let dir = scratch_dir();
    // Whole batches can be read ahead, and neither all blocks nor all parts of runs can be kept.
    let arguments = ["--run-every", "4096", "--memory", "400000", "--quiet"];
    let new = (0..EVENTS).map(|number| event(format!("{number:0ID_BYTES$}"), "w"));
    let new: Vec<_> = new.collect();
    let in_any_order = (0..EVENTS / 4).map(|at| new[at * 1_237 % EVENTS].clone());
    let in_any_order: Vec<_> = in_any_order.collect();
    let mut oracle = Oracle::after(&new);
    carry_out(dir.path(), &arguments, new.clone());
    let node = Node::start(Some(dir.path()), &arguments);
    let mut reads_ahead = |requests: &[Request]| {
        node.send_raw(numbered_input(0, requests).into_bytes());
        for (number, request) in (0..).zip(requests) {
            let expected = oracle.apply(request);
            reply::check(&node.read_line(), &expected, number).expect("it is right");
        }
        let process = &stats_of(dir.path())["process"];
        process["reads_ahead"].as_u64().expect("a number")
    };
    let before = reads_ahead(&in_any_order);
    let more = reads_ahead(&new) - before;
    assert!(more < before / 4, "{more} after {before}");
    node.finish().expect_all_read();
}

/// Opens a directory whose runs have 64 events, with hardly any memory for what is read.
fn share(data_dir: &Path, read_ahead_requests: usize) -> Handle {
    let mut options = Options::default();
    options.run_events = 64;
    options.memory_bytes = 200_000;
    options.has_own_memory = true;
    options.read_ahead_requests = read_ahead_requests;
    let engine = Engine::open(data_dir, &options).expect("it is sound");
    engine.share().expect("there is room for a thread")
}

/// Submits events together, which must be right. Returns how much was read ahead for them.
fn submit(handle: &Handle, ids: &[String]) -> u64 {
    let before = handle.statistics().reads_ahead;
    let process = |event_id| exactly_once::Request::Process {
        event_id,
        word: "w",
    };
    let requests: Vec<_> = ids.iter().map(|id| process(id.as_str())).collect();
    for reply in handle.submit(&requests).wait().expect("the storage works") {
        reply.expect("the disk has room");
    }
    handle.statistics().reads_ahead - before
}

#[test]
fn one_call_of_a_library_reads_no_more_ahead_than_it_is_told_to() {
    let dir = scratch_dir();
    let id = |number| format!("{number:0ID_BYTES$}");
    let ids: Vec<_> = (0..EVENTS).map(id).collect();
    let any_order = (0..ids.len()).map(|at| ids[at * 1_237 % ids.len()].clone());
    let old: Vec<_> = any_order.collect();
    for (most, expected) in [(10, 1..=60), (1_000, 100..=2_000)] {
        let handle = share(dir.path(), most);
        submit(&handle, &ids);
        handle.close().expect("the storage works");
        let handle = share(dir.path(), most);
        submit(&handle, &old);
        let reads = submit(&handle, &old);
        assert!(expected.contains(&reads), "{reads} with {most}");
        handle.close().expect("the storage works");
    }
}

/// The positions of such an id are many, and none of them matters.
#[test]
fn an_id_that_is_processed_and_rolled_back_very_often_is_not_read_ahead_again_and_again() {
    const TIMES: usize = 6_400;
    let dir = scratch_dir();
    let handle = share(dir.path(), 1_000);
    let turn = [
        exactly_once::Request::Process {
            event_id: "e",
            word: "w",
        },
        exactly_once::Request::Rollback,
    ];
    let turns = turn.repeat(TIMES);
    handle.submit(&turns).wait().expect("the storage works");
    handle.close().expect("the storage works");
    let handle = share(dir.path(), 1_000);
    let same = vec!["e".to_owned(); 500];
    submit(&handle, &same);
    let runs = TIMES as u64 / 64;
    for _ in 0..3 {
        let reads = submit(&handle, &same);
        assert!(reads <= runs, "{reads} blocks and parts of {runs} runs");
    }
    assert_eq!(handle.statistics().accepted, 1);
}
