//! An input without an end, so that the process always has something to read.

use crate::kit::{Memory, Node, dump, event, home_and_data_dir, reply};
use crate::oracle::{Oracle, Request};
use rustix::process::Signal;

/// The requests that are answered while the input stays open. All but one in a thousand are
/// duplicates.
const REQUESTS: u64 = 200_000;
const IDS_EVERY: u64 = 1_000;
/// The requests sent ahead of the replies: far more than the pipe and the process hold.
const AHEAD: u64 = 20_000;
/// The bytes that the process may grow by after a tenth of the replies, when its buffers are full.
const GROWTH: u64 = 32 << 20;

#[test]
fn a_process_under_an_endless_input_answers_takes_no_more_memory_and_ends_well_on_sigterm() {
    let (_home, data_dir) = home_and_data_dir();
    let node = Node::start(Some(&data_dir), &[]);
    (0..AHEAD).for_each(|msg_id| node.send(&request(msg_id).line(msg_id)));
    let mut oracle = Oracle::new();
    let mut early = Memory::default();
    for msg_id in 0..REQUESTS {
        check(&node.read_line(), msg_id, &mut oracle);
        let next = msg_id + AHEAD;
        node.send(&request(next).line(next));
        if msg_id == REQUESTS / 10 {
            early = Memory::of(node.pid());
        }
    }
    let late = Memory::of(node.pid());
    assert!(
        early.now > 0 && late.peak <= early.peak + GROWTH,
        "from {early:?} to {late:?}"
    );

    node.signal(Signal::TERM);
    let ended = node.wait();
    assert!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
    for (line, msg_id) in ended.complete_lines().iter().zip(REQUESTS..) {
        check(line, msg_id, &mut oracle);
    }
    dump::assert_is(&data_dir, &oracle);
}

fn request(msg_id: u64) -> Request {
    let id = match msg_id % IDS_EVERY {
        0 => msg_id / IDS_EVERY,
        other => (other * 31) % (msg_id / IDS_EVERY + 1),
    };
    event(format!("event-{id}"), format!("word-{}", id % 7))
}

fn check(line: &str, msg_id: u64, oracle: &mut Oracle) {
    let expected = oracle.apply(&request(msg_id));
    reply::assert_is(line, &expected, msg_id);
}
