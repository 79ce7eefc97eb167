//! Clients that do not take what they are answered: nobody else notices, and they are dropped.

use super::asked::{accepted, event, line};
use super::socket_client::{SocketClient, eventually};
use crate::client::dump::Dump;
use crate::client::{Node, scratch_dir};

/// What the node says of a client that it drops.
const DROPPED: &str = "does not take its replies; it is dropped";

#[test]
fn nobody_waits_for_a_client_that_never_reads() {
    const OTHERS: u64 = 20;
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let node = Node::start(Some(&data_dir), &[]);
    let mut hog = SocketClient::connect(&data_dir);
    let lines = (0..1_000_000).map(|number| match number % 500 {
        499 => line("dump", number, ""),
        _ => event(number, &format!("hog {number}"), "hog"),
    });
    let sent = hog.send_until_stuck(lines);
    let mut other = SocketClient::connect(&data_dir);
    for number in 0..OTHERS {
        let reply = other.ask(&event(number, &format!("other {number}"), "other"));
        assert_eq!(reply, accepted(number, "other", number + 1));
        node.send(&event(number, &format!("stdin {number}"), "stdin"));
        assert_eq!(node.read_line(), accepted(number, "stdin", number + 1));
    }
    let shown = other.records(&line("get_word", OTHERS, r#""word":"other""#));
    assert_eq!(shown, [format!(r#"{{"word":"other","count":{OTHERS}}}"#)]);
    // The client is still there, and has not read a byte.
    node.finish().expect_quiet_success();
    let dump = Dump::read(&data_dir).unwrap_or_else(|reason| panic!("{reason}"));
    let count = |word: &str| dump.counts.get(word).copied().unwrap_or_default();
    assert_eq!((count("other"), count("stdin")), (OTHERS, OTHERS));
    let hogged = count("hog");
    assert!((1..=sent).contains(&hogged), "{hogged} of {sent}");
    drop(hog);
}

#[test]
fn a_client_that_takes_nothing_for_half_a_minute_is_dropped_and_what_was_read_of_it_is_carried_out()
{
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let node = Node::start(Some(&data_dir), &[]);
    let mut hog = SocketClient::connect(&data_dir);
    let lines = (0..1_000_000).map(|number| event(number, &format!("hog {number}"), "hog"));
    let sent = hog.send_until_stuck(lines);
    eventually("it is dropped", || !hog.is_connected());
    let mut replies = 0;
    while let Some(reply) = hog.next_line() {
        replies += 1;
        assert_eq!(reply, accepted(replies - 1, "hog", replies));
    }
    let ended = node.finish();
    assert!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
    assert_eq!(ended.stderr.matches(DROPPED).count(), 1, "{}", ended.stderr);
    let dump = Dump::read(&data_dir).unwrap_or_else(|reason| panic!("{reason}"));
    let hogged = dump.counts["hog"];
    assert!(
        (replies..=sent).contains(&hogged),
        "{hogged} of {sent}, {replies} answered"
    );
}

#[test]
fn a_client_that_asks_at_once_for_more_than_sixteen_megabytes_and_does_not_read_is_dropped() {
    const WORDS: u64 = 8_000;
    const RESTORES: u64 = 150;
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let node = Node::start(Some(&data_dir), &[]);
    for number in 0..WORDS {
        node.send(&event(
            number,
            &format!("e{number}"),
            &format!("a word, the {number}."),
        ));
    }
    node.send(&line("checkpoint", WORDS, r#""checkpoint_id":"c""#));
    for _ in 0..=WORDS {
        node.read_line();
    }
    let mut other = SocketClient::connect(&data_dir);
    let mut hog = SocketClient::connect(&data_dir);
    let restores = (0..RESTORES).map(|number| line("restore", number, r#""checkpoint_id":"c""#));
    let restores: String = restores.map(|line| line + "\n").collect();
    assert!(
        restores.len() <= 16 << 10,
        "the node reads all of them at once"
    );
    hog.send_raw(restores.as_bytes()).expect("the node reads");
    let moves = line("dump", 1, r#""only":"moves""#);
    eventually("all are carried out", || {
        other.records(&moves).len() as u64 == RESTORES
    });
    let mut bytes = 0;
    while let Some(reply) = hog.next_line() {
        assert!(
            reply.starts_with(r#"{"type": "restored", "#),
            "{reply:.100}"
        );
        bytes += reply.len();
    }
    assert!(bytes < 18 << 20, "{bytes} bytes waited for it");
    let ended = node.finish();
    assert!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
    assert_eq!(ended.stderr.matches(DROPPED).count(), 1, "{}", ended.stderr);
}
