//! The bytes on the wire and of a dump, held against files.

use crate::client::{dump, run_once, scratch_dir};
use std::path::Path;

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data/golden")
        .join(name);
    std::fs::read_to_string(path).expect("the file is part of the repository")
}

#[test]
fn replies_and_dump_are_those_of_the_golden_files() {
    let dir = scratch_dir();
    let state = dir.path().join("state");
    let (replies, _, status) = run_once(&state, golden("requests.jsonl").as_bytes());
    assert!(status.success());
    assert_eq!(String::from_utf8_lossy(&replies), golden("replies.jsonl"));
    let dumped = dump::lines(&state, None).expect("nobody holds the state");
    assert_eq!(dumped.join("\n") + "\n", golden("dump.jsonl"));
}
