//! Compares the bytes of replies and of a dump with stored files.

use crate::kit::{dump, golden, run_node, scratch_dir};
use std::fs;

fn read(name: &str) -> String {
    fs::read_to_string(golden(name)).expect("the file is part of the repository")
}

#[test]
fn replies_and_dump_are_those_of_the_golden_files() {
    let dir = scratch_dir();
    let state = dir.path().join("state");
    let replies = run_node(&state, &[], read("requests.jsonl")).expect_success();
    assert_eq!(replies, read("replies.jsonl"));
    let dumped = dump::lines(&state, None).expect("no process has the state open");
    assert_eq!(dumped.join("\n") + "\n", read("dump.jsonl"));
}
