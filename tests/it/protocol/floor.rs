//! Section 5, code 11: what happens when free disk space is below the floor.

use super::{
    Request, accepted, answers_in, error, oracle_after, process, process_request, with_body,
};
use crate::client::{dump, run_with, scratch_dir};

/// More free space than any disk has.
const FLOOR: [&str; 2] = ["--min-free-bytes", "9223372036854775807"];

#[test]
fn below_the_floor_of_free_space_nothing_is_applied_and_a_later_run_works() {
    let dir = scratch_dir();
    let data_dir = dir.path().join("data");
    let before = [
        process_request("e1", "a"),
        Request::Commit,
        process_request("e2", "a"),
        Request::Checkpoint {
            id: "c0".to_owned(),
        },
        process_request("e3", "b"),
    ];
    let mut input: String = before
        .iter()
        .map(|request| request.line(1) + "\n")
        .collect();
    assert_eq!(answers_in(&data_dir, input.as_bytes()).len(), before.len());

    let refused = [
        process_request("e4", "b"),
        Request::Checkpoint {
            id: "c1".to_owned(),
        },
        Request::Commit,
        Request::Rollback,
        Request::Restore {
            id: "c0".to_owned(),
        },
        process_request("e5", "b"),
    ];
    input = (10..)
        .zip(&refused)
        .map(|(msg_id, request)| request.line(msg_id) + "\n")
        .collect();
    let (stdout, stderr, status) = run_with(&data_dir, &FLOOR, input.as_bytes());
    assert!(status.success(), "{status}: {stderr}");
    let stdout = String::from_utf8(stdout).expect("replies are UTF-8");
    let replies: Vec<_> = stdout.lines().map(error).collect();
    assert_eq!(replies.len(), refused.len());
    for (reply, msg_id) in replies.iter().zip(10..) {
        assert_eq!((reply.code, reply.in_reply_to), (11, Some(msg_id)));
        assert!(
            reply.text.contains(FLOOR[1]),
            "the amounts are missing: {}",
            reply.text
        );
    }

    let oracle = oracle_after(&before);
    dump::check(&data_dir, &oracle).unwrap_or_else(|reason| panic!("{reason}"));
    let later = answers_in(&data_dir, format!("{}\n", process(1, "e4", "b")).as_bytes());
    assert_eq!(later, [accepted(1, "b", 2)]);
}

#[test]
fn below_the_floor_bad_lines_are_still_malformed_and_init_still_works() {
    let dir = scratch_dir();
    let lines = [
        "nonsense".to_owned(),
        with_body(r#"{"type":"nonsense","msg_id":1}"#),
        with_body(r#"{"type":"init","msg_id":2,"node_id":"n1","node_ids":["n1"]}"#),
        with_body(r#"{"type":"commit"}"#),
    ];
    let input = super::joined(&lines);
    let (stdout, _, status) = run_with(&dir.path().join("data"), &FLOOR, input.as_bytes());
    assert!(status.success());
    let stdout = String::from_utf8(stdout).expect("replies are UTF-8");
    let replies: Vec<_> = stdout.lines().collect();
    assert_eq!(
        replies.len(),
        4,
        "a request without msg_id that fails has its error"
    );
    assert_eq!((error(replies[0]).code, error(replies[1]).code), (12, 10));
    let init_ok = r#"{"type": "init_ok", "in_reply_to": 2, "msg_id": 0}"#;
    let wrapped = format!(r#"{{"src": "n1", "dest": "c1", "body": {init_ok}}}"#);
    assert_eq!(replies[2], wrapped);
    assert!(replies[3].contains(r#"{"type": "error", "msg_id": 1, "code": 11, "text": ""#));
}
