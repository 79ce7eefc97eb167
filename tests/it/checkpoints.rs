//! `checkpoints save`, `restore` and `delete`: the same by command as by request, on a directory at
//! rest and on one that a process holds.

use std::path::Path;

use crate::client::{Node, dump, scratch_dir};
use crate::command::{Finished, binary, run};
use crate::directory::Snapshot;
use crate::oracle::{Oracle, Request};

const USAGE: i32 = 2;
const UNUSABLE: i32 = 3;

fn checkpoints(data_dir: &Path, arguments: &[&str]) -> Finished {
    let mut command = binary();
    command.arg("checkpoints").args(arguments);
    run(command.arg("--data-dir").arg(data_dir), "")
}

fn names(data_dir: &Path) -> Vec<String> {
    let listed = checkpoints(data_dir, &["list"]).expect_quiet_success();
    let name = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).expect("a record");
        record["name"].as_str().expect("a name").to_owned()
    };
    listed.lines().map(name).collect()
}

fn events(numbers: std::ops::Range<u64>) -> impl Iterator<Item = Request> {
    numbers.map(|number| Request::Process {
        event_id: format!("e{number}"),
        word: format!("w{}", number % 3),
    })
}

/// A node, and what must be so of it.
struct Bench {
    node: Node,
    oracle: Oracle,
    next_msg_id: u64,
}

impl Bench {
    fn start(data_dir: &Path, oracle: Oracle) -> Self {
        let node = Node::start(Some(data_dir), &["--run-every", "4"]);
        Self {
            node,
            oracle,
            next_msg_id: 1,
        }
    }

    fn ask(&mut self, request: &Request) {
        self.node.send(&request.line(self.next_msg_id));
        let expected = self.oracle.apply(request).body(self.next_msg_id);
        let expected = expected.expect("no request fails").plain();
        assert_eq!(self.node.read_line(), expected);
        self.next_msg_id += 1;
    }

    fn stop(self) -> Oracle {
        self.node.finish().expect_quiet_success();
        self.oracle
    }
}

/// Saves, goes on, restores: at rest, or while the node of `bench` runs.
fn save_and_restore(data_dir: &Path, oracle: &mut Oracle, go_on: impl FnOnce(&mut Oracle)) {
    let id = |id: &str| id.to_owned();
    checkpoints(data_dir, &["save", "by command"]).expect_quiet_success();
    oracle.apply(&Request::Checkpoint {
        id: id("by command"),
    });
    go_on(oracle);
    let told = checkpoints(data_dir, &["restore", "by command", "--yes"]);
    assert_eq!(
        told.expect_quiet_success(),
        "{\"type\":\"restored\",\"checkpoint_id\":\"by command\"}\n"
    );
    oracle.apply(&Request::Restore {
        id: id("by command"),
    });
}

#[test]
fn what_is_saved_and_restored_by_command_is_as_by_request_at_rest_and_live() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let mut bench = Bench::start(&data_dir, Oracle::new());
    events(0..10).for_each(|event| bench.ask(&event));
    bench.ask(&Request::Commit);
    let mut oracle = bench.stop();
    save_and_restore(&data_dir, &mut oracle, |oracle| {
        let mut bench = Bench::start(&data_dir, std::mem::take(oracle));
        events(5..20).for_each(|event| bench.ask(&event));
        *oracle = bench.stop();
    });
    dump::check(&data_dir, &oracle).expect("it is the same");
    let mut bench = Bench::start(&data_dir, oracle);
    events(20..25).for_each(|event| bench.ask(&event));
    let mut oracle = std::mem::take(&mut bench.oracle);
    save_and_restore(&data_dir, &mut oracle, |oracle| {
        std::mem::swap(&mut bench.oracle, oracle);
        events(22..30).for_each(|event| bench.ask(&event));
        bench.ask(&Request::Commit);
        std::mem::swap(&mut bench.oracle, oracle);
    });
    bench.oracle = oracle;
    // An event that was taken back is new again, and released again it is not.
    events(18..28).for_each(|event| bench.ask(&event));
    bench.ask(&Request::Commit);
    let oracle = bench.stop();
    dump::check(&data_dir, &oracle).expect("it is the same");
}

#[test]
fn a_checkpoint_that_is_deleted_by_command_is_gone_and_nothing_else_is() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let mut bench = Bench::start(&data_dir, Oracle::new());
    events(0..10).for_each(|event| bench.ask(&event));
    for id in ["a", "b", "c"] {
        bench.ask(&Request::Checkpoint { id: id.to_owned() });
    }
    checkpoints(&data_dir, &["delete", "b"]).expect_quiet_success();
    assert_eq!(names(&data_dir), ["a", "c"]);
    checkpoints(&data_dir, &["delete", "b"]).expect_refusal(USAGE);
    bench.stop();
    checkpoints(&data_dir, &["delete", "a"]).expect_quiet_success();
    assert_eq!(names(&data_dir), ["c"]);
    let line = checkpoints(&data_dir, &["restore", "a", "--yes"]).expect_refusal(USAGE);
    assert!(line.contains("no checkpoint"), "{line}");
    checkpoints(&data_dir, &["restore", "c", "--yes"]).expect_quiet_success();
}

#[test]
fn a_dry_run_shows_what_would_change_and_changes_nothing() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let mut bench = Bench::start(&data_dir, Oracle::new());
    events(0..10).for_each(|event| bench.ask(&event));
    bench.ask(&Request::Checkpoint { id: "a".to_owned() });
    events(10..12).for_each(|event| bench.ask(&event));
    bench.stop();
    let before = Snapshot::of(&data_dir);
    for (arguments, shown) in [
        (&["restore", "a", "--dry-run"], "\"only_in_second\":2"),
        (&["delete", "a", "--dry-run"], "\"name\":\"a\""),
        (&["save", "a", "--dry-run"], "\"events\":10"),
    ] {
        let said = checkpoints(&data_dir, arguments).expect_quiet_success();
        assert!(said.contains(shown), "{said}");
    }
    let said = checkpoints(&data_dir, &["save", "new", "--dry-run"]);
    assert_eq!(said.expect_quiet_success(), "");
    assert_eq!(Snapshot::of(&data_dir), before);
}

#[test]
fn a_restore_without_a_terminal_needs_to_be_meant() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let mut bench = Bench::start(&data_dir, Oracle::new());
    bench.ask(&Request::Checkpoint { id: "a".to_owned() });
    events(0..3).for_each(|event| bench.ask(&event));
    bench.stop();
    let before = Snapshot::of(&data_dir);
    let line = checkpoints(&data_dir, &["restore", "a"]).expect_refusal(USAGE);
    assert!(
        line.contains("--yes") && line.contains("--dry-run"),
        "{line}"
    );
    assert_eq!(Snapshot::of(&data_dir), before);
}

#[test]
fn a_name_that_cannot_be_one_and_a_directory_without_state_are_refused() {
    let home = scratch_dir();
    let data_dir = home.path().join("none");
    checkpoints(&data_dir, &["save", "a"]).expect_refusal(UNUSABLE);
    assert!(!data_dir.exists(), "a mistyped directory is not made");
    Bench::start(&data_dir, Oracle::new()).stop();
    for name in ["", &"x".repeat(257)] {
        let line = checkpoints(&data_dir, &["save", name]).expect_refusal(USAGE);
        assert!(line.contains("checkpoint_id"), "{line}");
    }
}
