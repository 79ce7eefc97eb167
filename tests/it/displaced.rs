//! Directories that are moved by hand, or compacted, while other processes use them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::client::{Node, dump, run_once, scratch_dir};
use crate::command::{Finished, dump_of, finish, on_directory, run, spawn};
use crate::oracle::{Oracle, Request};

const USAGE: i32 = 2;
const HELD: i32 = 4;

fn event(number: u64) -> Request {
    Request::Process {
        event_id: format!("e{number}"),
        word: format!("w{}", number % 5),
    }
}

/// A directory with so many events.
fn made(data_dir: &Path, events: u64) {
    let lines: String = (0..events).map(|n| event(n).line(n) + "\n").collect();
    let (_, said, status) = run_once(data_dir, lines.as_bytes());
    assert!(status.success(), "{said}");
}

fn ask(node: &Node, oracle: &mut Oracle, number: u64) {
    node.send(&event(number).line(number));
    let expected = oracle.apply(&event(number)).body(number);
    assert_eq!(node.read_line(), expected.expect("it never fails").plain());
}

/// sled is opened again by its name, which is another one's then.
#[test]
fn a_node_whose_directory_has_another_state_in_its_place_keeps_to_its_own() {
    let home = scratch_dir();
    let (data_dir, moved) = (home.path().join("data"), home.path().join("moved"));
    let other = home.path().join("other");
    made(&other, 1_000);
    let of_other = dump_of(&other, &[]);
    let node = Node::start(Some(&data_dir), &["--reopen-bytes", "20000"]);
    let mut oracle = Oracle::new();
    (0..20).for_each(|number| ask(&node, &mut oracle, number));
    fs::rename(&data_dir, &moved).expect("it is there");
    fs::rename(&other, &data_dir).expect("it is there");
    (10..400).for_each(|number| ask(&node, &mut oracle, number));
    node.finish().expect_quiet_success();
    dump::check(&moved, &oracle).expect("every answer is in its own directory");
    assert_eq!(dump_of(&data_dir, &[]), of_other);
}

#[test]
fn a_node_that_ends_leaves_the_socket_of_another_one_in_its_place() {
    let home = scratch_dir();
    let (data_dir, moved) = (home.path().join("data"), home.path().join("moved"));
    let mut oracles = [Oracle::new(), Oracle::new()];
    let first = Node::start(Some(&data_dir), &[]);
    ask(&first, &mut oracles[0], 1);
    fs::rename(&data_dir, &moved).expect("it is there");
    let second = Node::start(Some(&data_dir), &[]);
    ask(&second, &mut oracles[1], 2);
    first.finish().expect_quiet_success();
    let shown = run(&mut on_directory("get", &data_dir, &["e2"]), "").expect_quiet_success();
    assert!(shown.contains("\"seen\":true"), "{shown}");
    second.finish().expect_quiet_success();
}

/// What one of them builds must not be removed by another.
#[test]
fn two_compactions_and_the_removal_of_what_is_kept_never_leave_less_than_the_state() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    made(&data_dir, 500);
    let dumped = dump_of(&data_dir, &[]);
    let mut done = 0;
    for round in 0..12 {
        let started = [&[][..], &["--remove-old"], &[], &["--remove-old"]].map(|arguments| {
            thread::sleep(Duration::from_millis(round * 3));
            spawn(on_directory("compact", &data_dir, arguments).stdin(Stdio::null()))
        });
        for Finished { code, stderr, .. } in started.map(finish) {
            // Done, held by another one, or nothing to do.
            assert!(matches!(code, Some(0 | 2 | HELD)), "{stderr}");
            done += u64::from(code == Some(0));
        }
        assert_eq!(dump_of(&data_dir, &[]), dumped);
    }
    assert!(done >= 12, "{done}");
}

#[test]
fn who_looks_or_starts_while_a_directory_is_compacted_finds_the_state_or_that_it_is_held() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    made(&data_dir, 500);
    let counts = |finished: &Finished| finished.stdout.lines().count();
    let (mut looks, mut starts) = (0, 0);
    for _ in 0..8 {
        let compaction = spawn(on_directory("compact", &data_dir, &[]).stdin(Stdio::null()));
        for turn in 0..6 {
            if turn % 2 == 0 {
                let outputs = run(
                    &mut on_directory("dump", &data_dir, &["--only", "counts"]),
                    "",
                );
                assert!(matches!(outputs.code, Some(0 | HELD)), "{}", outputs.stderr);
                assert!(outputs.code != Some(0) || counts(&outputs) == 5);
                looks += u64::from(outputs.code == Some(0));
            } else {
                let line = event(7).line(7) + "\n";
                let (replies, said, status) = run_once(&data_dir, line.as_bytes());
                assert!(matches!(status.code(), Some(0 | HELD)), "{said}");
                let reply = String::from_utf8_lossy(&replies);
                assert!(status.code() != Some(0) || reply.contains("\"was_duplicate\": true"));
                starts += u64::from(status.code() == Some(0));
            }
        }
        let compacted = finish(compaction);
        assert!(
            matches!(compacted.code, Some(0 | HELD)),
            "{}",
            compacted.stderr
        );
        let removed = run(
            &mut on_directory("compact", &data_dir, &["--remove-old"]),
            "",
        );
        let expected = if compacted.code == Some(0) { 0 } else { USAGE };
        assert_eq!(removed.code, Some(expected), "{}", removed.stderr);
    }
    assert!(looks > 0 && starts > 0, "{looks} looks and {starts} starts");
}

#[test]
fn a_metrics_file_that_is_a_pipe_which_nobody_reads_holds_up_no_end() {
    let home = scratch_dir();
    let pipe = home.path().join("pipe");
    let made = run(Command::new("mkfifo").arg(&pipe), "");
    made.expect_quiet_success();
    let pipe = pipe.to_str().expect("it is UTF-8");
    let node = Node::start(Some(&home.path().join("data")), &["--metrics-file", pipe]);
    ask(&node, &mut Oracle::new(), 1);
    let ended = node.finish();
    assert!(ended.status.success(), "{}", ended.stderr);
}
