//! A directory of format 4, as an earlier program wrote it. It can be read and dumped, and the dump
//! can be loaded. No command changes the directory itself.

use std::fs;
use std::path::{Path, PathBuf};

use crate::kit::{
    CheckedNode, Snapshot, checkpoint, dump, dump_of, event, exit, golden, on_directory, record_in,
    restore, run, run_on, scratch_dir, verified,
};
use crate::oracle::{Oracle, Request};

fn of_format_4(name: &str) -> PathBuf {
    golden("format-4").join(name)
}

/// A copy of the directory, with the empty folder of sled that the repository cannot hold.
fn old_directory(home: &Path) -> PathBuf {
    let copy = home.join("old");
    fs::create_dir_all(copy.join("blobs")).expect("there is room");
    for name in ["db", "conf", "sentinel", "watermark"] {
        let from = of_format_4("state").join(name);
        fs::copy(from, copy.join(name)).expect("there is room");
    }
    copy
}

/// The oracle after the requests that made the directory.
fn expected() -> Oracle {
    let mut oracle = Oracle::new();
    let requests = fs::read_to_string(of_format_4("requests.jsonl")).expect("it is there");
    for line in requests.lines() {
        let line: serde_json::Value = record_in(line);
        let text = |name: &str| line["body"][name].as_str().unwrap_or_default().to_owned();
        oracle.apply(&match &*text("type") {
            "process" => event(text("event_id"), text("word")),
            "checkpoint" => checkpoint(text("checkpoint_id")),
            "restore" => restore(text("checkpoint_id")),
            "commit" => Request::Commit,
            "rollback" => Request::Rollback,
            other => panic!("unknown: {other}"),
        });
    }
    oracle
}

/// Restores every checkpoint and commits, checks each reply, and then compares the dump.
fn go_on(dir: &Path, oracle: Oracle) {
    let names: Vec<_> = oracle
        .checkpoints()
        .map(|checkpoint| checkpoint.name)
        .collect();
    assert!(names.len() > 5, "{names:?}");
    let mut node = CheckedNode::start(dir, &[], oracle);
    for id in names {
        let event = event(format!("after {id}"), "new");
        for request in [restore(id), event, Request::Commit] {
            node.ask(&request);
        }
    }
    dump::assert_is(dir, &node.stop());
}

#[test]
fn a_directory_of_format_4_is_dumped_as_it_is_and_its_dump_makes_one_that_goes_on() {
    let home = scratch_dir();
    let old = old_directory(home.path());
    let before = Snapshot::of(&old);
    dump::assert_is(&old, &expected());
    let dumped = dump_of(&old, &["--incidentals"]);
    for command in [&["stats"][..], &["checkpoints", "list"], &["outputs"]] {
        run_on(command[0], &old, &command[1..]).expect_quiet_success();
    }
    assert_eq!(Snapshot::of(&old), before, "reading changes nothing");
    let new = home.path().join("new");
    run(&mut on_directory("load", &new, &[]), &dumped).expect_quiet_success();
    verified(&new);
    dump::assert_is(&new, &expected());
    go_on(&new, expected());
    verified(&new);
}

#[test]
fn a_dump_that_the_earlier_program_made_can_be_loaded() {
    let home = scratch_dir();
    let new = home.path().join("new");
    let dumped = fs::read_to_string(of_format_4("dump.jsonl")).expect("it is there");
    run(&mut on_directory("load", &new, &[]), &dumped).expect_quiet_success();
    verified(&new);
    go_on(&new, expected());
    verified(&new);
}

#[test]
fn a_command_that_would_change_or_check_it_is_refused_with_the_way_to_move_it() {
    let home = scratch_dir();
    let old = old_directory(home.path());
    let before = Snapshot::of(&old);
    for command in [
        &["run"][..],
        &["compact"],
        &["verify"],
        &["checkpoints", "delete", "c0"],
    ] {
        let line = run_on(command[0], &old, &command[1..]).expect_refusal(exit::UNUSABLE);
        let cure = format!("dump --incidentals --data-dir {}", old.display());
        assert!(line.contains("format 4") && line.contains(&cure), "{line}");
    }
    assert_eq!(Snapshot::of(&old), before, "nothing is changed");
}
