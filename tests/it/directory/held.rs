//! Directories that another process holds.

use super::{HELD, Snapshot, answer, event, on, reply};
use crate::client::{Node, PATIENCE, scratch_dir};
use crate::command::{Live, binary};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

fn start(data_dir: &Path) -> Live {
    let mut node = Live::start(binary().arg("--data-dir").arg(data_dir));
    let first = event("e1").line(1);
    assert_eq!(node.ask(&first) + "\n", reply(1, false));
    node
}

#[test]
fn a_second_run_names_the_process_that_holds_the_directory_and_leaves_it_unharmed() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let mut first = start(&data_dir);
    let pid = format!("process {};", first.pid());
    let before = Snapshot::of(&data_dir);
    for command in ["run", "verify", "run"] {
        let line = on(command, &data_dir, "").expect_refusal(HELD);
        assert!(line.contains(&pid), "{pid} {line}");
    }
    assert_eq!(Snapshot::of(&data_dir), before);
    assert_eq!(first.ask(&event("e1").line(1)) + "\n", reply(1, true));
    assert_eq!(first.ask(&event("e2").line(1)) + "\n", reply(2, false));
    first.finish().expect_quiet_success();
    assert_eq!(answer(&data_dir, &[event("e2")]), reply(2, true));
}

#[test]
fn of_two_processes_that_begin_at_once_on_a_new_directory_one_answers_and_one_is_refused() {
    for round in 0..10 {
        let home = scratch_dir();
        let data_dir = home.path().join("data");
        let nodes = [(); 2].map(|()| Node::start(Some(&data_dir), &[]));
        nodes
            .iter()
            .for_each(|node| node.send(&event("e1").line(1)));
        // Both are alive until each has answered or ended by itself.
        let said = nodes.each_ref().map(|node| node.read_line_within(PATIENCE));
        let answers = said.iter().filter(|said| said.is_ok()).count();
        assert_eq!(answers, 1, "round {round}: {said:?}");
        for (node, said) in nodes.into_iter().zip(said) {
            let Ok(line) = said else {
                let ended = node.wait();
                assert_eq!(ended.status.code(), Some(HELD), "{}", ended.stderr);
                continue;
            };
            assert_eq!(line.map(|line| line + "\n"), Some(reply(1, false)));
            node.finish().expect_quiet_success();
        }
    }
}

#[test]
fn a_directory_is_free_again_as_soon_as_its_process_is_killed() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let first = start(&data_dir);
    first.signal(rustix::process::Signal::KILL);
    assert_eq!(first.wait().code, None);
    assert_eq!(answer(&data_dir, &[event("e1")]), reply(1, true));
}

#[test]
fn a_run_waits_a_while_for_a_reader_and_readers_do_not_hinder_each_other() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    answer(&data_dir, &[event("e1")]);
    // As dump does it while it copies.
    let lock = File::open(data_dir.join("lock")).expect("it is there");
    rustix::fs::flock(&lock, FlockOperation::LockShared).expect("nobody writes");
    let line = on("run", &data_dir, "").expect_refusal(HELD);
    assert!(line.contains("another command"), "{line}");
    on("dump", &data_dir, "").expect_quiet_success();
    let mut waiting = Live::start(binary().arg("--data-dir").arg(&data_dir));
    waiting.expect_silence(Duration::from_millis(300));
    // Closing it is not enough: a process that another test forks just now has the handle too.
    rustix::fs::flock(&lock, FlockOperation::Unlock).expect("it was locked");
    assert_eq!(waiting.ask(&event("e1").line(1)) + "\n", reply(1, true));
    waiting.finish().expect_quiet_success();
}
