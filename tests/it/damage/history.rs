//! The directories that are damaged, with long histories of several lives. The last reply of each
//! life is read, so the state is known exactly. It is also known when each sector was written.

use super::harm::Place;
use crate::kit::{Node, Source, checkpoint, copy, reply, run_on};
use crate::oracle::{Oracle, Request};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::{Path, PathBuf};

/// A disk writes this many bytes as a whole.
pub const SECTOR_BYTES: usize = 512;
/// Few enough that sled's log has many groups, of which some have more than one request.
const MOST_AT_ONCE: usize = 8;

const OWN_CHECKPOINTS: u32 = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Clean,
    Kill,
}

/// A directory at rest, as it was after one of its lives.
pub struct Variant {
    pub name: &'static str,
    pub path: PathBuf,
    /// The same directory after an earlier life.
    pub older: PathBuf,
    pub oracle: Oracle,
    /// The sectors of the database that were written before its last life.
    under_snapshot: Vec<usize>,
    /// The sectors that its last life wrote, without the tail.
    mid_log: Vec<usize>,
    /// The sectors that its last requests wrote.
    tail: Vec<usize>,
    /// The sectors without data.
    padding: Vec<usize>,
}

/// The bytes of the database at three moments of a life.
struct Written {
    at_open: Vec<u8>,
    before_last: Vec<u8>,
    at_end: Vec<u8>,
}

/// A directory that has one life after another.
struct Living {
    home: PathBuf,
    path: PathBuf,
    source: Source,
    rng: ChaCha8Rng,
    oracle: Oracle,
}

/// Makes the variants of one history below `home`; another seed gives other requests. If
/// `is_compacted`, the history goes on in the database that a compaction made.
pub fn make(home: &Path, seed: u64, requests: usize, is_compacted: bool) -> Vec<Variant> {
    let mut living = Living {
        home: home.to_owned(),
        path: home.join("living"),
        source: Source::new(seed),
        rng: ChaCha8Rng::seed_from_u64(seed),
        oracle: Oracle::new(),
    };
    living.live(requests, End::Kill);
    living.live(requests, End::Clean);
    if is_compacted {
        living.compact();
    }
    let early = living.copy_to("early");
    let killed = living.live(requests, End::Kill);
    let killed = living.variant("killed", &early, killed);
    let cleanly = living.live(requests, End::Clean);
    let cleanly = living.variant("ended cleanly", &killed.path, cleanly);
    let reopened = living.live(1, End::Clean);
    let reopened = living.variant("reopened", &killed.path, reopened);
    vec![killed, cleanly, reopened]
}

/// The folder with the files of a directory's database.
pub fn folder(directory: &Path) -> PathBuf {
    let compacted = directory.join("generation-1");
    if compacted.exists() {
        compacted
    } else {
        directory.to_owned()
    }
}

impl Living {
    fn copy_to(&self, name: &str) -> PathBuf {
        let path = self.home.join(name);
        copy(&self.path, &path);
        path
    }

    fn variant(&self, name: &'static str, older: &Path, written: Written) -> Variant {
        let mut variant = Variant {
            name,
            path: self.copy_to(name),
            older: older.to_owned(),
            oracle: self.oracle.clone(),
            under_snapshot: Vec::new(),
            mid_log: Vec::new(),
            tail: Vec::new(),
            padding: Vec::new(),
        };
        for number in 0..written.at_end.len() / SECTOR_BYTES {
            variant.sectors_like(&written, number).push(number);
        }
        variant
    }

    /// Runs one process: a single request, then `requests`, then a few more.
    fn live(&mut self, requests: usize, end: End) -> Written {
        let arguments = [
            "--quiet",
            "--snapshot-every",
            "20",
            "--run-every",
            "10",
            "--memory",
            "10000",
        ];
        let node = Node::start(Some(&self.path), &arguments);
        self.ask(&node, 1);
        let at_open = self.database();
        let mut left = requests;
        while left > 0 {
            let count = self.rng.random_range(1..=MOST_AT_ONCE.min(left));
            self.ask(&node, count);
            left -= count;
        }
        let before_last = self.database();
        self.ask(&node, MOST_AT_ONCE);
        match end {
            End::Kill => drop(node.kill()),
            End::Clean => node.finish().expect_all_read(),
        }
        Written {
            at_open,
            before_last,
            at_end: self.database(),
        }
    }

    fn database(&self) -> Vec<u8> {
        fs::read(folder(&self.path).join("db")).expect("it is there")
    }

    fn compact(&self) {
        for arguments in [&[][..], &["--remove-old"]] {
            run_on("compact", &self.path, arguments).expect_quiet_success();
        }
        // The damages need sled's own snapshot file, which it writes as it opens the database.
        run_on("run", &self.path, &["-q"]).expect_quiet_success();
    }

    /// A source has so few checkpoints and commits that every open would read all of them.
    fn next(&mut self) -> Request {
        match self.rng.random_range(0..20) {
            0 => checkpoint(format!("own-{}", self.rng.random_range(0..OWN_CHECKPOINTS))),
            1 => Request::Commit,
            _ => self.source.next(),
        }
    }

    /// Sends this many requests and checks their replies.
    fn ask(&mut self, node: &Node, count: usize) {
        let requests: Vec<Request> = (0..count).map(|_| self.next()).collect();
        for request in &requests {
            node.send(&request.line(1));
        }
        for request in &requests {
            let expected = self.oracle.apply(request);
            let checked = reply::check(&node.read_line(), &expected, 1);
            checked.unwrap_or_else(|reason| panic!("undamaged: {reason}"));
        }
    }
}

impl Variant {
    /// The sectors of a part of the database; `None` for any other place.
    pub fn sectors(&self, place: Place) -> Option<&[usize]> {
        match place {
            Place::UnderSnapshot => Some(&self.under_snapshot),
            Place::MidLog => Some(&self.mid_log),
            Place::Tail => Some(&self.tail),
            Place::Padding => Some(&self.padding),
            _ => None,
        }
    }

    /// The list of the sectors that were written at the same time as this one.
    fn sectors_like(&mut self, written: &Written, number: usize) -> &mut Vec<usize> {
        let place = number * SECTOR_BYTES..(number + 1) * SECTOR_BYTES;
        let at_end = &written.at_end[place.clone()];
        let is_as_in = |former: &[u8]| former.get(place.clone()) == Some(at_end);
        if at_end.iter().all(|&byte| byte == 0) {
            &mut self.padding
        } else if is_as_in(&written.at_open) {
            &mut self.under_snapshot
        } else if is_as_in(&written.before_last) {
            &mut self.mid_log
        } else {
            &mut self.tail
        }
    }
}
