//! A consumer that stores each released output with its effect takes each exactly once, whenever
//! one of the two processes is killed.
//!
//! The consumer is `outputs --follow`, which appends to a file. After a kill, it cuts off a partial
//! last line and goes on after the last whole one.
//!
//! `EXACTLY_ONCE_CONSUMER_KILLS` is the number of kills, `EXACTLY_ONCE_SEED` the seed that chooses
//! them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::kit::{
    CheckedNode, Node, Process, binary, checkpoint, event, eventually, exit, home_and_data_dir,
    record_in, restore, run_node, run_on, scratch_dir, setting,
};
use crate::oracle::{Oracle, Request};

struct Consumer(Process);

impl Consumer {
    /// Starts after the last output in the file.
    fn start(data_dir: &Path, file: &Path) -> Self {
        let last = cut_to_whole_lines(file);
        let append = File::options().append(true).create(true).open(file);
        let mut command = binary();
        command.args(["outputs", "--follow", "--after", &last]);
        command.arg("--data-dir").arg(data_dir).stdin(Stdio::null());
        command.stdout(append.expect("there is room"));
        Self(Process::start(&mut command))
    }

    fn kill(&mut self) {
        assert!(!self.0.has_ended(), "it follows until it is killed");
        self.0.end();
    }
}

/// Cuts off what follows the last whole line, and returns that line, or "" if there is none.
fn cut_to_whole_lines(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let whole = bytes.iter().rposition(|&byte| byte == b'\n');
    let whole = whole.map_or(0, |at| at + 1);
    if whole < bytes.len() {
        let file = File::options().write(true).open(path);
        let cut = file.and_then(|file| file.set_len(whole as u64));
        cut.expect("the test owns it");
    }
    let text = String::from_utf8_lossy(&bytes[..whole]);
    text.lines().last().unwrap_or_default().to_owned()
}

/// The node that makes outputs, with its oracle.
struct Producer {
    data_dir: PathBuf,
    arguments: &'static [&'static str],
    node: CheckedNode,
    next_event: u64,
}

impl Producer {
    fn start(data_dir: PathBuf, autocommit: bool) -> Self {
        let mut oracle = Oracle::new();
        let mut arguments: &[&str] = &["--run-every", "8"];
        if autocommit {
            arguments = &["--run-every", "8", "--autocommit"];
            oracle.switch_autocommit_on();
        }
        Self {
            node: CheckedNode::start(&data_dir, arguments, oracle),
            data_dir,
            arguments,
            next_event: 0,
        }
    }

    fn ask(&mut self, request: &Request) {
        self.node.ask(request);
    }

    fn oracle(&self) -> &Oracle {
        &self.node.oracle
    }

    /// Sends a few events, some of them old, and then another request.
    fn work(&mut self, rng: &mut impl Rng) {
        for _ in 0..rng.random_range(1..6) {
            let is_old = self.next_event > 0 && rng.random_bool(0.3);
            let number = if is_old {
                rng.random_range(0..self.next_event)
            } else {
                self.next_event
            };
            self.next_event = self.next_event.max(number + 1);
            self.ask(&event(format!("e{number}"), format!("w{}", number % 5)));
        }
        match rng.random_range(0..10) {
            0 => self.ask(&checkpoint("c")),
            1 if self.oracle().has_checkpoint("c") => self.ask(&restore("c")),
            2 => self.ask(&Request::Rollback),
            _ => self.ask(&Request::Commit),
        }
    }

    /// Kills the process and starts it again; with `in_work`, perhaps in the middle of a commit.
    fn kill(&mut self, in_work: bool) {
        let node = &mut self.node;
        if in_work {
            node.node.send(&Request::Commit.line(0));
        }
        let (no_node, oracle) = (Node::start(None, &[]), node.oracle.clone());
        std::mem::replace(&mut node.node, no_node).kill();
        *node = CheckedNode::start(&self.data_dir, self.arguments, oracle);
        if in_work {
            // A second commit releases what is left, so all is released in either case.
            node.node.ask(&Request::Commit.line(0));
            node.oracle.apply(&Request::Commit);
        }
    }
}

/// Panics unless the file holds the first outputs of the log and, with `wants_all`, soon all.
fn check(file: &Path, oracle: &Oracle, wants_all: bool) {
    eventually("the file has all outputs", || {
        let text = fs::read_to_string(file).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let lines: Vec<&str> = whole.lines().collect();
        for (offset, line) in lines.iter().enumerate() {
            let output: Value = record_in(line);
            let expected = oracle.log().get(offset);
            let expected = expected.unwrap_or_else(|| panic!("{line} was never released"));
            assert_eq!(output["offset"], offset, "{line}");
            assert_eq!(output["event_id"], *expected.event_id, "{line}");
            assert_eq!(output["word"], *expected.word, "{line}");
            assert_eq!(output["count"], expected.count, "{line}");
        }
        !wants_all || lines.len() == oracle.log().len()
    });
}

#[test]
fn each_output_is_read_exactly_once_across_kills_of_both_sides() {
    consume(false);
}

#[test]
fn each_output_is_read_exactly_once_with_autocommit_too() {
    consume(true);
}

fn consume(autocommit: bool) {
    let kills = setting("EXACTLY_ONCE_CONSUMER_KILLS", 100) / 2;
    let mut rng = ChaCha8Rng::seed_from_u64(setting("EXACTLY_ONCE_SEED", 1));
    let home = scratch_dir();
    let file = home.path().join("consumed.jsonl");
    let mut producer = Producer::start(home.path().join("data"), autocommit);
    // A directory that does not exist yet cannot be followed.
    producer.ask(&Request::Commit);
    let mut consumer = Consumer::start(&producer.data_dir, &file);
    let (mut of_consumer, mut in_work) = (0, 0);
    for kill in 0..kills {
        for _ in 0..rng.random_range(0..4) {
            producer.work(&mut rng);
        }
        if rng.random_bool(0.5) {
            sleep(Duration::from_millis(rng.random_range(0..150)));
        }
        if rng.random_bool(0.5) {
            consumer.kill();
            of_consumer += 1;
            check(&file, producer.oracle(), false);
            consumer = Consumer::start(&producer.data_dir, &file);
        } else {
            let is_in_work = rng.random_bool(0.5);
            in_work += u64::from(is_in_work);
            producer.kill(is_in_work);
        }
        if kill % 10 == 9 {
            check(&file, producer.oracle(), true);
        }
    }
    check(&file, producer.oracle(), true);
    let outputs = producer.oracle().log().len();
    println!(
        "{kills} kills, {of_consumer} of the consumer, {in_work} in a commit: {outputs} outputs"
    );
    assert!(kills < 50 || (of_consumer > 10 && in_work > 5 && outputs > 100));
    consumer.kill();
    let oracle = producer.node.stop();
    let restarted = Consumer::start(&producer.data_dir, &file);
    check(&file, &oracle, true);
    drop(restarted);
}

/// Flips a bit at each place where the database of a running node holds this text.
fn damage(data_dir: &Path, wanted: &[u8]) {
    let path = data_dir.join("db");
    let bytes = fs::read(&path).expect("sled's file is there");
    let file = File::options().write(true).open(&path);
    let file = file.expect("the test owns it");
    let places = bytes.windows(wanted.len()).enumerate();
    let places = places.filter(|(_, bytes)| bytes == &wanted);
    let damaged = places.map(|(at, _)| {
        let written = file.write_all_at(&[bytes[at] ^ 1], at as u64);
        written.expect("the test owns it");
    });
    assert!(damaged.count() > 0, "the text is not in the file");
}

/// The damage is permanent, so a follower ends with an error instead of asking forever.
#[test]
fn a_follower_of_a_log_that_cannot_be_read_ends_with_an_error_and_the_node_goes_on() {
    const EVENTS: u64 = 20_000;
    const LONE_EVENTS: u64 = 500;
    /// With these, a start reads only the end of the journal.
    const ARGUMENTS: [&str; 2] = ["--run-every", "1000"];
    let (_home, data_dir) = home_and_data_dir();
    let event = |number: u64| event(format!("an id that stands out, {number}."), "w");
    let lines = (1..EVENTS).map(|number| event(number).line(number) + "\n");
    let input = lines
        .chain([Request::Commit.line(0) + "\n"])
        .collect::<String>();
    run_node(&data_dir, &ARGUMENTS, input).expect_success();
    // With each write sled moves an old page whose segment holds few others. It must have moved
    // them all before anything is damaged.
    let node = Node::start(Some(&data_dir), &ARGUMENTS);
    for number in EVENTS..EVENTS + LONE_EVENTS {
        node.send(&event(number).line(number));
        assert!(node.read_line().contains(r#""was_duplicate": false"#));
    }
    node.finish().expect_all_read();
    let node = Node::start(Some(&data_dir), &ARGUMENTS);
    node.send(&event(EVENTS).line(1));
    assert!(node.read_line().contains(r#""was_duplicate": true"#));
    damage(&data_dir, b"an id that stands out, 17.");
    let followed = run_on("outputs", &data_dir, &["--follow"]).expect_status(exit::STORAGE);
    assert!(
        followed.stderr.contains("failed while reading"),
        "{}",
        followed.stderr
    );
    node.send(&event(EVENTS + LONE_EVENTS).line(2));
    assert!(node.read_line().contains(r#""was_duplicate": false"#));
    node.finish().expect_all_read();
}
