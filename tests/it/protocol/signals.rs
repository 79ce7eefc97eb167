//! Section 4: a signal ends a run well. All applied requests are answered; a partial line is
//! dropped.

use super::answers_in;
use crate::kit::{Node, accepted, checkpoint, dump, event, event_line, home_and_data_dir, reply};
use crate::oracle::{Oracle, Request};
use rustix::process::Signal;

/// The signals that end a run well.
const ENDING: [Signal; 2] = [Signal::TERM, Signal::INT];
/// Enough requests to keep the node busy while the signal arrives.
const STREAM: usize = 20_000;

#[test]
fn sigterm_and_sigint_end_an_idle_node_well_while_stdin_is_open() {
    for signal in ENDING {
        let (_home, data_dir) = home_and_data_dir();
        let node = Node::start(Some(&data_dir), &[]);
        node.send(&event_line(1, "e1", "a"));
        assert_eq!(node.read_line(), accepted(1, "a", 1));
        node.signal(signal);
        node.wait().expect_all_read();
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
        let (_home, data_dir) = home_and_data_dir();
        let node = Node::start(Some(&data_dir), &[]);
        // A whole request that only lacks its newline is partial too.
        let partial = event_line(2, "e2", "a");
        node.send_raw(format!("{}\n{partial}", event_line(1, "e1", "a")).into_bytes());
        assert_eq!(node.read_line(), accepted(1, "a", 1));
        node.signal(signal);
        node.wait().expect_all_read();
        let oracle = Oracle::after(&[event("e1", "a")]);
        dump::check(&data_dir, &oracle).unwrap_or_else(|reason| panic!("{signal:?}: {reason}"));
    }
}

#[test]
fn on_a_signal_in_a_busy_stream_exactly_what_was_answered_has_been_applied() {
    for (signal, seen) in ENDING
        .into_iter()
        .flat_map(|signal| [(signal, 1), (signal, 150)])
    {
        let (_home, data_dir) = home_and_data_dir();
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
            ended.stdout.is_empty() || ended.stdout.ends_with('\n'),
            "a partial reply"
        );
        lines.extend(ended.complete_lines());
        let mut oracle = Oracle::new();
        for ((line, request), msg_id) in lines.iter().zip(&requests).zip(0..) {
            let expected = oracle.apply(request);
            reply::assert_is(line, &expected, msg_id);
        }
        dump::check(&data_dir, &oracle).unwrap_or_else(|reason| panic!("{signal:?}: {reason}"));
    }
}

fn busy_request(number: usize) -> Request {
    match number % 40 {
        39 => Request::Commit,
        19 => checkpoint("c0"),
        _ => event(format!("e{number}"), format!("w{}", number % 10)),
    }
}
