//! `send`: the same replies as those of `run`, whether a node runs or not, and across its kills.

use crate::kit::node::StdoutClosed;
use crate::kit::shell;
use crate::kit::{
    Node, PATIENCE, Process, SocketClient, accepted, binary, dump, dump_of, event, event_line,
    exit, finish, home_and_data_dir, input_of, line, on_directory, run, run_node, run_on,
    scratch_dir, spawn, verified,
};
use crate::oracle::{Oracle, Request};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::Duration;

/// Lines of every kind: requests, blank ones, bad ones, and such that get no reply.
const LINES: [&str; 17] = [
    r#"{"type":"process","msg_id":7,"event_id":"a","word":"x"}"#,
    "",
    r#"{"body":{"type":"process","msg_id":7,"event_id":"a","word":"caf\u00e9 \"q\""}}"#,
    r#"{"type":"process","event_id":"b","word":"x"}"#,
    "nonsense",
    r#"{"body":{"type":"checkpoint","msg_id":18446744073709551615,"checkpoint_id":"c"}}"#,
    r#"{"type":"restore","checkpoint_id":"none"}"#,
    r#"{"type":"restore","msg_id":0,"checkpoint_id":"c"}"#,
    r#"{"type":"process","msg_id":1,"event_id":"","word":"x"}"#,
    "  ",
    r#"{"type":"commit"}"#,
    r#"{"type":"process","msg_id":3,"event_id":"z","word":"x"}"#,
    r#"{"type":"rollback","msg_id":4}"#,
    r#"{"src":"c7","body":{"type":"init","msg_id":5,"node_id":"n1","node_ids":["n1"]}}"#,
    r#"{"src":"c8","body":{"type":"process","msg_id":6,"event_id":"y","word":"x"}}"#,
    r#"{"src":"c9","body":{"type":"restore","msg_id":8,"checkpoint_id":"other"}}"#,
    r#"{"src":"c9","body":{"type":"commit","msg_id":9}}"#,
];

fn serve(data_dir: &Path) -> Node {
    let node = Node::start_as(&mut on_directory("serve", data_dir, &[]));
    node.read_line();
    node
}

/// Starts a node, as a supervisor does: again and again while another process, which may be a
/// sender that has waited too long for it, has the directory open.
fn serve_again(data_dir: &Path) -> Node {
    loop {
        let node = Node::start_as(&mut on_directory("serve", data_dir, &[]));
        match node.read_line_within(PATIENCE) {
            Ok(line) => {
                line.expect("it says that it listens");
                return node;
            }
            Err(StdoutClosed) => drop(node.wait().expect_status(exit::HELD)),
        }
    }
}

#[test]
fn the_replies_are_those_of_the_node_itself_whether_one_runs_or_not() {
    let input = input_of(LINES);
    let (_home, data_dir) = home_and_data_dir();
    let expected = run_node(&data_dir, &[], &input).expect_success();
    let dumped = dump_of(&data_dir, &[]);
    assert_eq!(expected.lines().count(), 13);
    let home = scratch_dir();
    fs::write(home.path().join("lines"), &input).expect("there is room");
    for (number, has_node) in [false, true].into_iter().enumerate() {
        for by_file in [false, true] {
            let data_dir = home.path().join(format!("{number}-{by_file}"));
            let node = has_node.then(|| serve(&data_dir));
            let mut send = on_directory("send", &data_dir, &[]);
            let sent = match by_file {
                true => run(send.arg(home.path().join("lines")), ""),
                false => run(&mut send, &input),
            };
            let sent = sent.expect_status(exit::REFUSED);
            assert_eq!(sent.stdout, expected);
            let first = "4 of 15 requests were refused; the first: ";
            assert!(sent.stderr.contains(first), "{}", sent.stderr);
            assert!(sent.stderr.contains("line 5: not JSON"), "{}", sent.stderr);
            if let Some(node) = node {
                node.signal(Signal::TERM);
                node.wait().expect_all_read();
            }
            assert_eq!(dump_of(&data_dir, &[]), dumped);
        }
    }
}

#[test]
fn only_the_wanted_replies_are_printed() {
    let (_home, data_dir) = home_and_data_dir();
    let send = |which: &str| {
        let sent = run(
            &mut on_directory("send", &data_dir, &["--replies", which]),
            input_of(LINES),
        );
        sent.expect_status(exit::REFUSED).stdout
    };
    let all = send("all");
    let errors: Vec<&str> = all
        .lines()
        .filter(|line| line.contains(r#""type": "error""#))
        .collect();
    assert_eq!(errors.len(), 4);
    let shown = send("errors");
    // Nothing is wrapped in the same way: replies that are not shown have numbers too.
    assert_eq!(shown.lines().collect::<Vec<_>>(), errors);
    assert_eq!(send("none"), "");
    let good = run(
        &mut on_directory("send", &data_dir, &["--replies", "errors"]),
        input_of([event_line(1, "g", "w")]),
    );
    assert_eq!(good.expect_quiet_success(), "");
}

#[test]
fn two_at_once_on_a_directory_at_rest_both_succeed() {
    let (home, data_dir) = home_and_data_dir();
    let events = |who: u64| -> Vec<String> {
        (0..3000)
            .map(|n| event_line(n, &format!("e{}", n + 1500 * who), "w"))
            .collect()
    };
    let senders: Vec<_> = (0..3)
        .map(|who| {
            let path = home.path().join(format!("lines-{who}"));
            fs::write(&path, input_of(events(who))).expect("there is room");
            spawn(on_directory("send", &data_dir, &["-q"]).arg(path))
        })
        .collect();
    for sender in senders {
        let sent = crate::kit::finish(sender);
        assert_eq!(sent.expect_quiet_success().lines().count(), 3000);
    }
    let count = run_on("get", &data_dir, &["--word", "w"]).expect_record();
    assert_eq!(count["count"], 6000);
    verified(&data_dir);
}

/// A node that is killed and started again, while events, some of them twice, are sent to it.
#[test]
fn every_event_is_answered_and_counted_once_across_kills_of_the_node() {
    let (home, data_dir) = home_and_data_dir();
    let requests: Vec<Request> = (0..60_000_u64)
        .map(|n| event(format!("e{}", n / 3), format!("w{}", n / 3 % 7)))
        .collect();
    let lines = requests.iter().zip(0..).map(|(request, n)| request.line(n));
    let path = home.path().join("lines");
    fs::write(&path, input_of(lines)).expect("there is room");
    let mut node = serve(&data_dir);
    let mut send = on_directory("send", &data_dir, &["--replies", "errors"]);
    let mut sending = spawn(send.arg(&path));
    let mut kills = 0;
    while !sending.has_ended() {
        thread::sleep(Duration::from_millis(40));
        node.kill();
        node = serve_again(&data_dir);
        kills += 1;
    }
    assert_eq!(crate::kit::finish(sending).expect_quiet_success(), "");
    node.signal(Signal::TERM);
    node.wait().expect_all_read();
    println!("{kills} kills");
    assert!(kills > 3, "the input is too short to meet a kill");
    dump::assert_is(&data_dir, &Oracle::after(&requests));
    verified(&data_dir);
}

/// The node is the test itself, which ends the connection when it has read such a request.
#[test]
fn a_request_that_must_not_be_repeated_stops_it_with_its_line() {
    for (kind, members) in [
        ("commit", ""),
        ("rollback", ""),
        ("checkpoint", r#","checkpoint_id":"c""#),
        ("restore", r#","checkpoint_id":"c""#),
        ("delete_checkpoint", r#","checkpoint_id":"c""#),
    ] {
        let home = scratch_dir();
        let socket = home.path().join("node.sock");
        let listener = UnixListener::bind(&socket).expect("the name is free");
        let mut send = binary();
        let sending = Node::start_as(send.args(["send", "--socket"]).arg(&socket));
        sending.send(&event_line(7, "e1", "w"));
        let (stream, _) = listener.accept().expect("it connects");
        let mut node = SocketClient::over(stream);
        node.read_line();
        node.send(&accepted(0, "w", 1));
        assert_eq!(sending.read_line(), accepted(7, "w", 1));
        let request = format!(r#"{{"type":"{kind}","msg_id":3{members}}}"#);
        let lines = [
            "",
            &event_line(2, "e2", "w"),
            &request,
            &event_line(4, "e3", "w"),
        ];
        sending.send_raw(input_of(lines).into_bytes());
        while !node.read_line().contains(&format!(r#""type":"{kind}""#)) {}
        drop(node);
        let told = sending.wait().expect_refusal(exit::UNCLEAR);
        let expected = format!("line 4: the node ended before it replied to this {kind}");
        assert!(told.contains(&expected), "{told}");
        listener.set_nonblocking(true).expect("it can be set");
        assert!(listener.accept().is_err(), "it has not connected again");
    }
}

/// Only the requests after the last reply are sent again, in their order.
#[test]
fn after_a_lost_connection_the_events_without_a_reply_are_sent_again_in_order() {
    let home = scratch_dir();
    let socket = home.path().join("node.sock");
    let listener = UnixListener::bind(&socket).expect("the name is free");
    let mut send = binary();
    let sending = Node::start_as(send.args(["send", "--socket"]).arg(&socket));
    sending.send_raw(input_of((0..9).map(|n| event_line(n, &format!("e{n}"), "w"))).into_bytes());
    let mut answered = 0;
    for _ in 0..4 {
        let (stream, _) = listener.accept().expect("it connects");
        let mut node = SocketClient::over(stream);
        let lines: Vec<String> = (answered..9).map(|_| node.read_line()).collect();
        for (line, n) in lines.iter().zip(answered..) {
            assert!(line.contains(&format!(r#""event_id":"e{n}""#)), "{line}");
        }
        let replies = (answered..9.min(answered + 3)).map(|n| accepted(n, "w", n + 1));
        // The last reply of a connection is cut off.
        let replies = input_of(replies);
        node.send_raw(&replies.as_bytes()[..replies.len() - 1])
            .expect("it reads");
        answered = 9.min(answered + 2);
    }
    let (stream, _) = listener.accept().expect("it connects");
    let mut node = SocketClient::over(stream);
    node.read_line();
    node.send(&accepted(8, "w", 9));
    for n in 0..9 {
        assert_eq!(sending.read_line(), accepted(n, "w", n + 1));
    }
    sending.finish().expect_all_read();
}

/// A node may refuse a connection for a while, as it has no place for another client.
#[test]
fn a_node_that_does_not_serve_it_now_is_asked_again() {
    let home = scratch_dir();
    let socket = home.path().join("node.sock");
    let listener = UnixListener::bind(&socket).expect("the name is free");
    let mut send = binary();
    let sending = Node::start_as(send.args(["send", "--socket"]).arg(&socket));
    sending.send(&event_line(7, "e1", "w"));
    for _ in 0..3 {
        let (stream, _) = listener.accept().expect("it connects");
        let mut node = SocketClient::over(stream);
        node.send(r#"{"type": "error", "code": 11, "text": "too many clients"}"#);
    }
    let (stream, _) = listener.accept().expect("it connects");
    let mut node = SocketClient::over(stream);
    node.read_line();
    node.send(&accepted(0, "w", 1));
    assert_eq!(sending.read_line(), accepted(7, "w", 1));
    sending.finish().expect_all_read();
}

#[test]
fn without_any_node_at_a_socket_it_waits_as_long_as_it_was_told() {
    let home = scratch_dir();
    let mut send = binary();
    send.args(["send", "--wait", "300ms", "--socket"])
        .arg(home.path().join("none"));
    let told = run(&mut send, input_of(LINES)).expect_refusal(exit::NOT_RUNNING);
    assert!(told.contains("no node listens on"), "{told}");
    run(&mut send, "").expect_refusal(exit::NOT_RUNNING);
}

#[test]
fn an_input_that_cannot_be_read_is_named_and_what_came_before_is_answered() {
    let (home, data_dir) = home_and_data_dir();
    let good = home.path().join("good");
    fs::write(&good, input_of([event_line(1, "e1", "w")])).expect("there is room");
    let mut send = on_directory("send", &data_dir, &[]);
    let sent = run(send.arg(&good).arg(home.path()), "");
    assert_eq!(sent.stdout.trim_end(), accepted(1, "w", 1));
    assert_eq!(sent.code(), Some(exit::INPUT_OR_OUTPUT), "{}", sent.stderr);
    assert!(sent.stderr.contains("Is a directory"), "{}", sent.stderr);
}

#[test]
fn commit_and_rollback_are_carried_out_at_rest_and_by_a_node() {
    let (_home, data_dir) = home_and_data_dir();
    let fill = |id: &str| run_node(&data_dir, &[], event_line(1, id, "w")).expect_success();
    fill("e1");
    let commit = || run_on("commit", &data_dir, &[]).expect_quiet_success();
    let rollback = || run_on("rollback", &data_dir, &["--yes"]).expect_quiet_success();
    assert_eq!(commit(), "{\"type\":\"committed\",\"output_count\":1}\n");
    fill("e2");
    let refused = run_on("rollback", &data_dir, &[]).expect_refusal(exit::USAGE);
    assert!(refused.contains("needs --yes"), "{refused}");
    assert_eq!(
        rollback(),
        "{\"type\":\"rolled_back\",\"discarded_count\":1}\n"
    );
    let node = serve(&data_dir);
    let mut client = SocketClient::connect(&data_dir);
    client.ask(&event_line(1, "e3", "w"));
    assert_eq!(commit(), "{\"type\":\"committed\",\"output_count\":1}\n");
    client.ask(&event_line(1, "e4", "w"));
    assert_eq!(
        rollback(),
        "{\"type\":\"rolled_back\",\"discarded_count\":1}\n"
    );
    drop(node);
    run_on("commit", &data_dir.join("none"), &[]).expect_refusal(exit::UNUSABLE);
}

/// A sender on pipes: the process, its input and its replies.
fn piped(data_dir: &Path) -> (Process, ChildStdin, BufReader<ChildStdout>) {
    let mut send = spawn(on_directory("send", data_dir, &[]).stdin(Stdio::piped()));
    let input = send.stdin.take().expect("it is piped");
    let replies = BufReader::new(send.stdout.take().expect("it is piped"));
    (send, input, replies)
}

/// The node of a supervisor was killed: a sender that it served leaves it time to start again.
#[test]
fn a_sender_does_not_take_the_place_of_a_service_that_was_killed() {
    let (_home, data_dir) = home_and_data_dir();
    let node = serve(&data_dir);
    let (send, mut input, mut replies) = piped(&data_dir);
    let mut ask = |number: u64| {
        let line = event_line(number, &format!("e{number}"), "w") + "\n";
        input.write_all(line.as_bytes()).expect("it reads");
        let mut reply = String::new();
        replies.read_line(&mut reply).expect("it answers");
        assert!(reply.contains("processed"), "{reply}");
    };
    ask(1);
    // Longer than the time that a sender leaves to another sender.
    thread::sleep(Duration::from_millis(1500));
    for number in 2..4 {
        ask(number);
    }
    node.signal(Signal::KILL);
    node.wait();
    thread::sleep(Duration::from_secs(3));
    let node = serve(&data_dir);
    for number in 4..6 {
        ask(number);
    }
    drop(input);
    finish(send).expect_status(exit::SUCCESS);
    drop(node);
    let count = run_on("get", &data_dir, &["--word", "w"]).expect_record();
    assert_eq!(count["count"], 5);
}

#[test]
fn a_directory_that_becomes_a_new_state_is_told_unless_it_is_to_be_quiet() {
    let (_home, data_dir) = home_and_data_dir();
    let send = |arguments: &[&str]| {
        let sent = run(
            &mut on_directory("send", &data_dir, arguments),
            input_of([event_line(1, "e1", "w")]),
        );
        sent.expect_status(exit::SUCCESS).stderr
    };
    let told = format!("exactly-once: {} is a new state\n", data_dir.display());
    assert_eq!(send(&[]), told);
    assert_eq!(send(&[]), "");
    fs::remove_dir_all(&data_dir).expect("it is there");
    assert_eq!(send(&["-q"]), "");
}

/// The storage of its own node fails: the file may not grow further.
#[test]
fn a_storage_that_fails_ends_it_with_one_line_though_the_node_is_this_process() {
    let (home, data_dir) = home_and_data_dir();
    let word = "w".repeat(1000);
    let lines = (0..3000).map(|n| event_line(n, &format!("e{n}"), &format!("{word}{n}")));
    let path = home.path().join("lines");
    fs::write(&path, input_of(lines)).expect("there is room");
    let mut send = shell("ulimit -f 200; exec \"$0\" send -q --data-dir \"$1\" \"$2\"");
    let finished = run(send.arg(&data_dir).arg(&path), "").expect_status(exit::STORAGE);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    let answered = finished.complete_lines().len() as u64;
    assert!(verified(&data_dir)["events"].as_u64() >= Some(answered));
}

/// The storage of a node that is a sender without further input fails, and so the sender ends.
#[test]
fn a_sender_whose_own_storage_fails_ends_though_its_input_does_not() {
    let (_home, data_dir) = home_and_data_dir();
    let mut send = shell("ulimit -f 2000; exec \"$0\" send -q --data-dir \"$1\"");
    let mut send = spawn(send.arg(&data_dir).stdin(Stdio::piped()));
    let input = send.stdin.take().expect("it is piped");
    let mut client = SocketClient::connect(&data_dir);
    let word = "w".repeat(1000);
    let lines = (0..20_000).map(|n| event_line(n, &format!("e{n}"), &format!("{word}{n}")));
    // The node ends before it has read everything.
    client
        .send_raw(input_of(lines).as_bytes())
        .unwrap_or_default();
    let finished = finish(send).expect_status(exit::STORAGE);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    drop(input);
}

/// A query among the lines does not keep the events from being sent again.
#[test]
fn a_query_without_an_answer_is_sent_again_with_the_events_around_it() {
    let (_home, data_dir) = home_and_data_dir();
    let node = serve(&data_dir);
    let (send, mut input, mut replies) = piped(&data_dir);
    let waiting = line("outputs", 2, r#""from":0,"wait_ms":10000"#);
    let lines = [event_line(1, "e1", "w"), waiting, event_line(3, "e3", "w")];
    input
        .write_all(input_of(lines).as_bytes())
        .expect("it reads");
    let mut first = String::new();
    replies.read_line(&mut first).expect("it answers");
    node.signal(Signal::KILL);
    node.wait();
    let node = serve_again(&data_dir);
    drop(input);
    let mut client = SocketClient::connect(&data_dir);
    client.ask(&line("commit", 9, ""));
    let rest: Vec<String> = replies.lines().map(|line| line.expect("text")).collect();
    finish(send).expect_status(exit::SUCCESS);
    assert!(
        rest.iter().any(|line| line.contains(r#""event_id":"e1""#)),
        "{rest:?}"
    );
    assert!(
        rest.last()
            .is_some_and(|last| last.contains(r#""in_reply_to": 3"#)),
        "{rest:?}"
    );
    drop(node);
}
