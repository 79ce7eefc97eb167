//! Commands and nodes under each limit of threads that `ulimit -u` or `pids.max` may set.

use crate::kit::{
    EachCommand, Homes, Node, binary, exit, numbered_event, preload, scratch_dir, verified,
};
use std::fs;
use std::path::Path;
use std::process::Command;

/// More threads than any command has.
const MANY: usize = 40;
/// Enough events for several runs of the index and counts snapshots, each of which needs a thread.
const EVENTS: u64 = 2_000;

#[test]
fn at_every_limit_of_threads_each_command_works_or_ends_with_a_line_and_leaves_the_state_sound() {
    let homes = Homes::new();
    for command in EachCommand::all() {
        let mut refused = 0;
        for threads in 1.. {
            assert!(threads < MANY, "{command:?} never works");
            let home = homes.make();
            let limit = home.path().join("limit");
            set(&limit, threads);
            let finished = command.run(home.path(), |command| preload_limit(command, &limit));
            verified(&home.state());
            if finished.status.success() {
                break;
            }
            refused += 1;
            let line = finished.expect_refusal(exit::STORAGE);
            let told = "a thread could not be started; raise the limit of threads (ulimit -u";
            assert!(line.contains(told), "{command:?}, {threads}: {line}");
        }
        assert!(refused > 2, "{command:?} was refused only {refused} times");
    }
}

#[test]
fn a_limit_of_threads_that_is_met_in_mid_stream_stops_no_node() {
    let home = scratch_dir();
    let (data_dir, limit) = (home.path().join("data"), home.path().join("limit"));
    set(&limit, MANY);
    let mut command = binary();
    command.args(["--run-every", "100", "--snapshot-every", "100"]);
    command.arg("--data-dir").arg(&data_dir);
    preload_limit(&mut command, &limit);
    let node = Node::start_as(&mut command);
    for number in 0..EVENTS {
        let reply = node.ask(&numbered_event(number, 7).line(number));
        assert!(reply.contains("\"was_duplicate\": false"), "{reply}");
        if number == 0 {
            set(&limit, 1);
        }
    }
    let finished = node.finish().expect_status(exit::SUCCESS);
    let told = "a thread could not be started";
    assert!(finished.stderr.contains(told), "{}", finished.stderr);
    let report = verified(&data_dir);
    assert_eq!(report["positions"], EVENTS);
    for of_threads in ["runs", "snapshots"] {
        assert_ne!(report[of_threads], 0, "{report}");
    }
}

fn set(limit: &Path, threads: usize) {
    fs::write(limit, threads.to_string()).expect("there is room");
}

fn preload_limit(command: &mut Command, limit: &Path) {
    let library = preload::library("threads", "thread_limit/library.rs");
    command
        .env("LD_PRELOAD", library)
        .env("THREADS_LIMIT", limit);
}
