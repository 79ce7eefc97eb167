//! What a node does while one of its calls fails: a few requests of every type, one at a time.

use crate::client::dump::Dump;
use crate::client::scratch_dir;
use crate::command::{Live, binary};
use crate::crash::life::Life;
use crate::crash::reconcile::Belief;
use crate::oracle::Request;
use crate::power::disk::{Image, read_image, write_image};
use std::path::Path;
use std::process::Command;

/// Snapshots of the counts come within the workload, and with it.
const SNAPSHOT_EVERY: &str = "5";
/// So do runs of the index, and sled is opened again.
const RUN_EVERY: &str = "4";
const REOPEN_BYTES: &str = "20000";
/// Behind some failures sled, now and then, waits for what never comes: for so many seconds.
const STORAGE_TIMEOUT: &str = "10";
/// How many requests the directory that is there already has seen.
const EARLIER: usize = 12;
const REQUESTS: usize = 26;

/// Which directory the node finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Fresh,
    /// Another node was killed on it.
    Killed,
}

/// A directory to begin with, and what is sent to the node that opens it.
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
        let home = scratch_dir();
        let data_dir = home.path().join("data");
        let mut life = Life::default();
        let mut node = Live::start(&mut command(&data_dir));
        for request in (0..EARLIER).map(request) {
            life.replies
                .push(node.ask(&request.line(life.sent.len() as u64)));
            life.sent.push(request);
        }
        drop(node);
        let image = read_image(home.path());
        let mut belief = Belief::new();
        let dump = Dump::read(&data_dir).unwrap_or_else(|reason| panic!("{reason}"));
        let reconciled = belief.reconcile(&life, &dump);
        reconciled.unwrap_or_else(|reason| panic!("{reason}"));
        Self {
            origin: Origin::Killed,
            image,
            belief,
            requests: (EARLIER..REQUESTS).map(request).collect(),
        }
    }

    /// Writes the directory and says which states it may be in.
    pub fn write(&self, home: &Path) -> Belief {
        write_image(&self.image, home);
        self.belief.clone()
    }
}

/// A node that says nothing of conflicts, which the workload has.
pub fn command(data_dir: &Path) -> Command {
    let mut command = binary();
    command.args(["--quiet", "--snapshot-every", SNAPSHOT_EVERY]);
    command.args(["--run-every", RUN_EVERY, "--reopen-bytes", REOPEN_BYTES]);
    command.args(["--storage-timeout", STORAGE_TIMEOUT]);
    command.arg("--data-dir").arg(data_dir);
    command
}

/// Every type of request, on both sides of a restart: among the events old ones and conflicting
/// ones, a checkpoint that is overwritten, and restores back and forward.
fn request(number: usize) -> Request {
    let event = |number: usize, word: usize| Request::Process {
        event_id: format!("e{number}"),
        word: format!("w{}", word % 5),
    };
    let name = |name: &str| name.to_owned();
    match number {
        3 => event(2, 2),
        4 => event(1, 3),
        5 | 9 | 18 => Request::Checkpoint { id: name("c0") },
        8 | 14 => Request::Commit,
        11 => Request::Rollback,
        13 => Request::Checkpoint { id: name("c1") },
        16 | 21 => Request::Restore { id: name("c0") },
        22 => Request::Restore { id: name("c1") },
        24 => Request::Rollback,
        25 => Request::Commit,
        _ => event(number, number),
    }
}
