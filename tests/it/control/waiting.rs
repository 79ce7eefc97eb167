//! A query for outputs that are not there yet is answered when they are, and delays no one.

use crate::kit::{
    Node, SocketClient, event_line, home_and_data_dir, line, node_and_client, record_in, records_of,
};
use rustix::process::Signal;
use serde_json::Value;

/// A query for the outputs from an offset on, that waits longer than a test may take.
fn waiting(msg_id: u64, from: usize) -> String {
    line(
        "outputs",
        msg_id,
        &format!(r#""from":{from},"wait_ms":10000"#),
    )
}

fn ids(records: Vec<String>) -> Vec<String> {
    let id = |record: &String| {
        let value: Value = record_in(record);
        value["event_id"]
            .as_str()
            .expect("it is an output")
            .to_owned()
    };
    records.iter().map(id).collect()
}

#[test]
fn each_output_is_sent_as_soon_as_it_is_released_and_no_other_client_waits() {
    let (_home, data_dir, _node, mut follower) = node_and_client();
    let mut other = SocketClient::connect(&data_dir);
    for round in 0..60 {
        follower.send(&waiting(round, round as usize));
        // A later request of the same client has its reply after that of the query.
        follower.send(&event_line(1000 + round, "e0", "w"));
        let event_id = format!("e{round}");
        other.ask(&event_line(round, &event_id, "w"));
        let committed = other.ask(&line("commit", round, ""));
        assert!(committed.contains("committed"), "{committed}");
        let told = ids(records_of(follower.next_answer().expect("it is answered")));
        assert_eq!(told, [event_id]);
        assert!(follower.read_line().contains(r#""was_duplicate": true"#));
    }
}

#[test]
fn with_autocommit_an_event_is_told_to_all_who_wait_for_its_output() {
    let (_home, data_dir) = home_and_data_dir();
    let _node = Node::start(Some(&data_dir), &["--autocommit"]);
    let mut followers: Vec<_> = (0..3).map(|_| SocketClient::connect(&data_dir)).collect();
    let mut sender = SocketClient::connect(&data_dir);
    for number in 0..40 {
        for follower in &mut followers {
            follower.send(&waiting(number, number as usize));
        }
        let event_id = format!("e{number}");
        sender.ask(&event_line(number, &event_id, "w"));
        for follower in &mut followers {
            let told = follower.next_answer().expect("it is answered");
            assert_eq!(ids(records_of(told)), [&*event_id]);
        }
    }
}

#[test]
fn a_query_that_cannot_wait_or_need_not_is_answered_at_once() {
    let (_home, _data_dir, node, mut client) = node_and_client();
    client.ask(&event_line(1, "e1", "w"));
    client.ask(&line("commit", 2, ""));
    let at_once = |client: &mut SocketClient, members: &str| {
        client.records(&line("outputs", 3, members)).len()
    };
    assert_eq!(at_once(&mut client, r#""from":0,"wait_ms":10000"#), 1);
    assert_eq!(at_once(&mut client, r#""from":1,"wait_ms":0"#), 0);
    assert_eq!(at_once(&mut client, r#""from":1,"wait_ms":1"#), 0);
    assert_eq!(at_once(&mut client, r#""from":1"#), 0);
    let beyond = client.ask(&waiting(4, 2));
    assert!(beyond.contains(r#""code": 20"#), "{beyond}");
    // The node does not wait at its end.
    let lines = [event_line(5, "e2", "w"), waiting(6, 1)].join("\n");
    assert!(client.ask(&lines).contains("processed"), "so both are read");
    node.signal(Signal::TERM);
    let told = client.next_answer().expect("it is answered").join("\n");
    let is_empty = told.contains(r#""records": 0"#);
    assert!(is_empty || told.contains("the process is ending"), "{told}");
    node.finish();
}
