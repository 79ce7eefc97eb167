//! Section 4: all ends of a run except by a signal, and what `dump` shows afterwards.

use super::answers_in;
use crate::kit::{
    Node, PATIENCE, accepted, checkpoint, dump, duplicate, event, event_line, exit,
    home_and_data_dir, input_of, numbered_lines, record_in, restore, run_node, scratch_dir,
};
use crate::oracle::{Oracle, Request};

#[test]
fn at_end_of_input_pending_outputs_stay_pending_for_a_later_run_to_commit() {
    let (_home, data_dir) = home_and_data_dir();
    let lines = [event_line(1, "e1", "a"), event_line(2, "e2", "a")];
    answers_in(&data_dir, input_of(&lines).as_bytes());
    answers_in(&data_dir, b"");
    let commit = Request::Commit.line(3) + "\n" + &Request::Commit.line(4) + "\n";
    let expected = [2, 0].map(|count| {
        let msg_id = if count == 2 { 3 } else { 4 };
        format!(r#"{{"type": "committed", "in_reply_to": {msg_id}, "output_count": {count}}}"#)
    });
    assert_eq!(answers_in(&data_dir, commit.as_bytes()), expected);
}

#[test]
fn what_was_answered_survives_sigkill() {
    let (_home, data_dir) = home_and_data_dir();
    for round in 0..5 {
        let node = Node::start(Some(&data_dir), &[]);
        for earlier in 0..round {
            node.send(&event_line(1, &format!("e{earlier}"), "a"));
            assert_eq!(node.read_line(), duplicate(1, "a", round));
        }
        node.send(&event_line(2, &format!("e{round}"), "a"));
        assert_eq!(node.read_line(), accepted(2, "a", round + 1));
        let ended = node.kill();
        assert!(!ended.status.success() && ended.stdout.is_empty());
    }
}

#[test]
fn what_was_answered_without_a_reply_being_due_survives_with_what_follows_it() {
    let (_home, data_dir) = home_and_data_dir();
    let node = Node::start(Some(&data_dir), &[]);
    node.send(r#"{"src":"c","dest":"n","body":{"type":"process","event_id":"e1","word":"a"}}"#);
    node.send(&event_line(1, "e2", "a"));
    assert_eq!(node.read_line(), accepted(1, "a", 2));
    node.kill();
    let lines = [event_line(1, "e1", "a"), event_line(2, "e2", "a")];
    let expected = [duplicate(1, "a", 2), duplicate(2, "a", 2)];
    assert_eq!(answers_in(&data_dir, input_of(&lines).as_bytes()), expected);
}

#[test]
fn when_stdout_is_closed_the_process_ends_quietly_with_failure_and_keeps_what_it_applied() {
    const REQUESTS: usize = 500;
    let requests: Vec<_> = (0..REQUESTS).map(|n| event(format!("e{n}"), "a")).collect();
    let lines = numbered_lines(0, &requests);
    let dir = scratch_dir();
    let usual = run_node(&dir.path().join("whole"), &[], input_of(&lines));
    let usual = usual.expect_status(exit::SUCCESS);

    let data_dir = dir.path().join("data");
    let node = Node::start_reading(Some(&data_dir), &[], 1);
    node.send(&lines[0]);
    assert_eq!(node.read_line(), accepted(0, "a", 1));
    let closed = node.read_line_within(PATIENCE);
    assert!(closed.is_err(), "the reading end is closed now");
    lines[1..].iter().for_each(|line| node.send(line));
    // Stdin stays open, so the process has to notice by itself.
    let ended = node.wait();
    assert!(
        ended.status.code().is_some_and(|code| code != 0),
        "{}",
        ended.status
    );
    let stderr = ended.stderr;
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(
        stderr.lines().count() <= usual.stderr.lines().count(),
        "not quiet: {stderr}"
    );

    let found = dump::Dump::of(&data_dir);
    let applied = found.pending.len();
    assert!(
        (1..=REQUESTS).contains(&applied),
        "the first was answered: {applied}"
    );
    let mut oracle = Oracle::new();
    requests[..applied].iter().for_each(|request| {
        oracle.apply(request);
    });
    found
        .compare(&oracle)
        .unwrap_or_else(|reason| panic!("{reason}"));
}

#[test]
fn a_dump_of_one_kind_is_that_part_of_the_whole_dump() {
    let (_home, data_dir) = home_and_data_dir();
    let named = |id: &str| checkpoint(id);
    let requests = [
        event("e3", "b"),
        event("e1", "a"),
        Request::Commit,
        named("c1"),
        event("e2", "a"),
        named("c0"),
        event("e4", "Z"),
    ];
    let lines: Vec<_> = requests.iter().map(|request| request.line(1)).collect();
    answers_in(&data_dir, input_of(&lines).as_bytes());
    let read = |only| dump::lines(&data_dir, only).unwrap_or_else(|reason| panic!("{reason}"));
    let whole = read(None);
    for (only, kind, count) in [
        ("outputs", "output", 4),
        ("counts", "count", 3),
        ("checkpoints", "checkpoint", 2),
    ] {
        let is_of_kind = |line: &&String| {
            let value: serde_json::Value = record_in(line);
            value["type"] == kind
        };
        let part: Vec<_> = whole.iter().filter(is_of_kind).cloned().collect();
        assert_eq!(read(Some(only)), part);
        assert_eq!(part.len(), count, "{kind}");
    }
    dump::assert_is(&data_dir, &Oracle::after(&requests));
}

#[test]
fn a_dump_changes_nothing_and_is_the_same_every_time() {
    let (_home, data_dir) = home_and_data_dir();
    let lines = [
        event_line(1, "e1", "a"),
        Request::Commit.line(2),
        event_line(3, "e2", "a"),
    ];
    answers_in(&data_dir, input_of(&lines).as_bytes());
    let first = dump::lines(&data_dir, None).expect("it can be dumped");
    assert_eq!(
        dump::lines(&data_dir, None).expect("it can be dumped again"),
        first
    );
    let after = [event_line(1, "e2", "a"), Request::Rollback.line(2)];
    let rolled_back = r#"{"type": "rolled_back", "in_reply_to": 2, "discarded_count": 1}"#;
    let expected = [duplicate(1, "a", 2), rolled_back.to_owned()];
    assert_eq!(answers_in(&data_dir, input_of(&after).as_bytes()), expected);
}

#[test]
fn the_same_requests_give_the_same_replies_and_the_same_dump_of_outputs_and_counts() {
    let mut lines: Vec<_> = (0..400)
        .map(|n| event_line(n, &format!("e{}", n % 300), &format!("w{}", n % 13)))
        .collect();
    lines.insert(200, Request::Commit.line(1000));
    lines.insert(100, checkpoint("c0").line(1001));
    lines.push(restore("c0").line(1002));
    let run = || {
        let (_home, data_dir) = home_and_data_dir();
        let replies = answers_in(&data_dir, input_of(&lines).as_bytes());
        let outputs = dump::Dump::read(&data_dir).expect("it can be dumped");
        (replies, outputs.log, outputs.pending, outputs.counts)
    };
    assert_eq!(run(), run());
}
