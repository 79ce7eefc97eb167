//! A disk whose free space falls below the floor while a process runs, and rises again.
//!
//! The system call for the free space cannot be replaced from outside, so this takes real space for
//! a moment.

use crate::kit::{
    ErrorReply, Node, Source, binary, dump, eventually, exit, home_and_data_dir, reply,
};
use crate::oracle::Oracle;
use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use std::fs::{self, File};
use std::path::Path;

/// The free space stays this far above or below the floor, as other programs use the disk too.
const SLACK: u64 = 128 << 20;
/// The number of replies of a kind to wait for.
const REPLIES: usize = 50;

#[test]
fn a_process_that_had_no_room_answers_again_by_itself_once_there_is_some() {
    let (home, data_dir) = home_and_data_dir();
    let directory = File::open(home.path()).expect("it is there");
    let floor = free_bytes(&directory)
        .checked_sub(SLACK)
        .expect("the disk has some room");
    let mut stream = Stream::start(&data_dir, floor);
    stream.ask_until_answered();

    let path = home.path().join("ballast");
    let ballast = File::create(&path).expect("there is room");
    let mut refused = 0;
    eventually("the disk fills", || {
        match stream.ask() {
            Some(error) => {
                expect_amounts(&error, floor);
                refused += 1;
            }
            None => fill(&ballast, floor),
        }
        refused == REPLIES
    });
    // The space becomes free once no process has the file open.
    drop(ballast);
    fs::remove_file(&path).expect("it is there");
    stream.ask_until_answered();
    let oracle = stream.finish();
    dump::assert_is(&data_dir, &oracle);
}

/// Requests of all types, one at a time, and the state after the answered ones.
struct Stream {
    node: Node,
    source: Source,
    oracle: Oracle,
    sent: u64,
}

impl Stream {
    fn start(data_dir: &Path, floor: u64) -> Self {
        let mut command = binary();
        command.args(["--min-free-bytes", &floor.to_string()]);
        Self {
            node: Node::start_as(command.arg("--data-dir").arg(data_dir)),
            source: Source::new(3),
            oracle: Oracle::new(),
            sent: 0,
        }
    }

    /// Sends the next request; returns the error if it was refused for lack of space.
    fn ask(&mut self) -> Option<ErrorReply> {
        let request = self.source.next();
        let msg_id = self.sent;
        self.sent += 1;
        let line = self.node.ask(&request.line(msg_id));
        let error = ErrorReply::read(&line).ok();
        if let Some(error) = error.filter(|error| error.code == 11) {
            assert_eq!(error.in_reply_to, Some(msg_id));
            return Some(error);
        }
        let expected = self.oracle.apply(&request);
        reply::assert_is(&line, &expected, msg_id);
        None
    }

    fn ask_until_answered(&mut self) {
        let mut answered = 0;
        eventually("the disk has room", || {
            answered += usize::from(self.ask().is_none());
            answered == REPLIES
        });
    }

    fn finish(self) -> Oracle {
        let finished = self.node.finish().expect_status(exit::SUCCESS);
        // Others use the disk too, so the space may come and go more than once.
        let told = finished
            .stderr
            .lines()
            .filter(|line| !line.contains("conflict"));
        for (line, is_entering) in told.zip([true, false].into_iter().cycle()) {
            let expected = ["requests are taken again", "requests are refused"];
            assert!(line.contains(expected[usize::from(is_entering)]), "{line}");
        }
        self.oracle
    }
}

/// Takes enough of the disk to leave less than the floor.
fn fill(ballast: &File, floor: u64) {
    let size = ballast.metadata().expect("it is open").len();
    let wanted = size + (free_bytes(ballast) + SLACK).saturating_sub(floor);
    if wanted > size {
        let filled = fallocate(ballast, FallocateFlags::empty(), 0, wanted);
        filled.expect("the file system can set space aside");
    }
}

/// The free bytes on the disk of a file.
fn free_bytes(file: &File) -> u64 {
    let disk = fstatvfs(file).expect("it is open");
    disk.f_bavail * disk.f_frsize
}

/// Panics unless the text names the floor and a smaller amount of free space.
fn expect_amounts(error: &ErrorReply, floor: u64) {
    let numbers = error.text.split(|c: char| !c.is_ascii_digit());
    let amounts: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
    let [free, wanted] = amounts[..] else {
        panic!("not two amounts: {}", error.text);
    };
    assert!(free < wanted && wanted == floor, "{}", error.text);
}
