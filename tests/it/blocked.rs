//! A standard output whose reader takes nothing: the node goes on with all that needs no reader,
//! and ends when it is told to.

use crate::client::{PATIENCE, run_once, scratch_dir};
use crate::command::{Finished, Live, binary, finish, on_directory, run, verified};
use crate::control::socket_client::eventually;
use crate::oracle::Request;
use rustix::process::Signal;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Far more than the node reads while no reply is taken.
const EVENTS: u64 = 400_000;

/// A node with an output that is not read.
struct Blocked {
    node: Option<Child>,
    reader: File,
}

impl Blocked {
    /// Starts a node, and sends it events until it reads no more of them.
    fn start(data_dir: &Path, (reader, writer): (OwnedFd, OwnedFd)) -> Self {
        let mut command = binary();
        command.arg("--data-dir").arg(data_dir);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut node = command.stdout(writer).spawn().expect("it can be started");
        let mut stdin = node.stdin.take().expect("it is piped");
        thread::spawn(move || {
            let mut lines = (0..EVENTS).map(|n| event(n) + "\n");
            lines.all(|line| stdin.write_all(line.as_bytes()).is_ok())
        });
        let blocked = Self {
            node: Some(node),
            reader: reader.into(),
        };
        let mut before = 0;
        eventually("no more is read", || {
            thread::sleep(Duration::from_millis(300));
            let now = accepted(data_dir);
            now > 0 && now == std::mem::replace(&mut before, now)
        });
        assert!(before < EVENTS, "it reads on without a limit");
        blocked
    }

    fn node(&mut self) -> &mut Child {
        self.node.as_mut().expect("it has not been waited for")
    }

    fn signal(&mut self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(self.node());
        rustix::process::kill_process(pid, signal).expect("the process has not been waited for");
    }

    /// Waits for the end, while the reader is still there.
    fn wait(&mut self) -> Finished {
        finish(self.node.take().expect("it has not been waited for"))
    }
}

impl Drop for Blocked {
    /// Kills the process, so that a failed test leaves none running.
    fn drop(&mut self) {
        if let Some(node) = &mut self.node {
            let _ = node.kill();
            let _ = node.wait();
        }
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

fn event(number: u64) -> String {
    let event_id = format!("e{number}");
    let word = "w".to_owned();
    Request::Process { event_id, word }.line(number)
}

/// Events that a node has accepted, as it tells a client.
fn accepted(data_dir: &Path) -> u64 {
    let stats = run(&mut on_directory("stats", data_dir, &[]), "");
    if stats.code != Some(0) {
        return 0;
    }
    let stats: Value = serde_json::from_str(&stats.stdout).expect("a record");
    stats["process"]["accepted"].as_u64().unwrap_or_default()
}

#[test]
fn while_standard_output_takes_nothing_others_are_answered_and_the_replies_wait_in_order() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let mut blocked = Blocked::start(&data_dir, pipe());
    let before = accepted(&data_dir);
    let saved = run(
        &mut on_directory("checkpoints", &data_dir, &["save", "here"]),
        "",
    );
    saved.expect_quiet_success();
    let counts = run(
        &mut on_directory("dump", &data_dir, &["--only", "counts"]),
        "",
    );
    let count = format!("{{\"type\":\"count\",\"word\":\"w\",\"count\":{before}}}\n");
    assert_eq!(counts.expect_quiet_success(), count);

    let stderr = blocked.node().stderr.take().expect("it is piped");
    let mut said = BufReader::new(stderr).lines();
    let mut next_said = || said.next().expect("it goes on").expect("it is text");
    let (blocks, takes) = ("has taken no reply", "takes replies again");
    let line = next_said();
    assert!(line.contains(blocks), "{line}");
    let reader = blocked
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
    blocked.signal(Signal::TERM);
    assert_eq!(blocked.wait().code, Some(0));
}

#[test]
fn on_a_signal_an_output_that_takes_nothing_is_given_up_and_what_was_applied_is_durable() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let home = scratch_dir();
        let data_dir = home.path().join("data");
        let mut blocked = Blocked::start(&data_dir, pipe());
        let applied = accepted(&data_dir);
        blocked.signal(signal);
        if signal != Signal::TERM {
            // A second one ends the wait.
            blocked.signal(signal);
        }
        let ended = blocked.wait();
        assert_eq!(ended.code, Some(1), "{signal:?}: {}", ended.stderr);
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
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let mut blocked = Blocked::start(&data_dir, socket());
    blocked.signal(Signal::TERM);
    blocked.signal(Signal::TERM);
    assert_eq!(blocked.wait().code, Some(1));
    verified(&data_dir);
}

#[test]
fn after_a_signal_an_output_that_still_takes_something_gets_every_reply() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let mut blocked = Blocked::start(&data_dir, pipe());
    blocked.signal(Signal::TERM);
    let mut reader = blocked
        .reader
        .try_clone()
        .expect("there is a descriptor left");
    let (to_test, all) = channel();
    thread::spawn(move || {
        // Slower than in one go, and never for long.
        let mut replies = Vec::new();
        let mut buffer = [0; 100_000];
        while let Ok(bytes @ 1..) = reader.read(&mut buffer) {
            replies.extend_from_slice(&buffer[..bytes]);
            thread::sleep(Duration::from_millis(1));
        }
        to_test.send(replies).expect("the test waits");
    });
    assert_eq!(blocked.wait().code, Some(0));
    let replies = all.recv_timeout(PATIENCE).expect("the output is closed");
    let replies = String::from_utf8(replies).expect("replies are text");
    let events = verified(&data_dir)["events"].as_u64();
    assert_eq!(Some(replies.lines().count() as u64), events);
}

#[test]
fn a_hangup_ends_a_node_well_unless_it_was_started_to_ignore_that() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    for (trap, is_ignored) in [("", false), ("trap '' HUP; ", true)] {
        let mut command = std::process::Command::new("sh");
        let script = format!(r#"{trap}exec "$0" run --data-dir "$1""#);
        command.arg("-c").arg(script);
        command
            .arg(env!("CARGO_BIN_EXE_exactly-once"))
            .arg(&data_dir);
        let mut node = Live::start(&mut command);
        node.ask(&event(0));
        node.signal(Signal::HUP);
        let ended = if is_ignored {
            // It still answers.
            node.ask(&event(1));
            node.finish()
        } else {
            node.wait()
        };
        assert_eq!(ended.code, Some(0), "{trap}: {}", ended.stderr);
    }
    assert_eq!(run_once(&data_dir, b"").2.code(), Some(0));
}
