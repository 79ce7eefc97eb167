//! Clients that send malformed requests, leave in the middle of a line or are too many. Each gets
//! every reply that it can be sent, and no other client is affected.

use crate::kit::{
    ErrorReply, Node, SocketClient, accepted, event_line, eventually, home_and_data_dir, line,
    node_and_client,
};

/// The most clients that the node serves at a time.
const MAX_CLIENTS: usize = 64;
const MAX_CLIENTS_TEXT: &str = "64";

/// Bad lines, each with the code of its error and the `msg_id` that the error replies to.
const BAD_LINES: [(&[u8], u32, Option<u64>); 14] = [
    (b"no request", 12, None),
    (b"\xff\xfe{}", 12, None),
    (b"[1, 2]", 12, None),
    (br#"{"body":{"type":"nothing","msg_id":4}}"#, 10, Some(4)),
    (
        br#"{"body":{"type":"outputs","msg_id":5,"from":"x"}}"#,
        12,
        Some(5),
    ),
    (
        br#"{"body":{"type":"outputs","msg_id":6,"limit":-1}}"#,
        12,
        Some(6),
    ),
    (
        br#"{"body":{"type":"get_word","msg_id":7,"word":5}}"#,
        12,
        Some(7),
    ),
    (
        br#"{"body":{"type":"show_checkpoint","msg_id":8}}"#,
        12,
        Some(8),
    ),
    (
        br#"{"body":{"type":"dump","msg_id":9,"only":"nothing"}}"#,
        12,
        Some(9),
    ),
    (
        br#"{"body":{"type":"delete_checkpoint","msg_id":10,"checkpoint_id":""}}"#,
        12,
        Some(10),
    ),
    (
        br#"{"body":{"type":"outputs","msg_id":11,"limit":1,"limit":2}}"#,
        12,
        Some(11),
    ),
    (
        br#"{"body":{"type":"counts","msg_id":13,"top":"all"}}"#,
        12,
        Some(13),
    ),
    (br#"{"body":{"type":"history","msg_id":"x"}}"#, 12, None),
    (
        br#"{"body":{"type":"counts","msg_id":12,"msg_id":12}}"#,
        12,
        None,
    ),
];

#[test]
fn a_bad_line_of_a_client_gets_one_error_that_names_the_line_by_the_client_s_own_count() {
    let (_home, data_dir, node, mut client) = node_and_client();
    let mut input = BAD_LINES.map(|(line, ..)| line).join(&b'\n');
    // Blank lines are counted, but get no reply.
    input.extend_from_slice(b"\n\n\r\n");
    input.extend_from_slice(event_line(15, "e1", "w").as_bytes());
    input.push(b'\n');
    client.send_raw(&input).expect("the node reads");
    for (number, (_, code, in_reply_to)) in (1..).zip(BAD_LINES) {
        let reply = client.read_line();
        let error = ErrorReply::of(&reply);
        assert_eq!(
            (error.code, error.in_reply_to),
            (code, in_reply_to),
            "{number}: {reply}"
        );
        let start = format!("line {number}: ");
        assert!(
            code != 12 || error.text.starts_with(&start),
            "{number}: {reply}"
        );
    }
    assert_eq!(client.read_line(), accepted(15, "w", 1));
    // Each connection counts its own lines.
    let mut other = SocketClient::connect(&data_dir);
    let replies = [other.ask("no request"), node.ask("no request")];
    for reply in replies {
        let text = ErrorReply::of(&reply).text;
        assert!(text.starts_with("line 1: "), "{reply}");
    }
    node.finish().expect_all_read();
}

#[test]
fn the_error_of_a_query_says_which_member_is_wrong_and_what_it_must_be() {
    let (_home, _, node, mut client) = node_and_client();
    for (line, why) in [
        (
            r#"{"body":{"type":"outputs","msg_id":1,"from":"x"}}"#,
            "from must be an integer from 0 to 18446744073709551615, and is a string",
        ),
        (
            r#"{"body":{"type":"dump","msg_id":1,"limit":1,"limit":2}}"#,
            "limit is there more than once; send it once",
        ),
        (
            r#"{"body":{"type":"get_word","msg_id":1}}"#,
            "the members of get_word: missing field `word`",
        ),
    ] {
        let reply = client.ask(line);
        assert!(ErrorReply::of(&reply).text.ends_with(why), "{reply}");
    }
    node.finish().expect_all_read();
}

#[test]
fn what_a_client_sent_as_a_whole_is_carried_out_though_it_left_in_the_middle_of_a_line() {
    let (_home, data_dir) = home_and_data_dir();
    let node = Node::start(Some(&data_dir), &[]);
    let mut staying = SocketClient::connect(&data_dir);
    for number in 1..=20 {
        let mut leaving = SocketClient::connect(&data_dir);
        let whole = event_line(1, &format!("e{number}"), "w");
        let sent = format!("{whole}\n{}", &whole[..whole.len() / 2]);
        leaving.send_raw(sent.as_bytes()).expect("the node reads");
        // The client leaves without its reply, too.
        drop(leaving);
        let expected = format!(r#"{{"word":"w","count":{number}}}"#);
        eventually("it is counted", || {
            staying.records(&line("get_word", 2, r#""word":"w""#)) == [expected.as_str()]
        });
    }
    node.send(&event_line(3, "e21", "w"));
    assert_eq!(node.read_line(), accepted(3, "w", 21));
    node.finish().expect_all_read();
}

#[test]
fn a_last_line_without_a_newline_counts_when_a_client_stops_sending() {
    let (_home, _, node, mut client) = node_and_client();
    let lines = [
        event_line(1, "e1", "w"),
        line("counts", 2, ""),
        event_line(3, "e2", "w"),
    ];
    let input = lines.join("\n");
    client.send_raw(input.as_bytes()).expect("the node reads");
    client.stop_sending();
    assert_eq!(client.read_line(), accepted(1, "w", 1));
    let answer = client.next_answer().expect("the node answers");
    assert_eq!(answer.len(), 2, "{answer:?}");
    assert_eq!(client.read_line(), accepted(3, "w", 2));
    assert_eq!(client.next_line(), None, "the connection has ended");
    node.finish().expect_all_read();
}

#[test]
fn the_most_clients_are_served_at_once_and_one_more_is_told_to_try_again_later() {
    let (_home, data_dir) = home_and_data_dir();
    let node = Node::start(Some(&data_dir), &["--max-clients", MAX_CLIENTS_TEXT]);
    let mut clients = Vec::new();
    for number in 0..MAX_CLIENTS as u64 {
        let mut client = SocketClient::connect(&data_dir);
        let reply = client.ask(&event_line(number, &format!("e{number}"), "w"));
        assert_eq!(reply, accepted(number, "w", number + 1));
        clients.push(client);
    }
    let mut refused = SocketClient::connect(&data_dir);
    let reply = refused.ask(&event_line(1, "refused", "w"));
    let told = ErrorReply::of(&reply);
    assert_eq!((told.code, told.in_reply_to), (11, None), "{reply}");
    assert_eq!(refused.next_line(), None);
    // All clients send at once, and standard input too.
    for (number, client) in (0..).zip(&mut clients) {
        client.send(&event_line(number, &format!("again {number}"), "again"));
    }
    let again = clients.iter_mut().map(SocketClient::read_line);
    assert!(
        again
            .collect::<String>()
            .contains(r#""count": 64, "was_duplicate": false"#)
    );
    node.send(&event_line(1, "e0", "w"));
    assert_eq!(
        node.read_line(),
        accepted(1, "w", 64).replace("false}", "true}")
    );
    // A client that leaves makes room.
    clients.pop();
    eventually("there is room again", || {
        let mut next = SocketClient::connect(&data_dir);
        // If it is refused, the connection may already be closed.
        let request = event_line(5, "e0", "w") + "\n";
        next.send_raw(request.as_bytes()).unwrap_or_default();
        let reply = next.read_line();
        reply.starts_with(r#"{"type": "processed", "#) || {
            assert_eq!(ErrorReply::of(&reply).code, 11, "{reply}");
            false
        }
    });
    node.finish().expect_all_read();
}
