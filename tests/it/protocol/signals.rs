//! Section 4, the end of a run by signal: what is finished, what is dropped, what is kept.

use super::{accepted, answers_in, oracle_after, process, process_request};
use crate::client::{Node, dump, reply, scratch_dir};
use crate::oracle::{Oracle, Request};
use rustix::process::Signal;

/// The signals that end a run well.
const ENDING: [Signal; 2] = [Signal::TERM, Signal::INT];
/// Enough to keep the node busy while the signal arrives.
const STREAM: usize = 20_000;

#[test]
fn sigterm_and_sigint_end_an_idle_node_well_while_stdin_is_open() {
    for signal in ENDING {
        let dir = scratch_dir();
        let data_dir = dir.path().join("data");
        let node = Node::start(Some(&data_dir), &[]);
        node.send(&process(1, "e1", "a"));
        assert_eq!(node.read_line(), accepted(1, "a", 1));
        node.signal(signal);
        node.wait().expect_quiet_success();
        let commit = Request::Commit.line(2) + "\n";
        let expected = r#"{"type": "committed", "in_reply_to": 2, "output_count": 1}"#;
        assert_eq!(
            answers_in(&data_dir, commit.as_bytes()),
            [expected],
            "{signal:?}"
        );
    }
}

#[test]
fn on_a_signal_a_partial_line_is_dropped() {
    for signal in ENDING {
        let dir = scratch_dir();
        let data_dir = dir.path().join("data");
        let node = Node::start(Some(&data_dir), &[]);
        // A whole request that only lacks its newline is partial too.
        let partial = process(2, "e2", "a");
        node.send_raw(format!("{}\n{partial}", process(1, "e1", "a")).into_bytes());
        assert_eq!(node.read_line(), accepted(1, "a", 1));
        node.signal(signal);
        node.wait().expect_quiet_success();
        let oracle = oracle_after(&[process_request("e1", "a")]);
        dump::check(&data_dir, &oracle).unwrap_or_else(|reason| panic!("{signal:?}: {reason}"));
    }
}

#[test]
fn on_a_signal_in_a_busy_stream_exactly_what_was_answered_has_been_applied() {
    for (signal, seen) in ENDING
        .into_iter()
        .flat_map(|signal| [(signal, 1), (signal, 150)])
    {
        let dir = scratch_dir();
        let data_dir = dir.path().join("data");
        let node = Node::start(Some(&data_dir), &[]);
        let requests: Vec<_> = (0..STREAM).map(busy_request).collect();
        (0..)
            .zip(&requests)
            .for_each(|(msg_id, request)| node.send(&request.line(msg_id)));
        let mut lines: Vec<_> = (0..seen).map(|_| node.read_line()).collect();
        node.signal(signal);
        let ended = node.wait();
        assert!(
            ended.status.success(),
            "{signal:?}: {}: {}",
            ended.status,
            ended.stderr
        );
        assert!(
            ended.unread.is_empty() || ended.unread.ends_with(b"\n"),
            "a partial reply"
        );
        lines.extend(ended.unread_lines());
        let mut oracle = Oracle::new();
        for ((line, request), msg_id) in lines.iter().zip(&requests).zip(0..) {
            let expected = oracle.apply(request);
            reply::check(line, &expected, msg_id).unwrap_or_else(|reason| panic!("{reason}"));
        }
        dump::check(&data_dir, &oracle).unwrap_or_else(|reason| panic!("{signal:?}: {reason}"));
    }
}

fn busy_request(number: usize) -> Request {
    match number % 40 {
        39 => Request::Commit,
        19 => Request::Checkpoint {
            id: "c0".to_owned(),
        },
        _ => process_request(&format!("e{number}"), &format!("w{}", number % 10)),
    }
}
