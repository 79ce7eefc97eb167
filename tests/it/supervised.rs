//! A service under a supervisor: `serve` is killed again and again and started again, while four
//! processes send and import overlapping parts of one file.
//!
//! `EXACTLY_ONCE_SERVICE_KILLS` is the number of kills, `EXACTLY_ONCE_SEED` the seed.

use crate::kit::node::StdoutClosed;
use crate::kit::{
    Node, PATIENCE, dump, exit, home_and_data_dir, on_directory, records_in, run, run_on, setting,
    verified,
};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const LINES: usize = 12_000;
/// A commit comes after each part, which has this many lines. Parts overlap by half.
const PART: usize = 1_000;
const WORDS: usize = 50;

/// What the senders met.
#[derive(Debug, Default)]
struct Tally {
    parts: AtomicU64,
    unclear: AtomicU64,
    /// Sendings that were given up, as no node could be reached in time.
    unreachable: AtomicU64,
}

#[test]
fn a_killed_service_counts_each_line_once_and_releases_it_once() {
    let seed = setting("EXACTLY_ONCE_SEED", 1);
    let kills = setting("EXACTLY_ONCE_SERVICE_KILLS", 8);
    let (home, data_dir) = home_and_data_dir();
    let parts = write_parts(home.path());
    let is_over = AtomicBool::new(false);
    let tally = Tally::default();
    let held = thread::scope(|scope| {
        for sender in 0..4 {
            let (parts, data_dir, is_over, tally) = (&parts, &data_dir, &is_over, &tally);
            scope.spawn(move || {
                let mut rng = ChaCha8Rng::seed_from_u64(seed * 10 + sender);
                send_all(sender, parts, data_dir, is_over, tally, &mut rng);
            });
        }
        let held = supervise(&data_dir, kills, ChaCha8Rng::seed_from_u64(seed));
        is_over.store(true, Ordering::Relaxed);
        held
    });
    println!("seed {seed}: {kills} kills of a service, {held} starts while a sender was the node");
    println!("{tally:?}");
    check(&data_dir);
}

/// The word of a line.
fn word(line: usize) -> String {
    format!("w{}", line * line % WORDS)
}

/// The files of one part: its lines, and requests for them with a commit.
struct Part {
    lines: PathBuf,
    requests: PathBuf,
}

fn write_parts(home: &Path) -> Vec<Part> {
    let part = |from: usize| {
        let (mut lines, mut requests) = (String::new(), String::new());
        for line in from..LINES.min(from + PART) {
            let word = word(line);
            writeln!(lines, "line-{line} {word}").expect("a string takes it");
            let request = format!(
                r#"{{"type":"process","msg_id":{line},"event_id":"line-{line}","word":"{word}"}}"#
            );
            writeln!(requests, "{request}").expect("a string takes it");
        }
        requests += "{\"type\":\"commit\",\"msg_id\":0}\n";
        let part = Part {
            lines: home.join(format!("{from}.log")),
            requests: home.join(format!("{from}.jsonl")),
        };
        fs::write(&part.lines, lines).expect("there is room");
        fs::write(&part.requests, requests).expect("there is room");
        part
    };
    (0..LINES).step_by(PART / 2).map(part).collect()
}

/// Sends every part, in any order, again and again until the kills are over.
fn send_all(
    sender: u64,
    parts: &[Part],
    data_dir: &Path,
    is_over: &AtomicBool,
    tally: &Tally,
    rng: &mut ChaCha8Rng,
) {
    let mut order: Vec<&Part> = parts.iter().collect();
    loop {
        order.shuffle(rng);
        for part in &order {
            // What has an unclear end is sent again as a whole.
            while !is_sent(sender, part, data_dir, tally) {}
            tally.parts.fetch_add(1, Ordering::Relaxed);
        }
        if is_over.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Sends a part in the way of a sender; false if it must be sent again.
fn is_sent(sender: u64, part: &Part, data_dir: &Path, tally: &Tally) -> bool {
    let sends = sender.is_multiple_of(2);
    let mut command = match sends {
        true => {
            let mut command = on_directory("send", data_dir, &["-q", "--replies", "errors"]);
            command.arg(&part.requests);
            command
        }
        false => {
            let arguments = ["-q", "--id", "field:1", "--word", "field:2"];
            let mut command = on_directory("import", data_dir, &arguments);
            command.arg(&part.lines);
            command
        }
    };
    let ended = run(&mut command, "");
    assert_eq!(ended.stdout, "", "no request is refused");
    let counter = match ended.code() {
        Some(exit::SUCCESS) => return true,
        Some(exit::UNCLEAR) if sends => &tally.unclear,
        Some(exit::HELD | exit::NOT_RUNNING | exit::INPUT_OR_OUTPUT) => &tally.unreachable,
        _ => panic!("{}: {}", ended.status, ended.stderr),
    };
    counter.fetch_add(1, Ordering::Relaxed);
    false
}

/// Starts the service, kills it, and starts it again. Returns how often a sender was the node when
/// it was started.
fn supervise(data_dir: &Path, kills: u64, mut rng: ChaCha8Rng) -> u64 {
    let (mut killed, mut held) = (0, 0);
    while killed < kills {
        let node = Node::start_as(&mut on_directory("serve", data_dir, &["-q"]));
        match node.read_line_within(PATIENCE) {
            Ok(line) => line.expect("it says that it listens"),
            Err(StdoutClosed) => {
                node.wait().expect_status(exit::HELD);
                held += 1;
                thread::sleep(Duration::from_millis(20));
                continue;
            }
        };
        thread::sleep(Duration::from_millis(rng.random_range(1..400)));
        node.kill();
        killed += 1;
    }
    held
}

/// Checks the state, the outputs and the directory against the file.
fn check(data_dir: &Path) {
    let mut expected = BTreeMap::new();
    for line in 0..LINES {
        *expected.entry(word(line)).or_insert(0_u64) += 1;
    }
    let count = |record: Value| {
        let word = record["word"].as_str().expect("it has a word").to_owned();
        (word, record["count"].as_u64().expect("it has a count"))
    };
    let counts = dump::lines(data_dir, Some("counts")).unwrap_or_else(|why| panic!("{why}"));
    let counts = counts.iter().flat_map(|line| records_in::<Value>(line));
    assert_eq!(counts.map(count).collect::<BTreeMap<_, _>>(), expected);
    let outputs = run_on("outputs", data_dir, &[]).expect_records();
    let mut ids = BTreeSet::new();
    let mut so_far: BTreeMap<String, u64> = BTreeMap::new();
    for (offset, output) in outputs.iter().enumerate() {
        assert_eq!(
            output["offset"].as_u64(),
            Some(offset as u64),
            "offsets have no gap"
        );
        let id = output["event_id"].as_str().expect("it has an id");
        assert!(ids.insert(id.to_owned()), "{id} is released twice");
        let (word, count) = count(output.clone());
        let before = so_far.entry(word).or_default();
        *before += 1;
        assert_eq!(count, *before, "the counts of a word go up one by one");
    }
    assert_eq!(ids.len(), LINES, "each line is released");
    assert_eq!(run_on("stats", data_dir, &[]).expect_record()["pending"], 0);
    verified(data_dir);
}
