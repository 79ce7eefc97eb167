//! Section 5, code 11: requests are refused while free disk space is below the floor.

use super::{answers_in, with_body};
use crate::kit::{
    ErrorReply, accepted, checkpoint, dump, event, event_line, home_and_data_dir, input_of,
    numbered_input, restore, run_node, scratch_dir,
};
use crate::oracle::{Oracle, Request};

/// More free space than any disk has.
const FLOOR: [&str; 2] = ["--min-free-bytes", "9223372036854775807"];

#[test]
fn below_the_floor_of_free_space_nothing_is_applied_and_a_later_run_works() {
    let (_home, data_dir) = home_and_data_dir();
    let before = [
        event("e1", "a"),
        Request::Commit,
        event("e2", "a"),
        checkpoint("c0"),
        event("e3", "b"),
    ];
    let input = numbered_input(1, &before);
    assert_eq!(answers_in(&data_dir, input.as_bytes()).len(), before.len());

    let refused = [
        event("e4", "b"),
        checkpoint("c1"),
        Request::Commit,
        Request::Rollback,
        restore("c0"),
        event("e5", "b"),
    ];
    let input = numbered_input(10, &refused);
    let stdout = run_node(&data_dir, &FLOOR, input).expect_success();
    let replies: Vec<_> = stdout.lines().map(ErrorReply::of).collect();
    assert_eq!(replies.len(), refused.len());
    for (reply, msg_id) in replies.iter().zip(10..) {
        assert_eq!((reply.code, reply.in_reply_to), (11, Some(msg_id)));
        assert!(
            reply.text.contains(FLOOR[1]),
            "the amounts are missing: {}",
            reply.text
        );
    }

    let oracle = Oracle::after(&before);
    dump::assert_is(&data_dir, &oracle);
    let later = answers_in(
        &data_dir,
        format!("{}\n", event_line(1, "e4", "b")).as_bytes(),
    );
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
    let input = input_of(&lines);
    let stdout = run_node(&dir.path().join("data"), &FLOOR, input).expect_success();
    let replies: Vec<_> = stdout.lines().collect();
    assert_eq!(
        replies.len(),
        4,
        "a request without msg_id that fails gets an error"
    );
    assert_eq!(
        (
            ErrorReply::of(replies[0]).code,
            ErrorReply::of(replies[1]).code
        ),
        (12, 10)
    );
    let init_ok = r#"{"type": "init_ok", "in_reply_to": 2, "msg_id": 0}"#;
    let wrapped = format!(r#"{{"src": "n1", "dest": "c1", "body": {init_ok}}}"#);
    assert_eq!(replies[2], wrapped);
    assert!(replies[3].contains(r#"{"type": "error", "msg_id": 1, "code": 11, "text": ""#));
}
