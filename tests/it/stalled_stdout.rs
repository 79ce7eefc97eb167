//! While the reader of standard output takes nothing, the node goes on with all that needs no
//! reader, and ends when it is told to.

use crate::kit::{
    Finished, Node, PATIENCE, Process, binary, event_line, eventually, exit, finish,
    home_and_data_dir, record_in, run_node, run_on, shell, verified,
};
use rustix::process::Signal;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Far more events than the node reads while no reply is taken.
const EVENTS: u64 = 400_000;

/// A node with an output that is not read.
struct Stalled {
    node: Process,
    reader: File,
}

impl Stalled {
    /// Starts a node, and sends it events until it reads no more of them.
    fn start(data_dir: &Path, (reader, writer): (OwnedFd, OwnedFd)) -> Self {
        let mut command = binary();
        command.arg("--data-dir").arg(data_dir);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut node = Process::start(command.stdout(writer));
        let mut stdin = node.stdin.take().expect("it is piped");
        thread::spawn(move || {
            let mut lines = (0..EVENTS).map(|n| event_of(n) + "\n");
            lines.all(|line| stdin.write_all(line.as_bytes()).is_ok())
        });
        let mut before = 0;
        eventually("no more is read", || {
            thread::sleep(Duration::from_millis(300));
            let now = accepted_by(data_dir);
            now > 0 && now == std::mem::replace(&mut before, now)
        });
        assert!(before < EVENTS, "it reads on without a limit");
        Self {
            node,
            reader: reader.into(),
        }
    }

    /// Waits for the end of the node, while the reader is still there.
    fn wait(self) -> Finished {
        let _reader = self.reader;
        finish(self.node)
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = std::io::pipe().expect("there is a pipe");
    (reader.into(), writer.into())
}

fn socket() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = UnixStream::pair().expect("there are sockets");
    (reader.into(), writer.into())
}

fn event_of(number: u64) -> String {
    event_line(number, &format!("e{number}"), "w")
}

/// The number of events that a node has accepted, according to `stats`.
fn accepted_by(data_dir: &Path) -> u64 {
    let stats = run_on("stats", data_dir, &[]);
    if !stats.status.success() {
        return 0;
    }
    let stats: Value = record_in(&stats.stdout);
    stats["process"]["accepted"].as_u64().unwrap_or_default()
}

#[test]
fn while_standard_output_takes_nothing_others_are_answered_and_the_replies_wait_in_order() {
    let (_home, data_dir) = home_and_data_dir();
    let mut stalled = Stalled::start(&data_dir, pipe());
    let before = accepted_by(&data_dir);
    let saved = run_on("checkpoints", &data_dir, &["save", "here"]);
    saved.expect_quiet_success();
    let counts = run_on("dump", &data_dir, &["--only", "counts"]);
    let count = format!("{{\"type\":\"count\",\"word\":\"w\",\"count\":{before}}}\n");
    assert_eq!(counts.expect_quiet_success(), count);

    let stderr = stalled.node.stderr.take().expect("it is piped");
    let mut said = BufReader::new(stderr).lines();
    let mut next_said = || said.next().expect("it goes on").expect("it is text");
    let (blocks, takes) = ("has taken no reply", "takes replies again");
    let line = next_said();
    assert!(line.contains(blocks), "{line}");
    let reader = stalled
        .reader
        .try_clone()
        .expect("there is a descriptor left");
    let (to_test, replies) = channel();
    thread::spawn(move || {
        let replies = BufReader::new(reader).lines().map_while(Result::ok);
        replies
            .take(EVENTS as usize)
            .enumerate()
            .for_each(|(n, reply)| {
                let expected = format!(
                    "\"in_reply_to\": {n}, \"word\": \"w\", \"count\": {},",
                    n + 1
                );
                assert!(reply.contains(&expected), "{reply}");
            });
        to_test.send(()).expect("the test waits");
    });
    replies
        .recv_timeout(PATIENCE)
        .expect("every reply is right");
    let line = next_said();
    assert!(line.contains(takes), "{line}");
    stalled.node.signal(Signal::TERM);
    stalled.wait().expect_status(exit::SUCCESS);
}

#[test]
fn on_a_signal_an_output_that_takes_nothing_is_given_up_and_what_was_applied_is_durable() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (_home, data_dir) = home_and_data_dir();
        let stalled = Stalled::start(&data_dir, pipe());
        let applied = accepted_by(&data_dir);
        stalled.node.signal(signal);
        if signal != Signal::TERM {
            // A second signal ends the wait.
            stalled.node.signal(signal);
        }
        let ended = stalled.wait();
        assert_eq!(
            ended.code(),
            Some(exit::INPUT_OR_OUTPUT),
            "{signal:?}: {}",
            ended.stderr
        );
        let why = "standard output took nothing";
        assert!(ended.stderr.contains(why), "{signal:?}: {}", ended.stderr);
        let events = verified(&data_dir)["events"].as_u64();
        assert!(
            events >= Some(applied),
            "{signal:?}: {events:?} of {applied}"
        );
    }
}

#[test]
fn a_socket_that_takes_nothing_is_given_up_as_a_pipe_is() {
    let (_home, data_dir) = home_and_data_dir();
    let stalled = Stalled::start(&data_dir, socket());
    stalled.node.signal(Signal::TERM);
    stalled.node.signal(Signal::TERM);
    stalled.wait().expect_status(exit::INPUT_OR_OUTPUT);
    verified(&data_dir);
}

#[test]
fn after_a_signal_an_output_that_still_takes_something_gets_every_reply() {
    let (_home, data_dir) = home_and_data_dir();
    let stalled = Stalled::start(&data_dir, pipe());
    stalled.node.signal(Signal::TERM);
    let mut reader = stalled
        .reader
        .try_clone()
        .expect("there is a descriptor left");
    let (to_test, all) = channel();
    thread::spawn(move || {
        // The reader is slow, but never pauses for long.
        let mut replies = Vec::new();
        let mut buffer = [0; 100_000];
        while let Ok(bytes @ 1..) = reader.read(&mut buffer) {
            replies.extend_from_slice(&buffer[..bytes]);
            thread::sleep(Duration::from_millis(1));
        }
        to_test.send(replies).expect("the test waits");
    });
    stalled.wait().expect_status(exit::SUCCESS);
    let replies = all.recv_timeout(PATIENCE).expect("the output is closed");
    let replies = String::from_utf8(replies).expect("replies are text");
    let events = verified(&data_dir)["events"].as_u64();
    assert_eq!(Some(replies.lines().count() as u64), events);
}

#[test]
fn a_hangup_ends_a_node_well_unless_it_was_started_to_ignore_that() {
    let (_home, data_dir) = home_and_data_dir();
    for (trap, is_ignored) in [("", false), ("trap '' HUP; ", true)] {
        let mut command = shell(&format!(r#"{trap}exec "$0" run --data-dir "$1""#));
        let node = Node::start_as(command.arg(&data_dir));
        node.ask(&event_of(0));
        node.signal(Signal::HUP);
        let ended = if is_ignored {
            // The node still answers.
            node.ask(&event_of(1));
            node.finish()
        } else {
            node.wait()
        };
        assert!(ended.status.success(), "{trap}: {}", ended.stderr);
    }
    run_node(&data_dir, &[], "").expect_status(exit::SUCCESS);
}
