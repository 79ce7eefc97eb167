//! The work of a node while one of its calls fails: a few requests of every type, one at a time.

use crate::kit::{Belief, Dump, Life, Node, binary, checkpoint, event, home_and_data_dir, restore};
use crate::oracle::Request;
use crate::power::disk::{Image, read_image, write_image};
use std::path::Path;
use std::process::Command;

/// Counts snapshots fall into the workload.
const SNAPSHOT_EVERY: &str = "5";
/// Runs and reopenings of sled fall into the workload too.
const RUN_EVERY: &str = "4";
const REOPEN_BYTES: &str = "20000";
/// After some failures sled waits forever. The node gives up after this many seconds.
const STORAGE_TIMEOUT: &str = "10";
/// The number of requests that the killed node has answered.
const EARLIER: usize = 12;
const REQUESTS: usize = 26;

/// The directory that the node finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Fresh,
    /// Another node was killed on it.
    Killed,
}

/// A directory to begin with, and the requests to the node that opens it.
pub struct Start {
    pub origin: Origin,
    image: Image,
    belief: Belief,
    pub requests: Vec<Request>,
}

impl Start {
    pub fn make(origin: Origin) -> Self {
        match origin {
            Origin::Fresh => Self {
                origin,
                image: Image::new(),
                belief: Belief::new(),
                requests: (0..REQUESTS).map(request).collect(),
            },
            Origin::Killed => Self::killed(),
        }
    }

    fn killed() -> Self {
        let (home, data_dir) = home_and_data_dir();
        let mut life = Life::default();
        let node = Node::start_as(&mut command(&data_dir));
        for request in (0..EARLIER).map(request) {
            life.replies
                .push(node.ask(&request.line(life.sent.len() as u64)));
            life.sent.push(request);
        }
        drop(node);
        let image = read_image(home.path());
        let mut belief = Belief::new();
        let reconciled = belief.reconcile(&life, &Dump::of(&data_dir));
        reconciled.unwrap_or_else(|reason| panic!("{reason}"));
        Self {
            origin: Origin::Killed,
            image,
            belief,
            requests: (EARLIER..REQUESTS).map(request).collect(),
        }
    }

    /// Writes the directory and returns the states that it may be in.
    pub fn write(&self, home: &Path) -> Belief {
        write_image(&self.image, home);
        self.belief.clone()
    }
}

/// A node that does not report conflicts, which the workload contains.
pub fn command(data_dir: &Path) -> Command {
    let mut command = binary();
    command.args(["--quiet", "--snapshot-every", SNAPSHOT_EVERY]);
    command.args(["--run-every", RUN_EVERY, "--reopen-bytes", REOPEN_BYTES]);
    command.args(["--storage-timeout", STORAGE_TIMEOUT]);
    command.arg("--data-dir").arg(data_dir);
    command
}

/// Every type of request, on both sides of a restart, with duplicate and conflicting events, a
/// checkpoint that is overwritten, and restores back and forward.
fn request(number: usize) -> Request {
    let event = |number: usize, word: usize| event(format!("e{number}"), format!("w{}", word % 5));
    match number {
        3 => event(2, 2),
        4 => event(1, 3),
        5 | 9 | 18 => checkpoint("c0"),
        8 | 14 => Request::Commit,
        11 => Request::Rollback,
        13 => checkpoint("c1"),
        16 | 21 => restore("c0"),
        22 => restore("c1"),
        24 => Request::Rollback,
        25 => Request::Commit,
        _ => event(number, number),
    }
}
