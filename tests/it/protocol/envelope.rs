//! Section 1: after an `init` the node replies as the clients of Maelstrom expect.

use super::{answers, answers_in, with_body};
use crate::kit::{ErrorReply, accepted, event_line, home_and_data_dir, input_of};

fn init(msg_id: u64, node_id: &str) -> String {
    with_body(&format!(
        r#"{{"type":"init","msg_id":{msg_id},"node_id":"{node_id}","node_ids":["{node_id}"]}}"#
    ))
}

/// A wrapped reply line; `body` lacks its braces and its first key.
fn wrapped(src: &str, dest: &str, body: &str) -> String {
    format!(r#"{{"src": "{src}", "dest": "{dest}", "body": {{"type": {body}}}}}"#)
}

/// A commit whose `src` is this JSON value.
fn commit_from(src: &str, msg_id: u64) -> String {
    format!(r#"{{"src":{src},"dest":"n1","body":{{"type":"commit","msg_id":{msg_id}}}}}"#)
}

#[test]
fn replies_are_wrapped_from_init_ok_on() {
    let lines = [
        event_line(1, "e1", "a"),
        init(2, "n1"),
        commit_from(r#""c7""#, 3),
    ];
    let expected = [
        accepted(1, "a", 1),
        wrapped("n1", "c1", r#""init_ok", "in_reply_to": 2, "msg_id": 0"#),
        wrapped(
            "n1",
            "c7",
            r#""committed", "in_reply_to": 3, "msg_id": 1, "output_count": 1"#,
        ),
    ];
    assert_eq!(answers(&lines), expected);
}

#[test]
fn every_kind_of_wrapped_reply_has_the_nodes_msg_id_after_in_reply_to() {
    let lines = [
        init(1, "n1"),
        event_line(2, "e1", "a"),
        event_line(3, "e1", "b"),
        with_body(r#"{"type":"checkpoint","msg_id":4,"checkpoint_id":"c"}"#),
        with_body(r#"{"type":"restore","msg_id":5,"checkpoint_id":"c"}"#),
        with_body(r#"{"type":"rollback","msg_id":6}"#),
        with_body(r#"{"type":"commit","msg_id":7}"#),
    ];
    let accepted = r#""word": "a", "count": 1, "was_duplicate": false"#;
    let conflict = r#""word": "b", "count": 0, "was_duplicate": true, "original_word": "a""#;
    let bodies = [
        r#""init_ok", "in_reply_to": 1, "msg_id": 0"#,
        &format!(r#""processed", "in_reply_to": 2, "msg_id": 1, {accepted}"#),
        &format!(r#""processed", "in_reply_to": 3, "msg_id": 2, {conflict}"#),
        r#""checkpoint_saved", "in_reply_to": 4, "msg_id": 3, "checkpoint_id": "c""#,
        r#""restored", "in_reply_to": 5, "msg_id": 4, "counts": {"a": 1}"#,
        r#""rolled_back", "in_reply_to": 6, "msg_id": 5, "discarded_count": 1"#,
        r#""committed", "in_reply_to": 7, "msg_id": 6, "output_count": 0"#,
    ];
    let replies = answers(&lines);
    assert_eq!(replies.len(), bodies.len());
    for ((reply, body), line) in replies.iter().zip(bodies).zip(&lines) {
        let src = if line.contains(r#""src":"client""#) {
            "client"
        } else {
            "c1"
        };
        assert_eq!(*reply, wrapped("n1", src, body));
    }
}

#[test]
fn an_error_is_wrapped_with_the_nodes_msg_id_after_in_reply_to_or_after_type() {
    let lines = [
        init(1, "n1"),
        with_body(r#"{"type":"restore","msg_id":2,"checkpoint_id":"c"}"#),
        with_body(r#"{"type":"restore","checkpoint_id":"c"}"#),
        with_body(r#"{"type":"nonsense","msg_id":4}"#),
        with_body(r#"{"type":"process","msg_id":5}"#),
    ];
    let starts = [
        r#"{"type": "error", "in_reply_to": 2, "msg_id": 1, "code": 20, "text": ""#,
        r#"{"type": "error", "msg_id": 2, "code": 20, "text": ""#,
        r#"{"type": "error", "in_reply_to": 4, "msg_id": 3, "code": 10, "text": ""#,
        r#"{"type": "error", "in_reply_to": 5, "msg_id": 4, "code": 12, "text": ""#,
    ];
    let replies = answers(&lines);
    assert_eq!(replies.len(), 1 + starts.len());
    for (reply, start) in replies[1..].iter().zip(starts) {
        let start = format!(r#"{{"src": "n1", "dest": "c1", "body": {start}"#);
        assert!(
            reply.starts_with(&start) && reply.ends_with(r#""}}"#),
            "{reply}"
        );
    }
}

#[test]
fn dest_is_null_when_src_cannot_be_read() {
    let lines = [
        init(1, "n1"),
        "nonsense".to_owned(),
        commit_from("5", 2),
        commit_from("null", 3),
        r#"{"dest":"n1","body":{"type":"commit","msg_id":4}}"#.to_owned(),
    ];
    let replies = answers(&lines);
    assert_eq!(replies.len(), lines.len(), "{replies:?}");
    for reply in &replies[1..] {
        assert!(
            reply.starts_with(r#"{"src": "n1", "dest": null, "body": {"type": ""#),
            "{reply}"
        );
    }
    assert!(replies[1].contains(r#"{"type": "error", "msg_id": 1, "code": 12, "text""#));
}

#[test]
fn dest_is_the_src_of_a_bad_line_whose_src_can_be_read() {
    let lines = [init(1, "n1"), r#"{"src":"c9","dest":"n1"}"#.to_owned()];
    let replies = answers(&lines);
    assert!(
        replies[1].starts_with(r#"{"src": "n1", "dest": "c9", "body": "#),
        "{}",
        replies[1]
    );
}

#[test]
fn node_ids_and_sources_are_escaped_as_python_escapes_them() {
    let lines = [
        init(1, r"n\u000b\/é"),
        commit_from(r#""\u0008\"\\\ud83d\ude00\u007f""#, 2),
    ];
    let replies = answers(&lines);
    let expected = concat!(
        r#"{"src": "n\u000b/é", "dest": "\b\"\\😀"#,
        "\u{7f}",
        r#"", "body": {"type": "committed", "in_reply_to": 2, "msg_id": 1, "output_count": 0}}"#
    );
    assert_eq!(replies[1], expected);
}

#[test]
fn a_second_init_replaces_the_node_id_and_goes_on_numbering() {
    let replies = answers(&[init(1, "n1"), init(2, "n2"), commit_from(r#""c1""#, 3)]);
    let expected = [
        wrapped("n1", "c1", r#""init_ok", "in_reply_to": 1, "msg_id": 0"#),
        wrapped("n2", "c1", r#""init_ok", "in_reply_to": 2, "msg_id": 1"#),
        wrapped(
            "n2",
            "c1",
            r#""committed", "in_reply_to": 3, "msg_id": 2, "output_count": 0"#,
        ),
    ];
    assert_eq!(replies, expected);
}

#[test]
fn an_init_without_msg_id_wraps_the_replies_that_follow() {
    let silent = with_body(r#"{"type":"init","node_id":"n1","node_ids":["n1","n2"]}"#);
    let expected = wrapped(
        "n1",
        "c1",
        r#""committed", "in_reply_to": 1, "msg_id": 0, "output_count": 0"#,
    );
    assert_eq!(answers(&[silent, commit_from(r#""c1""#, 1)]), [expected]);
}

#[test]
fn an_init_that_fails_wraps_nothing_and_replaces_nothing() {
    let bad = with_body(r#"{"type":"init","msg_id":1,"node_id":7,"node_ids":[]}"#);
    let replies = answers(&[bad.clone(), event_line(2, "e1", "a")]);
    assert_eq!(
        (ErrorReply::of(&replies[0]).code, &replies[1]),
        (12, &accepted(2, "a", 1))
    );
    let replies = answers(&[init(1, "n1"), bad, commit_from(r#""c1""#, 3)]);
    assert!(
        replies[1].contains(r#""in_reply_to": 1, "msg_id": 1, "code": 12"#),
        "{}",
        replies[1]
    );
    assert!(
        replies[2].starts_with(r#"{"src": "n1", "dest": "c1", "#),
        "{}",
        replies[2]
    );
}

#[test]
fn a_new_process_replies_plainly_until_its_own_init_and_numbers_from_zero() {
    let (_home, data_dir) = home_and_data_dir();
    answers_in(
        &data_dir,
        input_of(&[init(1, "n1"), event_line(2, "e1", "a")]).as_bytes(),
    );
    let lines = [
        commit_from(r#""c1""#, 1),
        init(2, "n5"),
        event_line(3, "e2", "a"),
    ];
    let last = r#""word": "a", "count": 2, "was_duplicate": false"#;
    let expected = [
        r#"{"type": "committed", "in_reply_to": 1, "output_count": 1}"#.to_owned(),
        wrapped("n5", "c1", r#""init_ok", "in_reply_to": 2, "msg_id": 0"#),
        wrapped(
            "n5",
            "client",
            &format!(r#""processed", "in_reply_to": 3, "msg_id": 1, {last}"#),
        ),
    ];
    assert_eq!(answers_in(&data_dir, input_of(&lines).as_bytes()), expected);
}
