//! `checkpoints save`, `restore` and `delete` do the same as the requests, on a directory at rest
//! and on one that a process has open.

use serde_json::Value;
use std::path::Path;

use crate::kit::{
    CheckedNode, Finished, Snapshot, checkpoint, dump, exit, home_and_data_dir, numbered_event,
    restore, run_on, scratch_dir,
};
use crate::oracle::{Oracle, Request};

fn checkpoints(data_dir: &Path, arguments: &[&str]) -> Finished {
    run_on("checkpoints", data_dir, arguments)
}

fn names(data_dir: &Path) -> Vec<String> {
    let listed = checkpoints(data_dir, &["list"]).expect_records();
    let name = |record: &Value| record["name"].as_str().expect("a name").to_owned();
    listed.iter().map(name).collect()
}

fn events(numbers: std::ops::Range<u64>) -> impl Iterator<Item = Request> {
    numbers.map(|number| numbered_event(number, 3))
}

fn start(data_dir: &Path, oracle: Oracle) -> CheckedNode {
    CheckedNode::start(data_dir, &["--run-every", "4"], oracle)
}

/// Saves, calls `go_on` and restores, by command; a node may be running.
fn save_and_restore(data_dir: &Path, oracle: &mut Oracle, go_on: impl FnOnce(&mut Oracle)) {
    checkpoints(data_dir, &["save", "by command"]).expect_quiet_success();
    oracle.apply(&checkpoint("by command"));
    go_on(oracle);
    let told = checkpoints(data_dir, &["restore", "by command", "--yes"]);
    assert_eq!(
        told.expect_quiet_success(),
        "{\"type\":\"restored\",\"checkpoint_id\":\"by command\"}\n"
    );
    oracle.apply(&restore("by command"));
}

#[test]
fn a_command_saves_and_restores_as_a_request_does_at_rest_and_live() {
    let (_home, data_dir) = home_and_data_dir();
    let mut node = start(&data_dir, Oracle::new());
    events(0..10).for_each(|event| node.ask(&event));
    node.ask(&Request::Commit);
    let mut oracle = node.stop();
    save_and_restore(&data_dir, &mut oracle, |oracle| {
        let mut node = start(&data_dir, std::mem::take(oracle));
        events(5..20).for_each(|event| node.ask(&event));
        *oracle = node.stop();
    });
    dump::check(&data_dir, &oracle).expect("the state is the oracle's");
    let mut node = start(&data_dir, oracle);
    events(20..25).for_each(|event| node.ask(&event));
    let mut oracle = std::mem::take(&mut node.oracle);
    save_and_restore(&data_dir, &mut oracle, |oracle| {
        std::mem::swap(&mut node.oracle, oracle);
        events(22..30).for_each(|event| node.ask(&event));
        node.ask(&Request::Commit);
        std::mem::swap(&mut node.oracle, oracle);
    });
    node.oracle = oracle;
    // An event that was taken back is accepted again, but its output is not released again.
    events(18..28).for_each(|event| node.ask(&event));
    node.ask(&Request::Commit);
    let oracle = node.stop();
    dump::check(&data_dir, &oracle).expect("the state is the oracle's");
}

#[test]
fn a_checkpoint_that_is_deleted_by_command_is_gone_and_nothing_else_is() {
    let (_home, data_dir) = home_and_data_dir();
    let mut node = start(&data_dir, Oracle::new());
    events(0..10).for_each(|event| node.ask(&event));
    for id in ["a", "b", "c"] {
        node.ask(&checkpoint(id));
    }
    checkpoints(&data_dir, &["delete", "b"]).expect_quiet_success();
    assert_eq!(names(&data_dir), ["a", "c"]);
    checkpoints(&data_dir, &["delete", "b"]).expect_refusal(exit::USAGE);
    node.stop();
    checkpoints(&data_dir, &["delete", "a"]).expect_quiet_success();
    assert_eq!(names(&data_dir), ["c"]);
    let line = checkpoints(&data_dir, &["restore", "a", "--yes"]).expect_refusal(exit::USAGE);
    assert!(line.contains("no checkpoint"), "{line}");
    checkpoints(&data_dir, &["restore", "c", "--yes"]).expect_quiet_success();
}

#[test]
fn a_dry_run_shows_what_would_change_and_changes_nothing() {
    let (_home, data_dir) = home_and_data_dir();
    let mut node = start(&data_dir, Oracle::new());
    events(0..10).for_each(|event| node.ask(&event));
    node.ask(&checkpoint("a"));
    events(10..12).for_each(|event| node.ask(&event));
    node.stop();
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
fn a_restore_without_a_terminal_needs_the_option_yes() {
    let (_home, data_dir) = home_and_data_dir();
    let mut node = start(&data_dir, Oracle::new());
    node.ask(&checkpoint("a"));
    events(0..3).for_each(|event| node.ask(&event));
    node.stop();
    let before = Snapshot::of(&data_dir);
    let line = checkpoints(&data_dir, &["restore", "a"]).expect_refusal(exit::USAGE);
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
    checkpoints(&data_dir, &["save", "a"]).expect_refusal(exit::UNUSABLE);
    assert!(!data_dir.exists(), "a mistyped directory must not be made");
    start(&data_dir, Oracle::new()).stop();
    for name in ["", &"x".repeat(257)] {
        let line = checkpoints(&data_dir, &["save", name]).expect_refusal(exit::USAGE);
        assert!(line.contains("checkpoint_id"), "{line}");
    }
}
