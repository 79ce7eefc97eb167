//! Nothing around a process loses an answered request: a limit on its files, a disk that fills, a
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

/// Starts a node that does not report conflicts, which the source contains.
fn start(data_dir: &Path) -> Node {
    Node::start(Some(data_dir), &["--quiet"])
}

/// Sends requests to a node until this many replies have come.
fn work(life: &mut Life, node: &Node, source: &mut Source, window: usize, replies: usize) {
    let worked = life.stream(node, source, window, |life| life.replies.len() >= replies);
    worked.unwrap_or_else(|reason| panic!("{reason}"));
}

/// Sends requests until the storage of a node fails; returns the line that says why.
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
        // The replies belong to the life, and `expect_refusal` wants none.
        stdout: String::new(),
        ..ended
    }
    .expect_refusal(exit::STORAGE)
}

/// Panics unless the replies are right and a plain start finds the state after a prefix of the
/// requests that contains every answered one.
fn expect_prefix(belief: &mut Belief, data_dir: &Path, life: &Life) {
    let opened = expect_no_reply(data_dir);
    let dump = opened.and_then(|()| Dump::read(data_dir));
    let found = dump.and_then(|dump| belief.reconcile(life, &dump));
    found.unwrap_or_else(|reason| panic!("{reason}"));
}
