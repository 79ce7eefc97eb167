//! Directories that another process has locked.

use super::{answer, event_of, on, reply};
use crate::kit::{Node, PATIENCE, Snapshot, binary, exit, home_and_data_dir};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

fn start(data_dir: &Path) -> Node {
    let node = Node::start_as(binary().arg("--data-dir").arg(data_dir));
    let first = event_of("e1").line(1);
    assert_eq!(node.ask(&first) + "\n", reply(1, false));
    node
}

#[test]
fn a_second_run_names_the_process_that_holds_the_directory_and_leaves_it_unharmed() {
    let (_home, data_dir) = home_and_data_dir();
    let first = start(&data_dir);
    let pid = format!("process {};", first.pid());
    let before = Snapshot::of(&data_dir);
    for command in ["run", "verify", "run"] {
        let line = on(command, &data_dir, "").expect_refusal(exit::HELD);
        assert!(line.contains(&pid), "{pid} {line}");
    }
    assert_eq!(Snapshot::of(&data_dir), before);
    assert_eq!(first.ask(&event_of("e1").line(1)) + "\n", reply(1, true));
    assert_eq!(first.ask(&event_of("e2").line(1)) + "\n", reply(2, false));
    first.finish().expect_quiet_success();
    assert_eq!(answer(&data_dir, &[event_of("e2")]), reply(2, true));
}

#[test]
fn of_two_processes_that_begin_at_once_on_a_new_directory_one_answers_and_one_is_refused() {
    for round in 0..10 {
        let (_home, data_dir) = home_and_data_dir();
        let nodes = [(); 2].map(|()| Node::start(Some(&data_dir), &[]));
        nodes
            .iter()
            .for_each(|node| node.send(&event_of("e1").line(1)));
        // Both processes live until each has replied or has ended by itself.
        let said = nodes.each_ref().map(|node| node.read_line_within(PATIENCE));
        let answers = said.iter().filter(|said| said.is_ok()).count();
        assert_eq!(answers, 1, "round {round}: {said:?}");
        for (node, said) in nodes.into_iter().zip(said) {
            let Ok(line) = said else {
                let ended = node.wait();
                ended.expect_status(exit::HELD);
                continue;
            };
            assert_eq!(line.map(|line| line + "\n"), Some(reply(1, false)));
            node.finish().expect_all_read();
        }
    }
}

#[test]
fn a_directory_is_free_again_as_soon_as_its_process_is_killed() {
    let (_home, data_dir) = home_and_data_dir();
    let first = start(&data_dir);
    first.signal(rustix::process::Signal::KILL);
    assert_eq!(first.wait().code(), None);
    assert_eq!(answer(&data_dir, &[event_of("e1")]), reply(1, true));
}

#[test]
fn a_run_waits_a_while_for_a_reader_and_readers_do_not_hinder_each_other() {
    let (_home, data_dir) = home_and_data_dir();
    answer(&data_dir, &[event_of("e1")]);
    // `dump` locks the directory like this while it copies.
    let lock = File::open(data_dir.join("lock")).expect("it is there");
    rustix::fs::flock(&lock, FlockOperation::LockShared).expect("no process writes");
    let line = on("run", &data_dir, "").expect_refusal(exit::HELD);
    assert!(line.contains("another command"), "{line}");
    on("dump", &data_dir, "").expect_quiet_success();
    let waiting = Node::start_as(binary().arg("--data-dir").arg(&data_dir));
    waiting.expect_silence(Duration::from_millis(300));
    // Closing it may not unlock it: a process that another test forks now has the handle too.
    rustix::fs::flock(&lock, FlockOperation::Unlock).expect("it was locked");
    assert_eq!(waiting.ask(&event_of("e1").line(1)) + "\n", reply(1, true));
    waiting.finish().expect_quiet_success();
}
