//! A recording of a few node processes on one state directory, one *life* after another: all that
//! they wrote, synced and answered.

use super::disk::{Disk, Image, read_image};
use super::log::{self, Event, file_name};
use crate::kit::{Dump, Node, binary, event, numbered_lines, preload, reply, scratch_dir, stream};
use crate::oracle::{Oracle, Request};
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Requests that a life gets one at a time, and those that it gets in bursts after them.
const LOCK_STEP: usize = 40;
const PIPELINED: usize = 60;
/// Requests in one burst, which is one write.
const BURST: usize = 12;

/// The state directory, below parents that the node has to make too.
const DATA_DIR: &str = "two/parents/data";

/// What an fdatasync of the database does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fdatasync {
    Works,
    DoesNothing,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Clean,
    /// By SIGKILL after its last reply: the next life finds the content of the page cache.
    Killed,
    /// By SIGKILL after a group is written, and before it is synced or answered: the next life goes
    /// on from it.
    KilledInAGroup,
}

/// Some processes on one disk, and the requests they answered.
#[derive(Debug)]
pub struct Recording {
    /// The arguments that every process got.
    pub arguments: &'static [&'static str],
    pub events: Vec<Event>,
    /// The state after each prefix of the requests, from none of them to all.
    pub states: Vec<Oracle>,
    pub requests: Vec<Request>,
    /// The offset of each reply in the bytes of all replies.
    replies: Vec<usize>,
    reply_bytes: usize,
}

impl Recording {
    /// Records a node that is started, killed and ended several times, with requests in each life.
    pub fn make(fdatasync: Fdatasync, arguments: &'static [&'static str]) -> Self {
        let home = scratch_dir();
        let home_path = home.path().canonicalize().expect("it was just made");
        let [root, log, kill] = ["disk", "log", "kill"].map(|name| home_path.join(name));
        fs::create_dir(&root).expect("there is room");
        let mut oracle = Oracle::new();
        if arguments.contains(&"--autocommit") {
            oracle.switch_autocommit_on();
        }
        let mut recording = Self {
            arguments,
            events: Vec::new(),
            states: vec![oracle],
            requests: Vec::new(),
            replies: Vec::new(),
            reply_bytes: 0,
        };
        for end in [End::Clean, End::Killed, End::KilledInAGroup, End::Clean] {
            let mut command = recorded(&root, &log);
            command.args(arguments);
            command.env("RECORDER_KILL", &kill);
            if fdatasync == Fdatasync::DoesNothing {
                command.env("RECORDER_BLIND", "1");
            }
            let node = Node::start_as(&mut command);
            recording.live(&node);
            match end {
                End::Clean => drop(node.finish().expect_quiet_success()),
                End::Killed => {
                    let records = File::open(&log).expect("the recorder has made it");
                    records.lock().expect("the recorder lets go of it");
                    drop(node);
                }
                End::KilledInAGroup => {
                    fs::write(&kill, "").expect("there is room");
                    recording.die(node, &root);
                    fs::remove_file(&kill).expect("it is there");
                }
            }
        }
        recording.events = log::read(&fs::read(&log).expect("the recorder writes it"));
        expect_all_recorded(&Disk::after(&recording.events).cached(), &read_image(&root));
        recording
    }

    /// Sends the next requests to a node and checks its replies.
    fn live(&mut self, node: &Node) {
        let first = self.requests.len();
        let requests: Vec<_> = (first..first + LOCK_STEP + PIPELINED)
            .map(request)
            .collect();
        let lines = numbered_lines(first as u64, &requests);
        let mut replies: Vec<_> = lines[..LOCK_STEP]
            .iter()
            .map(|line| node.ask(line))
            .collect();
        for burst in lines[LOCK_STEP..].chunks(BURST) {
            node.send_all(burst);
            replies.extend(burst.iter().map(|_| node.read_line()));
        }
        for (request, line) in requests.into_iter().zip(&replies) {
            let mut oracle = self.states.last().expect("it is never empty").clone();
            let expected = oracle.apply(&request);
            reply::assert_is(line, &expected, self.requests.len() as u64);
            self.states.push(oracle);
            self.requests.push(request);
            self.replies.push(self.reply_bytes);
            self.reply_bytes += line.len() + 1;
        }
    }

    /// Sends requests to a node that is killed when it has written the first group of them, and
    /// counts the requests of that group. They are answered once a later life gives a reply.
    fn die(&mut self, node: Node, root: &Path) {
        let first = self.requests.len();
        let event = |number: usize| event(format!("u{number}"), format!("u{number}"));
        let requests: Vec<_> = (first..first + BURST).map(event).collect();
        let lines = numbered_lines(first as u64, &requests);
        node.send_all(&lines);
        let finished = node.wait();
        assert_eq!((finished.code(), &*finished.stdout), (None, ""));
        let dump = Dump::of(&data_dir(root));
        for request in requests {
            let mut oracle = self.states.last().expect("it is never empty").clone();
            if dump.matches(&oracle) {
                break;
            }
            oracle.apply(&request);
            self.states.push(oracle);
            self.requests.push(request);
            self.replies.push(self.reply_bytes);
        }
        let found = dump.compare(self.states.last().expect("it is never empty"));
        found.unwrap_or_else(|reason| panic!("{reason}"));
        assert!(self.requests.len() > first, "a group had been written");
    }

    /// The same recording without the syncs of the state directory itself.
    pub fn without_directory_syncs(mut self) -> Self {
        let of_directory =
            |event: &Event| matches!(event, Event::Synced { name, .. } if name == DATA_DIR);
        self.events.retain(|event| !of_directory(event));
        self
    }

    /// The number of requests answered after this many events. A reply counts with its first byte.
    pub fn answered(&self, events: usize) -> usize {
        let bytes = |event: &Event| match event {
            Event::Reply { bytes } => *bytes,
            _ => 0,
        };
        let bytes: usize = self.events[..events].iter().map(bytes).sum();
        self.replies.partition_point(|&start| start < bytes)
    }

    /// The number of events before the first reply.
    pub fn creation(&self) -> usize {
        let is_reply = |event: &Event| matches!(event, Event::Reply { .. });
        let first = self.events.iter().position(is_reply);
        first.expect("there are replies")
    }

    /// True if, after this many events, the database is synced for replies that have not begun.
    pub fn is_before_a_reply(&self, events: usize) -> bool {
        let is_decisive = |event: &&Event| match event {
            Event::Reply { .. } => true,
            Event::Write { name, .. } | Event::Synced { name, .. } => file_name(name) == "db",
            _ => false,
        };
        let (before, after) = self.events.split_at(events);
        let last = before.iter().rfind(is_decisive);
        let next = after.iter().find(is_decisive);
        matches!(last, Some(Event::Synced { .. })) && matches!(next, Some(Event::Reply { .. }))
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut writes, mut written, mut syncs, mut end) = (0, 0, 0, 0);
        for event in &self.events {
            match event {
                Event::Write { name, at, bytes } if file_name(name) == "db" => {
                    (writes, written) = (writes + 1, written + bytes.len());
                    end = end.max(at + bytes.len());
                }
                Event::Synced { name, .. } if file_name(name) == "db" => syncs += 1,
                _ => {}
            }
        }
        write!(
            f,
            "{} requests recorded: {} events, {writes} writes of {written} bytes to a database of \
             {end} bytes, {syncs} syncs of it",
            self.requests.len(),
            self.events.len(),
        )
    }
}

/// Checks that the recorder has missed no call: the two would differ then.
fn expect_all_recorded(recorded: &Image, real: &Image) {
    let names = |image: &Image| image.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(recorded), names(real), "every name was recorded");
    for (name, content) in real {
        assert!(recorded[name] == *content, "all of {name:?} was recorded");
    }
}

/// A request with a word so long that some groups take several sectors or pages, and all requests
/// take several of sled's segments.
fn request(number: usize) -> Request {
    let word = |of: usize| format!("w{}{}", of % 7, "-".repeat(of % 5 * 250));
    stream::request(number, word)
}

/// The state directory below this root.
pub fn data_dir(root: &Path) -> PathBuf {
    root.join(DATA_DIR)
}

fn recorded(root: &Path, log: &Path) -> Command {
    let mut command = binary();
    command.args(["--quiet", "--snapshot-every", "5", "--run-every", "4"]);
    command.args(["--reopen-bytes", "50000", "--data-dir"]);
    let library = preload::library("recorder", "power/library.rs");
    command.arg(data_dir(root)).env("LD_PRELOAD", library);
    command.env("RECORDER_ROOT", root).env("RECORDER_LOG", log);
    command.env_remove("RECORDER_BLIND");
    command
}
