//! The replies to a client come in the order of its requests. The reply to a query shows the state
//! at its place in the one order of all requests.

use super::queries::{Asked, answer};
use crate::kit::{
    Node, SocketClient, accepted, dump, event, event_line, home_and_data_dir, line,
    node_and_client, numbered_input, records_of, run_node, scratch_dir, stream, without_number,
};
use crate::oracle::{Oracle, Request};

/// Makes the node write counts snapshots and runs, and reopen sled, while it answers queries.
const SMALL: [&str; 6] = [
    "--snapshot-every",
    "3",
    "--run-every",
    "2",
    "--reopen-bytes",
    "30000",
];

fn word(number: usize) -> String {
    format!("w{}", number % 5)
}

#[test]
fn replies_and_answers_come_in_the_order_of_a_client_s_requests() {
    for arguments in [&[][..], &SMALL] {
        let (_home, data_dir) = home_and_data_dir();
        let node = Node::start(Some(&data_dir), arguments);
        let mut client = SocketClient::connect(&data_dir);
        let (mut oracle, mut input, mut expected) = (Oracle::new(), String::new(), Vec::new());
        for number in 0..120 {
            let mut all = vec![Asked::Request(stream::request(number, word))];
            all.extend(number.is_multiple_of(3).then_some(Asked::Counts));
            all.extend(number.is_multiple_of(7).then_some(Asked::Outputs));
            for asked in all {
                input += &(asked.line(expected.len() as u64) + "\n");
                expected.push(asked.apply(&mut oracle));
            }
        }
        client.send_raw(input.as_bytes()).expect("the node reads");
        for (msg_id, due) in (0..).zip(&expected) {
            let lines = client.next_answer().expect("the node answers");
            due.check(&lines, msg_id)
                .unwrap_or_else(|reason| panic!("request {msg_id}: {reason}"));
        }
        node.finish().expect_all_read();
        dump::assert_is(&data_dir, &oracle);
    }
}

#[test]
fn a_query_shows_what_was_ordered_before_it_whatever_changes_after_it() {
    const BEFORE: usize = 300;
    const ALL: usize = 900;
    let home = scratch_dir();
    let (data_dir, before_dir) = (home.path().join("data"), home.path().join("before"));
    let requests: Vec<Request> = (0..ALL)
        .map(|number| stream::request(number, word))
        .collect();
    let input = |requests: &[Request]| numbered_input(0, requests);
    let (before, after) = requests.split_at(BEFORE);
    run_node(&before_dir, &[], input(before)).expect_success();

    let node = Node::start(Some(&data_dir), &SMALL);
    let mut client = SocketClient::connect(&data_dir);
    let query = line("dump", 0, "") + "\n";
    let all = [input(before), query, input(after)].concat();
    client.send_raw(all.as_bytes()).expect("the node reads");
    let mut answers = (0..=ALL).map(|_| client.next_answer().expect("the node answers"));
    let answered = answers.nth(BEFORE).expect("there are more");
    assert_eq!(answers.count(), after.len());
    let shown = dump::lines(&before_dir, None).unwrap_or_else(|reason| panic!("{reason}"));
    assert_eq!(records_of(answered), shown);
    node.finish().expect_all_read();
}

#[test]
fn a_query_sees_everything_that_was_answered_before_it_on_any_connection() {
    let (_home, data_dir) = home_and_data_dir();
    let node = Node::start(Some(&data_dir), &[]);
    let mut clients = [(); 3].map(|()| SocketClient::connect(&data_dir));
    let mut oracle = Oracle::new();
    for number in 0..90 {
        // A query shows these outputs only after the next commit.
        let request = match number % 10 {
            9 => Request::Commit,
            _ => event(format!("e{number}"), word(number)),
        };
        let asked = Asked::Request(request);
        let line = asked.line(0);
        let reply = match clients.get_mut(number % 4) {
            Some(client) => client.ask(&line),
            None => node.ask(&line),
        };
        let due = asked.apply(&mut oracle);
        due.check(&[reply], 0)
            .unwrap_or_else(|reason| panic!("{number}: {reason}"));
        for (msg_id, asked) in (0..).zip([Asked::Counts, Asked::Outputs]) {
            let other = &mut clients[(number + 1) % 3];
            other.send(&asked.line(msg_id));
            let lines = other.next_answer().expect("the node answers");
            let due = asked.apply(&mut oracle);
            due.check(&lines, msg_id)
                .unwrap_or_else(|reason| panic!("after {number}: {reason}"));
        }
    }
    node.finish().expect_all_read();
}

#[test]
fn a_request_without_a_number_is_carried_out_silently_and_a_query_without_one_not_answered() {
    let (_home, _, node, mut client) = node_and_client();
    let silent = [
        event_line(0, "e1", "w"),
        line("counts", 0, ""),
        line("checkpoint", 0, r#""checkpoint_id":"a""#),
        line("delete_checkpoint", 0, r#""checkpoint_id":"a""#),
    ];
    for line in silent {
        client.send(&without_number(&line, 0));
    }
    client.send(&line("get_word", 1, r#""word":"w""#));
    let lines = client.next_answer().expect("the node answers");
    assert_eq!(lines, answer(&[r#"{"word":"w","count":1}"#.to_owned()], 1));
    client.send(&line("list_checkpoints", 2, ""));
    let lines = client.next_answer().expect("the node answers");
    assert_eq!(lines, answer(&[], 2));
    node.finish().expect_all_read();
}

#[test]
fn a_query_is_answered_after_one_without_a_number_that_came_with_it() {
    let (_home, _, node, mut client) = node_and_client();
    let unnumbered = without_number(&line("counts", 0, ""), 0);
    let event = event_line(1, "e1", "w");
    let query = line("get_word", 2, r#""word":"w""#);
    let together = format!("{unnumbered}\n{event}\n{unnumbered}\n{query}\n");
    client
        .send_raw(together.as_bytes())
        .expect("the node reads");
    assert_eq!(client.read_line(), accepted(1, "w", 1));
    let lines = client.next_answer().expect("the node answers");
    assert_eq!(lines, answer(&[r#"{"word":"w","count":1}"#.to_owned()], 2));
    node.finish().expect_all_read();
}

#[test]
fn what_was_read_of_a_client_is_answered_when_standard_input_ends() {
    const EVENTS: u64 = 100;
    let (_home, _, node, mut client) = node_and_client();
    // The node reads all these lines in one call, so by the first reply it has read all of them.
    let lines = (0..EVENTS).map(|id| event_line(id, &format!("e{id}"), "w") + "\n");
    let input: String = lines.collect();
    assert!(input.len() < 16 << 10, "{} bytes", input.len());
    client.send_raw(input.as_bytes()).expect("the node reads");
    assert_eq!(client.read_line(), accepted(0, "w", 1));
    node.finish().expect_all_read();
    for msg_id in 1..EVENTS {
        assert_eq!(client.read_line(), accepted(msg_id, "w", msg_id + 1));
    }
    assert_eq!(client.next_line(), None);
}

/// Queries between which nothing is persisted share one view. It is the newest one, however many
/// older views are still being read.
#[test]
fn a_query_that_is_asked_again_shows_no_state_that_another_client_still_reads() {
    const EVENTS: u64 = 20_000;
    let (_home, data_dir) = home_and_data_dir();
    let lines = (0..EVENTS).map(|number| event_line(number, &format!("e{number}"), "w") + "\n");
    run_node(&data_dir, &[], lines.collect::<String>()).expect_success();
    let node = Node::start(Some(&data_dir), &[]);
    // The dump is larger than a socket holds, and the client reads none of it.
    let mut slow = SocketClient::connect(&data_dir);
    slow.send(&line("dump", 1, ""));
    let mut client = SocketClient::connect(&data_dir);
    for round in 1..40_u64 {
        let reply = client.ask(&event_line(0, &format!("new {round}"), "new"));
        assert_eq!(reply, accepted(0, "new", round));
        for _ in 0..4 {
            let found = client.records(&line("get_word", 1, r#""word":"new""#));
            assert_eq!(found, [format!(r#"{{"word":"new","count":{round}}}"#)]);
        }
    }
    drop(slow);
    node.finish().expect_all_read();
}
