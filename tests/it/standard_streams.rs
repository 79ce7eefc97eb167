//! No reply is lost if the log is not read, or if standard input or output is non-blocking.

use crate::kit::{
    Dump, Node, Process, binary, event_line, exit, finish, home_and_data_dir, on_directory, run,
    run_on, scratch_dir, set_waiting, spawn,
};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

fn process(msg_id: u64, event_id: &str, word: &str) -> String {
    event_line(msg_id, event_id, word) + "\n"
}

/// One accepted event, then this many conflicts with it, each of which is logged.
fn conflicts(count: u64) -> String {
    let first = process(0, "e1", "word");
    (1..=count).fold(first, |lines, n| lines + &process(n, "e1", "another"))
}

#[test]
fn a_log_that_cannot_be_written_holds_up_no_reply() {
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let mut command = binary();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(full);
    let mut node = Process::start(&mut command);
    let mut stdin = node.stdin.take().expect("it is piped");
    let mut replies = BufReader::new(node.stdout.take().expect("it is piped")).lines();
    // One line at a time, so that each reply has to come while the input is still open.
    for line in conflicts(3).lines() {
        writeln!(stdin, "{line}").expect("the node reads");
        let reply = replies
            .next()
            .expect("there is a reply")
            .expect("it is text");
        assert!(reply.contains("processed"), "{reply}");
    }
    drop(stdin);
    assert!(node.ended().success());
}

#[test]
fn a_log_without_a_reader_holds_up_no_reply() {
    // Far more log lines than fit in a pipe.
    const CONFLICTS: u64 = 5_000;
    let mut node = spawn(binary().stdin(Stdio::piped()));
    let mut stdin = node.stdin.take().expect("it is piped");
    thread::spawn(move || stdin.write_all(conflicts(CONFLICTS).as_bytes()));
    let replies = BufReader::new(node.stdout.take().expect("it is piped")).lines();
    assert_eq!(replies.count() as u64, CONFLICTS + 1);
    finish(node).expect_status(exit::SUCCESS);
}

#[test]
fn a_process_that_fails_ends_though_its_message_is_not_read() {
    let home = scratch_dir();
    let (reader, mut writer) = std::io::pipe().expect("there is a pipe");
    set_waiting(&writer, false);
    while writer.write(&[b'x'; 4096]).is_ok() {}
    set_waiting(&writer, true);
    fs::write(home.path().join("foreign"), "mine").expect("it can be written");
    let mut command = binary();
    command
        .args(["run", "--data-dir"])
        .arg(home.path())
        .stderr(writer)
        .stdin(Stdio::null());
    let mut node = Process::start(&mut command);
    assert_eq!(node.ended().code(), Some(exit::UNUSABLE));
    drop(reader);
}

#[test]
fn an_output_that_does_not_wait_for_its_reader_loses_no_reply() {
    const EVENTS: u64 = 5_000;
    let (mut reader, writer) = std::io::pipe().expect("there is a pipe");
    set_waiting(&writer, false);
    let mut command = binary();
    command
        .stdin(Stdio::piped())
        .stdout(writer)
        .stderr(Stdio::piped());
    let mut node = Process::start(&mut command);
    // The command still has the writing end of the pipe open.
    drop(command);
    let mut stdin = node.stdin.take().expect("it is piped");
    let input: String = (0..EVENTS)
        .map(|n| process(n, &format!("e{n}"), "word"))
        .collect();
    thread::spawn(move || stdin.write_all(input.as_bytes()));
    // The node has met a full pipe by then, or will meet one while this reads.
    thread::sleep(Duration::from_millis(100));
    let mut replies = String::new();
    reader
        .read_to_string(&mut replies)
        .expect("replies are text");
    assert_eq!(replies.lines().count() as u64, EVENTS);
    finish(node).expect_status(exit::SUCCESS);
}

#[test]
fn an_input_that_does_not_wait_for_its_writer_is_read_to_its_end() {
    let home = scratch_dir();
    let state = home.path().join("state");
    let input = process(1, "e1", "word");
    run(&mut on_directory("run", &state, &[]), &input).expect_quiet_success();
    let dump = run_on("dump", &state, &[]).expect_quiet_success();
    let text = &["--print", "--input-format", "words", "--source", "s"][..];
    for (name, arguments, input) in [
        ("run", &[][..], input.clone()),
        ("send", &[], input),
        ("load", &[], dump),
        ("import", text, "a text".to_owned()),
    ] {
        let (reader, mut writer) = std::io::pipe().expect("there is a pipe");
        set_waiting(&reader, false);
        let mut command = binary();
        command
            .arg(name)
            .args(arguments)
            .arg("--quiet")
            .env("EXACTLY_ONCE_DATA_DIR", home.path().join(name));
        let command = command.stdin(reader).stdout(Stdio::piped());
        let child = Process::start(command.stderr(Stdio::piped()));
        // The command meets the empty pipe. If it is slower, this proves nothing.
        thread::sleep(Duration::from_millis(100));
        writer.write_all(input.as_bytes()).expect("it is read");
        drop(writer);
        let said = finish(child).expect_quiet_success();
        assert!(!said.is_empty(), "{name}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_process_without_a_word_and_loses_nothing() {
    // Far more replies than fit in a pipe, and then the end of the input.
    const EVENTS: u64 = 5_000;
    let (_home, data_dir) = home_and_data_dir();
    let node = Node::start_reading(Some(&data_dir), &[], 1);
    let events = (0..EVENTS).map(|n| process(n, &format!("e{n}"), "word"));
    node.send_raw(events.collect::<String>().into_bytes());
    assert!(node.read_line().contains(r#""count": 1"#));
    let ended = node.finish();
    assert_eq!(
        ended.status.code(),
        Some(exit::INPUT_OR_OUTPUT),
        "the reader of the replies is gone"
    );
    assert_eq!(ended.stderr, "");
    let dump = Dump::read(&data_dir).expect("the directory is sound");
    let ids = dump.pending.iter().map(|output| &*output.event_id);
    let expected = (0..dump.pending.len()).map(|n| format!("e{n}"));
    assert!(!dump.pending.is_empty() && ids.eq(expected));
}

#[test]
fn a_disk_without_room_for_requests_gets_no_snapshot_at_the_end_either() {
    let home = scratch_dir();
    let state = home.path().join("state");
    let with = |options: &[&str], input: &str| {
        run(&mut on_directory("run", &state, options), input).expect_success()
    };
    let events: String = (0..2_000)
        .map(|n| process(n, &format!("e{n}"), &format!("{n:0>900}")))
        .collect();
    with(&[], &events);
    let size = || state.join("db").metadata().expect("it is there").len();
    // The first open pads sled's log to the end of a segment. That is not a snapshot.
    with(&["--min-free-bytes", "9223372036854775807"], "");
    let before = size();
    let floor = [
        "--min-free-bytes",
        "9223372036854775807",
        "--snapshot-every",
        "1",
    ];
    let replies = with(&floor, &process(1, "new", "word"));
    assert!(replies.contains(r#""code": 11"#), "{replies}");
    // The snapshot would take 1.8 MB.
    assert!(size() < before + 500_000, "from {before} to {}", size());
}
