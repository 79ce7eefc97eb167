//! Runs without a directory: where the state is, what is printed, and that nothing remains.

use super::{event_of, reply};
use crate::kit::{Finished, Node, binary, exit, names, scratch_dir};
use rustix::process::Signal;
use std::fs;

/// Runs a node with a temporary directory of our own; `end` ends it.
fn run_without_directory(arguments: &[&str], end: impl FnOnce(Node) -> Finished) -> Finished {
    let home = scratch_dir();
    let [temporary, working] = ["temporary", "working"].map(|name| home.path().join(name));
    for directory in [&temporary, &working] {
        fs::create_dir(directory).expect("it can be made");
    }
    let mut command = binary();
    command.env("TMPDIR", &temporary).env("HOME", &working);
    command.current_dir(&working).args(arguments);
    let node = Node::start_as(&mut command);
    assert_eq!(node.ask(&event_of("e1").line(1)) + "\n", reply(1, false));
    let state = names(&temporary);
    assert_eq!(state.len(), 1, "{state:?}");
    assert!(
        temporary.join(&state[0]).join("state/db").is_file(),
        "the state is in that directory"
    );
    let finished = end(node);
    assert_eq!(names(&temporary), [""; 0], "nothing may remain");
    assert_eq!(names(&working), [""; 0]);
    finished
}

#[test]
fn without_a_directory_one_line_says_that_the_state_is_temporary_and_it_is() {
    for arguments in [&[][..], &["run"]] {
        let finished = run_without_directory(arguments, Node::finish).expect_status(exit::SUCCESS);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        assert!(
            finished.stderr.contains("--data-dir"),
            "{}",
            finished.stderr
        );
    }
}

#[test]
fn without_a_directory_a_quiet_run_says_nothing() {
    for quiet in ["--quiet", "-q"] {
        run_without_directory(&[quiet], Node::finish).expect_quiet_success();
    }
}

#[test]
fn the_temporary_directory_is_gone_after_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let finished = run_without_directory(&["--quiet"], |node| {
            node.signal(signal);
            node.wait()
        });
        finished.expect_quiet_success();
    }
}
