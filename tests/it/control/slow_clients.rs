//! Clients that do not read their replies affect no other client, and get every reply when they go
//! on.

use crate::kit::{
    Dump, Node, Process, SocketClient, accepted, binary, event_line, eventually, exit, finish,
    home_and_data_dir, line, records_of, run_node, spawn,
};
use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Stdio};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn no_client_waits_for_one_that_never_reads() {
    const OTHERS: u64 = 20;
    let (_home, data_dir) = home_and_data_dir();
    let node = Node::start(Some(&data_dir), &[]);
    let mut hog = SocketClient::connect(&data_dir);
    let lines = (0..1_000_000).map(|number| match number % 500 {
        499 => line("dump", number, ""),
        _ => event_line(number, &format!("hog {number}"), "hog"),
    });
    let sent = hog.send_until_stuck(lines);
    let mut other = SocketClient::connect(&data_dir);
    for number in 0..OTHERS {
        let reply = other.ask(&event_line(number, &format!("other {number}"), "other"));
        assert_eq!(reply, accepted(number, "other", number + 1));
        node.send(&event_line(number, &format!("stdin {number}"), "stdin"));
        assert_eq!(node.read_line(), accepted(number, "stdin", number + 1));
    }
    let shown = other.records(&line("get_word", OTHERS, r#""word":"other""#));
    assert_eq!(shown, [format!(r#"{{"word":"other","count":{OTHERS}}}"#)]);
    // The client is still connected, and has not read a byte.
    node.finish().expect_all_read();
    let dump = Dump::of(&data_dir);
    let count = |word: &str| dump.counts.get(word).copied().unwrap_or_default();
    assert_eq!((count("other"), count("stdin")), (OTHERS, OTHERS));
    let hogged = count("hog");
    assert!((1..=sent).contains(&hogged), "{hogged} of {sent}");
    drop(hog);
}

#[test]
fn a_client_that_pauses_for_longer_than_half_a_minute_gets_its_answer_whole() {
    const EVENTS: u64 = 20_000;
    let (_home, data_dir) = home_and_data_dir();
    let node = Node::start(Some(&data_dir), &[]);
    for number in 0..EVENTS {
        node.send(&event_line(number, &format!("e{number}"), "w"));
    }
    for _ in 0..EVENTS {
        node.read_line();
    }
    let mut slow = SocketClient::connect(&data_dir);
    slow.send(&line("dump", 1, ""));
    // Clients are promised that they may pause this long.
    thread::sleep(Duration::from_secs(33));
    let mut other = SocketClient::connect(&data_dir);
    let whole = other.records(&line("dump", 1, ""));
    assert!(whole.len() as u64 > 2 * EVENTS, "outputs and events");
    assert_eq!(records_of(slow.next_answer().expect("it replies")), whole);
    node.finish().expect_all_read();
}

#[test]
fn what_a_client_asks_at_once_is_carried_out_as_it_takes_the_replies_when_these_are_large() {
    const WORDS: u64 = 8_000;
    const RESTORES: u64 = 150;
    /// The most replies of 200 KB each that the socket and the process hold.
    const MAX_WAITING: u64 = 20;
    let (_home, data_dir) = home_and_data_dir();
    let node = Node::start(Some(&data_dir), &[]);
    for number in 0..WORDS {
        node.send(&event_line(
            number,
            &format!("e{number}"),
            &format!("a word, the {number}."),
        ));
    }
    node.send(&line("checkpoint", WORDS, r#""checkpoint_id":"c""#));
    for _ in 0..=WORDS {
        node.read_line();
    }
    let mut other = SocketClient::connect(&data_dir);
    let mut hog = SocketClient::connect(&data_dir);
    let restores: String = restores(RESTORES).collect();
    assert!(
        restores.len() <= 16 << 10,
        "the node reads all of them at once"
    );
    hog.send_raw(restores.as_bytes()).expect("the node reads");
    until_put_off(&mut other);
    let carried_out = moves(&mut other);
    assert!(carried_out < MAX_WAITING, "{carried_out}");
    // Standard input has a place of its own.
    node.send(&event_line(1, "another", "w"));
    assert_eq!(node.read_line(), accepted(1, "w", 1));
    for number in 0..RESTORES {
        let reply = hog.read_line();
        let start = format!(r#"{{"type": "restored", "in_reply_to": {number}, "#);
        assert!(reply.starts_with(&start), "{reply:.100}");
    }
    assert_eq!(moves(&mut other), RESTORES);
    node.finish().expect_all_read();
}

/// The same for standard input.
#[test]
fn large_replies_that_standard_output_does_not_take_put_off_the_requests_after_them_and_no_client()
{
    const RESTORES: u64 = 40;
    const EVENTS: u64 = 10_000;
    let (_home, data_dir) = home_and_data_dir();
    let (node, mut stdin) = node_that_answers_at_length(&data_dir);
    // More events follow than the node reads at once and decodes ahead.
    let events =
        (0..EVENTS).map(|number| event_line(RESTORES + number, &format!("new{number}"), "w"));
    let events = events.map(|line| line + "\n");
    let input: String = restores(RESTORES).chain(events).collect();
    let writing = thread::spawn(move || stdin.write_all(input.as_bytes()).expect("it is read"));
    let mut other = SocketClient::connect(&data_dir);
    until_put_off(&mut other);
    let carried_out = moves(&mut other);
    assert!(carried_out < RESTORES, "{carried_out}");
    // Requests of another client are not put off with them.
    let started = Instant::now();
    for number in 0..20 {
        let reply = other.ask(&event_line(number, &format!("other {number}"), "other"));
        assert!(reply.contains("processed"), "{reply}");
    }
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "it waits for standard output"
    );
    assert_eq!(moves(&mut other), carried_out);
    let ended = finish(node);
    writing.join().expect("it was read");
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count() as u64, RESTORES + EVENTS);
}

/// A review found: the stage that waits for standard output before a large reply missed a failure
/// of the storage.
#[test]
fn a_storage_that_fails_while_standard_output_takes_nothing_ends_the_process() {
    let (_home, data_dir) = home_and_data_dir();
    let (mut node, mut stdin) = node_that_answers_at_length(&data_dir);
    let restores: String = restores(40).collect();
    stdin.write_all(restores.as_bytes()).expect("it is read");
    let mut other = SocketClient::connect(&data_dir);
    until_put_off(&mut other);
    std::fs::remove_file(data_dir.join("db")).expect("it is there");
    other.send(&event_line(1, "new", "w"));
    let failed = Instant::now();
    let ended = node.ended();
    assert!(
        failed.elapsed() < Duration::from_secs(40),
        "it waits for standard output"
    );
    assert_eq!(ended.code(), Some(exit::STORAGE));
    drop(stdin);
}

/// A node, and its standard input. The reply to a restore of its checkpoint `c` has this many words
/// that it fills any pipe. Its standard output is not read.
fn node_that_answers_at_length(data_dir: &Path) -> (Process, ChildStdin) {
    const WORDS: u64 = 60_000;
    let long = "x".repeat(400);
    let words = (0..WORDS).map(|n| event_line(n, &format!("e{n}"), &format!("{n} {long}")));
    let checkpoint = line("checkpoint", WORDS, r#""checkpoint_id":"c""#);
    let input: String = words.chain([checkpoint]).map(|line| line + "\n").collect();
    run_node(data_dir, &[], input).expect_success();
    let mut node = binary();
    node.arg("--data-dir").arg(data_dir);
    let mut node = spawn(node.stdin(Stdio::piped()));
    let stdin = node.stdin.take().expect("it is piped");
    (node, stdin)
}

/// Restores of the checkpoint `c`, one a line.
fn restores(count: u64) -> impl Iterator<Item = String> {
    (0..count).map(|number| line("restore", number, r#""checkpoint_id":"c""#) + "\n")
}

/// Returns the number of restores that were carried out.
fn moves(client: &mut SocketClient) -> u64 {
    client
        .records(&line("dump", 1, r#""only":"switches""#))
        .len() as u64
}

/// Waits until some restores were carried out and no more follow.
fn until_put_off(client: &mut SocketClient) {
    eventually("a restore is put off", || {
        let before = moves(client);
        thread::sleep(Duration::from_millis(500));
        before > 0 && moves(client) == before
    });
}
