//! The places of clients. An idle client keeps its place and blocks no other client. A client that
//! takes no replies loses its place only if another client needs it, and is told why.

use crate::kit::{
    ErrorReply, Finished, Node, Process, SocketClient, accepted, event_line, eventually, exit,
    finish, home_and_data_dir, line, on_directory, records_of, run_on, spawn,
};
use rustix::process::Signal;
use std::fs;
use std::io::{PipeReader, Read};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

/// Far more outputs than a socket and two pipes hold.
const OUTPUTS: u64 = 20_000;

/// A node that has outputs and serves this many clients.
fn node(data_dir: &Path, max_clients: &str) -> Node {
    let node = Node::start(Some(data_dir), &["--max-clients", max_clients]);
    for number in 0..OUTPUTS {
        node.send(&event_line(number, &format!("e{number}"), "w"));
    }
    node.send(&line("commit", OUTPUTS, ""));
    for _ in 0..=OUTPUTS {
        node.read_line();
    }
    node
}

/// A command whose output is not read.
struct Paused {
    process: Process,
    reader: PipeReader,
}

impl Paused {
    fn start(data_dir: &Path, name: &str) -> Self {
        let (reader, writer) = std::io::pipe().expect("there is a pipe");
        let mut command = on_directory(name, data_dir, &[]);
        command
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped());
        let process = Process::start(&mut command);
        Self { process, reader }
    }

    /// Reads the rest of the output, and waits for the end.
    fn go_on(mut self) -> (String, Finished) {
        let mut output = String::new();
        let read = self.reader.read_to_string(&mut output);
        read.expect("it is text");
        (output, finish(self.process))
    }
}

/// Connects until a client that asks for a change is served.
fn next_client(data_dir: &Path) -> SocketClient {
    let mut served = None;
    eventually("a place is free", || {
        let mut next = SocketClient::connect(data_dir);
        let request = event_line(1, "e0", "w") + "\n";
        next.send_raw(request.as_bytes()).unwrap_or_default();
        let is_served = next
            .next_line()
            .is_some_and(|reply| reply.contains("processed"));
        served = is_served.then_some(next);
        is_served
    });
    served.expect("it was served")
}

#[test]
fn a_place_is_taken_for_another_client_from_one_that_reads_nothing_and_never_from_an_idle_one() {
    let (_home, data_dir) = home_and_data_dir();
    let node = node(&data_dir, "3");
    let mut idle = SocketClient::connect(&data_dir);
    idle.ask(&event_line(1, "e0", "w"));
    let dump = Paused::start(&data_dir, "dump");
    let outputs = Paused::start(&data_dir, "outputs");
    eventually("all places are taken", || {
        let stats = idle.records(&line("stats", 1, ""));
        stats[0].contains(r#""clients":3"#)
    });
    let (_first, _second) = (next_client(&data_dir), next_client(&data_dir));

    let (output, ended) = dump.go_on();
    assert_eq!(ended.code(), Some(exit::STORAGE), "{}", ended.stderr);
    let why = "dropped, as it had taken no reply for 30 s and another client needed its place";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    assert!(output.ends_with("}\n"), "a line is cut off");
    let (output, ended) = outputs.go_on();
    assert!(ended.status.success(), "{}", ended.stderr);
    let offsets = output.lines().zip(0_u64..);
    let in_order = offsets.filter(|(line, n)| line.starts_with(&format!("{{\"offset\":{n},")));
    assert_eq!(in_order.count() as u64, OUTPUTS);
    assert_eq!(output.lines().count() as u64, OUTPUTS);

    let reply = idle.ask(&event_line(2, "e0", "w"));
    assert!(reply.contains("processed"), "{reply}");
    let ended = node.finish();
    assert_eq!(ended.status.code(), Some(exit::SUCCESS), "{}", ended.stderr);
}

#[test]
fn idle_clients_in_all_places_lock_no_command_out_that_only_looks() {
    let (_home, data_dir) = home_and_data_dir();
    let node = Node::start(Some(&data_dir), &["--max-clients", "2"]);
    let mut idle = [(); 2].map(|()| SocketClient::connect(&data_dir));
    for (number, client) in (1..).zip(&mut idle) {
        let reply = client.ask(&event_line(number, &format!("e{number}"), "w"));
        assert_eq!(reply, accepted(number, "w", number));
    }
    for _ in 0..3 {
        let stats = run_on("stats", &data_dir, &[]);
        assert!(stats.expect_quiet_success().contains(r#""events":2"#));
    }
    let save = run_on("checkpoints", &data_dir, &["save", "here"]);
    let told = save.expect_refusal(exit::STORAGE);
    assert!(
        told.contains("all 2 places for clients are taken"),
        "{told}"
    );
    // The extra place serves one query. Its client then sees the connection end.
    let mut holding = SocketClient::connect(&data_dir);
    let query = line("get_word", 5, r#""word":"w""#);
    assert_eq!(holding.records(&query), [r#"{"word":"w","count":2}"#]);
    assert_eq!(holding.next_line(), None);
    // While the extra place is taken too, a client is told so. It sees that line although it has
    // sent something.
    let mut held = None;
    eventually("the extra place is free again, and taken", || {
        held = Some(SocketClient::connect(&data_dir));
        let stats = run_on("stats", &data_dir, &[]);
        if stats.status.success() {
            return false;
        }
        let line = stats.expect_refusal(exit::STORAGE);
        assert!(line.contains("too many clients: all 2 places"), "{line}");
        true
    });
    let mut refused = SocketClient::connect(&data_dir);
    let told = ErrorReply::read(&refused.ask(&query)).expect("it is an error");
    assert_eq!((told.code, told.in_reply_to), (11, None));
    node.finish().expect_all_read();
}

/// A node with one place, and the client that has it, after one event.
fn full_node(data_dir: &Path) -> (Node, SocketClient) {
    let node = Node::start(Some(data_dir), &["--max-clients", "1"]);
    let mut idle = SocketClient::connect(data_dir);
    idle.ask(&event_line(1, "e1", "w"));
    (node, idle)
}

/// The node may not have noticed yet that the previous client has ended.
#[test]
fn quick_successive_queries_all_get_the_extra_place() {
    let (_home, data_dir) = home_and_data_dir();
    let (node, _idle) = full_node(&data_dir);
    let query = line("get_word", 5, r#""word":"w""#);
    for _ in 0..300 {
        let mut client = SocketClient::connect(&data_dir);
        assert_eq!(client.records(&query), [r#"{"word":"w","count":1}"#]);
    }
    node.finish().expect_all_read();
}

/// How long the node waits for the extra place is no matter of time: a machine may pause it.
#[test]
fn a_client_gets_the_extra_place_from_the_one_before_though_the_node_was_paused() {
    let (_home, data_dir) = home_and_data_dir();
    let (node, mut idle) = full_node(&data_dir);
    let query = line("get_word", 5, r#""word":"w""#);
    let mut first = SocketClient::connect(&data_dir);
    eventually("the first has the extra place", || {
        let stats = idle.records(&line("stats", 1, ""));
        stats[0].contains(r#""clients":2"#)
    });
    node.signal(Signal::STOP);
    let mut second = SocketClient::connect(&data_dir);
    thread::sleep(Duration::from_secs(3));
    first.send(&query);
    second.send(&query);
    node.signal(Signal::CONT);
    for client in [first, second].iter_mut() {
        let answer = client.next_answer().expect("the node answers");
        assert_eq!(records_of(answer), [r#"{"word":"w","count":1}"#]);
    }
    node.finish().expect_all_read();
}

#[test]
fn a_command_whose_reader_is_gone_ends_and_leaves_its_place_though_it_has_nothing_to_write() {
    let (_home, data_dir) = home_and_data_dir();
    let node = Node::start(Some(&data_dir), &["--max-clients", "1"]);
    node.ask(&event_line(1, "e1", "w"));
    for arguments in [
        &["outputs", "--follow"][..],
        &["stats", "--watch", "--every", "3600"],
    ] {
        let mut command = on_directory(arguments[0], &data_dir, &arguments[1..]);
        let mut process = spawn(command.stdin(Stdio::null()));
        eventually("it waits", || is_asleep(process.id()));
        drop(process.stdout.take());
        let ended = finish(process);
        assert_eq!(
            ended.code(),
            Some(exit::INPUT_OR_OUTPUT),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert_eq!(ended.stderr, "");
    }
    drop(next_client(&data_dir));
    node.finish().expect_all_read();
}

/// True if a process waits for something.
fn is_asleep(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| status.contains("State:\tS"))
}
