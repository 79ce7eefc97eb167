//! The surroundings of a process cost no answer: a limit on its files, a disk that fills, a
//! directory that is taken away, a clock that jumps, an input without an end.

mod clock;
mod endless_input;
mod file_limit;
mod free_space;
mod removed_directory;

use crate::kit::{Belief, Dump, Finished, Life, Node, Source, exit, expect_no_reply};
use std::path::Path;

/// Far more requests than it takes to meet a failure.
const MANY: usize = 60_000;

/// A process that says nothing of conflicts, which the source has.
fn start(data_dir: &Path) -> Node {
    Node::start(Some(data_dir), &["--quiet"])
}

/// Has a process work until this many replies have come.
fn work(life: &mut Life, node: &Node, source: &mut Source, window: usize, replies: usize) {
    let worked = life.stream(node, source, window, |life| life.replies.len() >= replies);
    worked.unwrap_or_else(|reason| panic!("{reason}"));
}

/// Has a process work until its storage fails; the line that tells why.
fn work_until_storage_fails(
    life: &mut Life,
    node: Node,
    source: &mut Source,
    window: usize,
) -> String {
    let worked = life.stream(&node, source, window, |life| life.sent.len() >= MANY);
    assert!(worked.is_err(), "nothing failed in {MANY} requests");
    let ended = node.wait();
    let taken = life.take(&ended);
    taken.unwrap_or_else(|reason| panic!("{reason}"));
    Finished {
        // The replies belong to the life, and a refusal has none.
        stdout: String::new(),
        ..ended
    }
    .expect_refusal(exit::STORAGE)
}

/// Panics unless the replies are right and the directory, after a plain start, is in the state
/// after a prefix of the requests with every answered one.
fn expect_prefix(belief: &mut Belief, data_dir: &Path, life: &Life) {
    let opened = expect_no_reply(data_dir);
    let dump = opened.and_then(|()| Dump::read(data_dir));
    let found = dump.and_then(|dump| belief.reconcile(life, &dump));
    found.unwrap_or_else(|reason| panic!("{reason}"));
}
