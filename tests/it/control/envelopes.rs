//! Each client has its own envelope.

use crate::kit::{
    Node, SocketClient, accepted, event_line, home_and_data_dir, line, node_and_client,
};

/// The members of an `init` request besides its number.
const NAMES: &str = r#""node_id":"n1","node_ids":["n1"]"#;

/// A reply from `n1` to `client`; its own number is `msg_id`.
fn wrapped(kind: &str, in_reply_to: u64, msg_id: u64, members: &str) -> String {
    let start = format!(r#""type": "{kind}", "in_reply_to": {in_reply_to}, "msg_id": {msg_id}"#);
    format!(r#"{{"src": "n1", "dest": "client", "body": {{{start}{members}}}}}"#)
}

#[test]
fn an_init_wraps_the_replies_of_its_client_alone_and_the_lines_of_an_answer_share_a_number() {
    let (_home, data_dir) = home_and_data_dir();
    let node = Node::start(Some(&data_dir), &[]);
    let [mut wrapping, mut other] = [(); 2].map(|()| SocketClient::connect(&data_dir));
    let lines = [
        line("init", 1, NAMES),
        event_line(2, "e1", "a"),
        line("counts", 3, ""),
        event_line(4, "e2", "b"),
        line("counts", 5, ""),
        event_line(6, "e1", "a"),
    ];
    let expected = [
        wrapped("init_ok", 1, 0, ""),
        wrapped(
            "processed",
            2,
            1,
            r#", "word": "a", "count": 1, "was_duplicate": false"#,
        ),
        wrapped(
            "record",
            3,
            2,
            r#", "record": {"type":"count","word":"a","count":1}"#,
        ),
        wrapped("end", 3, 2, r#", "records": 1"#),
        wrapped(
            "processed",
            4,
            3,
            r#", "word": "b", "count": 1, "was_duplicate": false"#,
        ),
        wrapped(
            "record",
            5,
            4,
            r#", "record": {"type":"count","word":"a","count":1}"#,
        ),
        wrapped(
            "record",
            5,
            4,
            r#", "record": {"type":"count","word":"b","count":1}"#,
        ),
        wrapped("end", 5, 4, r#", "records": 2"#),
        wrapped(
            "processed",
            6,
            5,
            r#", "word": "a", "count": 1, "was_duplicate": true"#,
        ),
    ];
    wrapping
        .send_raw((lines.join("\n") + "\n").as_bytes())
        .expect("the node reads");
    for expected in expected {
        assert_eq!(wrapping.read_line(), expected);
    }
    assert_eq!(other.ask(&event_line(1, "e3", "c")), accepted(1, "c", 1));
    node.send(&event_line(1, "e4", "c"));
    assert_eq!(node.read_line(), accepted(1, "c", 2));
    // A later client's replies are not wrapped either.
    let mut later = SocketClient::connect(&data_dir);
    assert_eq!(later.ask(&event_line(7, "e5", "c")), accepted(7, "c", 3));
    node.finish().expect_all_read();
}

#[test]
fn an_init_on_standard_input_wraps_no_reply_of_a_client() {
    let (_home, _, node, mut client) = node_and_client();
    node.send(&line("init", 1, NAMES));
    assert_eq!(node.read_line(), wrapped("init_ok", 1, 0, ""));
    assert_eq!(client.ask(&event_line(1, "e1", "a")), accepted(1, "a", 1));
    node.finish().expect_all_read();
}
