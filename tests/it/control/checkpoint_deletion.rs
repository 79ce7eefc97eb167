//! Deletion of checkpoints by request, which only clients of the control socket may send.

use crate::kit::{
    ErrorReply, Node, SocketClient, event_line, line, node_and_client, record_in, restored,
    verified,
};
use serde_json::Value;

/// A timeline of more than 64 ranges is not stored with its checkpoint, but separately.
const PIECES: u64 = 70;

fn named(kind: &str, msg_id: u64, name: &str) -> String {
    line(kind, msg_id, &format!(r#""checkpoint_id":"{name}""#))
}

fn names(client: &mut SocketClient) -> Vec<String> {
    let records = client.records(&line("list_checkpoints", 0, ""));
    let name = |record: &String| {
        let record: Value = record_in(record);
        record["name"].as_str().expect("it has a name").to_owned()
    };
    records.iter().map(name).collect()
}

fn expect_unknown(reply: &str, msg_id: u64) {
    let error = ErrorReply::of(reply);
    assert_eq!(
        (error.code, error.in_reply_to),
        (20, Some(msg_id)),
        "{reply}"
    );
}

fn deleted(msg_id: u64, name: &str) -> String {
    let start = format!(r#""type": "checkpoint_deleted", "in_reply_to": {msg_id}"#);
    format!(r#"{{{start}, "checkpoint_id": "{name}"}}"#)
}

#[test]
fn a_deleted_checkpoint_is_gone_and_another_and_the_state_stay() {
    let (_home, data_dir, node, mut client) = node_and_client();
    let lines = [
        event_line(1, "e1", "w"),
        named("checkpoint", 2, "a"),
        event_line(3, "e2", "w"),
        named("checkpoint", 4, "b"),
        event_line(5, "e3", "w"),
    ];
    for line in lines {
        client.ask(&line);
    }
    assert_eq!(names(&mut client), ["a", "b"]);
    assert_eq!(
        client.ask(&named("delete_checkpoint", 6, "a")),
        deleted(6, "a")
    );
    assert_eq!(names(&mut client), ["b"]);
    for kind in ["restore", "delete_checkpoint", "show_checkpoint"] {
        expect_unknown(&client.ask(&named(kind, 7, "a")), 7);
    }
    expect_unknown(
        &client.ask(&line("diff_checkpoints", 8, r#""first":"a""#)),
        8,
    );
    // Standard input cannot restore it either.
    node.send(&named("restore", 9, "a"));
    expect_unknown(&node.read_line(), 9);
    let counts = client.records(&line("counts", 10, ""));
    assert_eq!(counts, [r#"{"type":"count","word":"w","count":3}"#]);
    let reply = client.ask(&named("restore", 11, "b"));
    assert_eq!(reply, restored(11, r#"{"w": 2}"#));
    node.finish().expect_all_read();
    verified(&data_dir);
}

#[test]
fn an_unknown_checkpoint_cannot_be_deleted_and_its_name_is_still_free() {
    let (_home, data_dir, node, mut client) = node_and_client();
    expect_unknown(&client.ask(&named("delete_checkpoint", 1, "a")), 1);
    assert_eq!(names(&mut client), [""; 0]);
    // The same holds for requests that follow each other in one group.
    let lines = [
        named("checkpoint", 2, "a"),
        named("delete_checkpoint", 3, "a"),
        named("delete_checkpoint", 4, "a"),
        named("checkpoint", 5, "a"),
    ];
    let input = lines.map(|line| line + "\n").concat();
    client.send_raw(input.as_bytes()).expect("the node reads");
    let saved = |msg_id| {
        let start = format!(r#""type": "checkpoint_saved", "in_reply_to": {msg_id}"#);
        format!(r#"{{{start}, "checkpoint_id": "a"}}"#)
    };
    assert_eq!(client.read_line(), saved(2));
    assert_eq!(client.read_line(), deleted(3, "a"));
    expect_unknown(&client.read_line(), 4);
    assert_eq!(client.read_line(), saved(5));
    assert_eq!(names(&mut client), ["a"]);
    node.finish().expect_all_read();
    verified(&data_dir);
}

#[test]
fn a_deleted_checkpoint_stays_deleted_after_a_kill_and_a_clean_end_and_can_be_saved_anew() {
    for is_kill in [true, false] {
        let (_home, data_dir, node, mut client) = node_and_client();
        // Events that stay alternate with events that are taken back, so the timeline has many
        // ranges.
        let lines = (0..PIECES).flat_map(|number| {
            let event = |kind| event_line(0, &format!("{kind}{number}"), "w");
            let (stays, goes) = (event("stays"), event("goes"));
            [stays, line("commit", 0, ""), goes, line("rollback", 0, "")]
        });
        let input: String = lines.map(|line| line + "\n").collect();
        client.send_raw(input.as_bytes()).expect("the node reads");
        for _ in 0..4 * PIECES {
            client.read_line();
        }
        for name in ["a", "b"] {
            client.ask(&named("checkpoint", 1, name));
        }
        assert_eq!(
            client.ask(&named("delete_checkpoint", 2, "a")),
            deleted(2, "a")
        );
        if is_kill {
            node.kill();
        } else {
            node.finish().expect_all_read();
        }

        verified(&data_dir);
        let node = Node::start(Some(&data_dir), &[]);
        let mut client = SocketClient::connect(&data_dir);
        assert_eq!(names(&mut client), ["b"]);
        expect_unknown(&client.ask(&named("restore", 3, "a")), 3);
        client.ask(&event_line(4, "another", "x"));
        client.ask(&named("checkpoint", 5, "a"));
        assert_eq!(
            client.ask(&named("restore", 6, "b")),
            restored(6, &format!(r#"{{"w": {PIECES}}}"#))
        );
        assert_eq!(
            client.ask(&named("restore", 7, "a")),
            restored(7, &format!(r#"{{"w": {PIECES}, "x": 1}}"#))
        );
        node.finish().expect_all_read();
        verified(&data_dir);
    }
}
