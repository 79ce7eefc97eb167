//! A directory of format 4, as an earlier program wrote it: it can be looked at and dumped, the
//! dump can be loaded, and nothing changes the directory itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::{Node, dump, reply, scratch_dir};
use crate::command::{binary, dump_of, on_directory, run, verified};
use crate::directory::Snapshot;
use crate::oracle::{Expected, Oracle, Request};

const UNUSABLE: i32 = 3;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data/golden/format-4")
        .join(name)
}

/// The directory, which sled's empty folder is put back into.
fn old_directory(home: &Path) -> PathBuf {
    let copy = home.join("old");
    fs::create_dir_all(copy.join("blobs")).expect("there is room");
    for name in ["db", "conf", "sentinel", "watermark"] {
        let from = golden("state").join(name);
        fs::copy(from, copy.join(name)).expect("there is room");
    }
    copy
}

/// What the oracle says of the requests that made the directory.
fn expected() -> Oracle {
    let mut oracle = Oracle::new();
    let requests = fs::read_to_string(golden("requests.jsonl")).expect("it is there");
    for line in requests.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
        let text = |name: &str| line["body"][name].as_str().unwrap_or_default().to_owned();
        oracle.apply(&match &*text("type") {
            "process" => Request::Process {
                event_id: text("event_id"),
                word: text("word"),
            },
            "checkpoint" => Request::Checkpoint {
                id: text("checkpoint_id"),
            },
            "restore" => Request::Restore {
                id: text("checkpoint_id"),
            },
            "commit" => Request::Commit,
            "rollback" => Request::Rollback,
            other => panic!("unknown: {other}"),
        });
    }
    oracle
}

/// A command, with its own arguments, on the directory.
fn on_old(command: &[&str], old: &Path) -> Command {
    let mut binary = binary();
    binary.args(command).arg("--data-dir").arg(old);
    binary
}

/// Restores every checkpoint and commits, each reply against the oracle, then compares the dump.
fn go_on(dir: &Path, mut oracle: Oracle) {
    let node = Node::start(Some(dir), &[]);
    let names: Vec<_> = oracle
        .checkpoints()
        .map(|checkpoint| checkpoint.name)
        .collect();
    assert!(names.len() > 5, "{names:?}");
    let steps = names.into_iter().flat_map(|id| {
        let event = Request::Process {
            event_id: format!("after {id}"),
            word: "new".to_owned(),
        };
        [Request::Restore { id }, event, Request::Commit]
    });
    let steps: Vec<_> = steps.collect();
    for (number, request) in (1..).zip(&steps) {
        let expected: Expected = oracle.apply(request);
        node.send(&request.line(number));
        let line = node.read_line();
        reply::check(&line, &expected, number).unwrap_or_else(|e| panic!("{request:?}: {e}"));
    }
    assert!(node.finish().status.success());
    dump::check(dir, &oracle).unwrap_or_else(|reason| panic!("{reason}"));
}

#[test]
fn it_is_dumped_as_it_is_and_its_dump_makes_a_directory_that_goes_on() {
    let home = scratch_dir();
    let old = old_directory(home.path());
    let before = Snapshot::of(&old);
    dump::check(&old, &expected()).unwrap_or_else(|reason| panic!("{reason}"));
    let dumped = dump_of(&old, &["--incidentals"]);
    for command in [&["stats"][..], &["checkpoints", "list"], &["outputs"]] {
        run(&mut on_old(command, &old), "").expect_quiet_success();
    }
    assert_eq!(Snapshot::of(&old), before, "looking changes nothing");
    let new = home.path().join("new");
    run(&mut on_directory("load", &new, &[]), &dumped).expect_quiet_success();
    verified(&new);
    dump::check(&new, &expected()).unwrap_or_else(|reason| panic!("{reason}"));
    go_on(&new, expected());
    verified(&new);
}

#[test]
fn a_dump_that_the_earlier_program_made_can_be_loaded() {
    let home = scratch_dir();
    let new = home.path().join("new");
    let dumped = fs::read_to_string(golden("dump.jsonl")).expect("it is there");
    run(&mut on_directory("load", &new, &[]), &dumped).expect_quiet_success();
    verified(&new);
    go_on(&new, expected());
    verified(&new);
}

#[test]
fn whatever_would_change_or_check_it_is_refused_with_the_way_to_move_it() {
    let home = scratch_dir();
    let old = old_directory(home.path());
    let before = Snapshot::of(&old);
    for command in [
        &["run"][..],
        &["compact"],
        &["verify"],
        &["checkpoints", "delete", "c0"],
    ] {
        let line = run(&mut on_old(command, &old), "").expect_refusal(UNUSABLE);
        let cure = format!("dump --incidentals --data-dir {}", old.display());
        assert!(line.contains("format 4") && line.contains(&cure), "{line}");
    }
    assert_eq!(Snapshot::of(&old), before, "nothing is changed");
}
