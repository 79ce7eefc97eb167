//! Processes keep their state when their directory is moved by hand or compacted.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::kit::{
    CheckedNode, Finished, carry_out, dump, dump_of, exit, finish, home_and_data_dir,
    numbered_event, on_directory, run, run_node, run_on, scratch_dir, spawn, text,
};
use crate::oracle::{Oracle, Request};

/// Makes a directory with this many events.
fn made(data_dir: &Path, events: u64) {
    carry_out(data_dir, &[], (0..events).map(event_of));
}

fn event_of(number: u64) -> Request {
    numbered_event(number, 5)
}

fn start(data_dir: &Path, arguments: &[&str]) -> CheckedNode {
    CheckedNode::start(data_dir, arguments, Oracle::new())
}

/// The node reopens sled by the name of its directory, which is then the name of another one.
#[test]
fn a_node_whose_directory_has_another_state_in_its_place_keeps_to_its_own() {
    let home = scratch_dir();
    let (data_dir, moved) = (home.path().join("data"), home.path().join("moved"));
    let other = home.path().join("other");
    made(&other, 1_000);
    let of_other = dump_of(&other, &[]);
    let mut node = start(&data_dir, &["--reopen-bytes", "20000"]);
    (0..20).for_each(|number| node.ask(&event_of(number)));
    fs::rename(&data_dir, &moved).expect("it is there");
    fs::rename(&other, &data_dir).expect("it is there");
    (10..400).for_each(|number| node.ask(&event_of(number)));
    // Every answered request is in its own directory.
    dump::assert_is(&moved, &node.stop());
    assert_eq!(dump_of(&data_dir, &[]), of_other);
}

#[test]
fn a_node_that_ends_leaves_the_socket_of_another_one_in_its_place() {
    let home = scratch_dir();
    let (data_dir, moved) = (home.path().join("data"), home.path().join("moved"));
    let mut first = start(&data_dir, &[]);
    first.ask(&event_of(1));
    fs::rename(&data_dir, &moved).expect("it is there");
    let mut second = start(&data_dir, &[]);
    second.ask(&event_of(2));
    first.stop();
    let shown = run_on("get", &data_dir, &["e2"]).expect_quiet_success();
    assert!(shown.contains("\"in_state\":true"), "{shown}");
    second.stop();
}

/// No compaction may remove what another one builds.
#[test]
fn two_compactions_and_the_removal_of_what_is_kept_never_leave_less_than_the_state() {
    let (_home, data_dir) = home_and_data_dir();
    made(&data_dir, 500);
    let dumped = dump_of(&data_dir, &[]);
    let mut done = 0;
    for round in 0..12 {
        let started = [&[][..], &["--remove-old"], &[], &["--remove-old"]].map(|arguments| {
            thread::sleep(Duration::from_millis(round * 3));
            spawn(on_directory("compact", &data_dir, arguments).stdin(Stdio::null()))
        });
        for ended in started.map(finish) {
            // It is done, found the directory locked, or had nothing to do.
            let ended = ended.expect_one_of(&[exit::SUCCESS, exit::USAGE, exit::HELD]);
            done += u64::from(ended.status.success());
        }
        assert_eq!(dump_of(&data_dir, &[]), dumped);
    }
    assert!(done >= 12, "{done}");
}

#[test]
fn a_command_during_a_compaction_finds_the_state_or_that_it_is_held() {
    let (_home, data_dir) = home_and_data_dir();
    made(&data_dir, 500);
    let counts = |finished: &Finished| finished.stdout.lines().count();
    let (mut looks, mut starts) = (0, 0);
    for _ in 0..8 {
        let compaction = spawn(on_directory("compact", &data_dir, &[]).stdin(Stdio::null()));
        for turn in 0..6 {
            if turn % 2 == 0 {
                let outputs = run_on("dump", &data_dir, &["--only", "counts"]);
                let outputs = outputs.expect_one_of(&[exit::SUCCESS, exit::HELD]);
                assert!(!outputs.status.success() || counts(&outputs) == 5);
                looks += u64::from(outputs.status.success());
            } else {
                let ended = run_node(&data_dir, &[], event_of(7).line(7) + "\n");
                let ended = ended.expect_one_of(&[exit::SUCCESS, exit::HELD]);
                let is_known = ended.stdout.contains("\"was_duplicate\": true");
                assert!(!ended.status.success() || is_known);
                starts += u64::from(ended.status.success());
            }
        }
        let compacted = finish(compaction);
        let compacted = compacted.expect_one_of(&[exit::SUCCESS, exit::HELD]);
        let removed = run_on("compact", &data_dir, &["--remove-old"]);
        let expected = if compacted.status.success() {
            exit::SUCCESS
        } else {
            exit::USAGE
        };
        assert_eq!(removed.code(), Some(expected), "{}", removed.stderr);
    }
    assert!(looks > 0 && starts > 0, "{looks} looks and {starts} starts");
}

#[test]
fn a_node_ends_though_its_metrics_file_is_a_pipe_without_a_reader() {
    let home = scratch_dir();
    let pipe = home.path().join("pipe");
    let made = run(Command::new("mkfifo").arg(&pipe), "");
    made.expect_quiet_success();
    let pipe = text(&pipe);
    let mut node = start(&home.path().join("data"), &["--metrics-file", pipe]);
    node.ask(&event_of(1));
    node.node.finish().expect_success();
}
