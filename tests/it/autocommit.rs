//! Autocommit: every output is released as its event is accepted, and the directory keeps that.

use std::path::Path;

use serde_json::Value;

use crate::client::{dump, run_with, scratch_dir};
use crate::command::{dump_of, on_directory, run, verified};
use crate::oracle::{Oracle, Request};

fn event(id: &str, word: &str) -> Request {
    Request::Process {
        event_id: id.to_owned(),
        word: word.to_owned(),
    }
}

/// Has a process carry requests out; the replies are held against the oracle.
fn send(data_dir: &Path, arguments: &[&str], oracle: &mut Oracle, requests: &[Request]) {
    let lines = (1..).zip(requests);
    let input: String = lines.map(|(n, request)| request.line(n) + "\n").collect();
    let (replies, stderr, status) = run_with(data_dir, arguments, input.as_bytes());
    assert!(status.success(), "{stderr}");
    let replies = String::from_utf8(replies).expect("it is text");
    assert_eq!(replies.lines().count(), requests.len());
    for ((reply, request), msg_id) in replies.lines().zip(requests).zip(1..) {
        let expected = oracle.apply(request).body(msg_id);
        assert_eq!(reply, expected.expect("no request fails").plain());
    }
}

fn outputs(data_dir: &Path) -> Vec<Value> {
    let shown = run(&mut on_directory("outputs", data_dir, &[]), "").expect_quiet_success();
    let records = shown.lines().map(serde_json::from_str);
    records
        .collect::<Result<_, _>>()
        .expect("a line is a record")
}

fn stats(data_dir: &Path) -> Value {
    let shown = run(&mut on_directory("stats", data_dir, &[]), "").expect_quiet_success();
    serde_json::from_str(&shown).expect("a record")
}

#[test]
fn outputs_are_released_without_a_commit_and_later_processes_go_on_so() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let mut oracle = Oracle::new();
    oracle.switch_autocommit_on();
    let requests = [
        event("e1", "a"),
        event("e2", "b"),
        event("e1", "a"),
        Request::Commit,
    ];
    send(&data_dir, &["--autocommit"], &mut oracle, &requests);
    // The next process is not told.
    send(
        &data_dir,
        &[],
        &mut oracle,
        &[event("e3", "a"), Request::Rollback],
    );
    dump::check(&data_dir, &oracle).unwrap_or_else(|reason| panic!("{reason}"));
    let shown = outputs(&data_dir);
    let ids: Vec<_> = shown
        .iter()
        .map(|output| output["event_id"].as_str())
        .collect();
    assert_eq!(ids, [Some("e1"), Some("e2"), Some("e3")]);
    assert!(
        shown.iter().all(|output| output.get("commit").is_none()),
        "{shown:?}"
    );
    let stats = stats(&data_dir);
    assert_eq!(stats["autocommit"], true);
    assert_eq!(
        (&stats["committed"], &stats["pending"]),
        (&3.into(), &0.into())
    );
    assert_eq!(stats["commits"], 0);
    verified(&data_dir);
}

#[test]
fn what_is_pending_when_it_is_switched_on_is_released_then_even_if_nothing_is_sent() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let mut oracle = Oracle::new();
    let requests = [
        event("e1", "a"),
        Request::Commit,
        event("e2", "a"),
        event("e3", "b"),
    ];
    send(&data_dir, &[], &mut oracle, &requests);
    oracle.switch_autocommit_on();
    send(&data_dir, &["--autocommit"], &mut oracle, &[]);
    let shown = outputs(&data_dir);
    assert_eq!(shown[0]["commit"], 1);
    assert_eq!(shown.len(), 3);
    assert!(
        shown[1..]
            .iter()
            .all(|output| output.get("commit").is_none())
    );
    dump::check(&data_dir, &oracle).unwrap_or_else(|reason| panic!("{reason}"));
    verified(&data_dir);
}

#[test]
fn a_dump_of_it_that_is_loaded_goes_on_with_it() {
    let home = scratch_dir();
    let [data_dir, copy] = ["data", "copy"].map(|name| home.path().join(name));
    let mut oracle = Oracle::new();
    let checkpoint = |id: &str| Request::Checkpoint { id: id.to_owned() };
    let restore = |id: &str| Request::Restore { id: id.to_owned() };
    // A checkpoint with an output that is still pending in it.
    let before = [
        event("e1", "a"),
        checkpoint("c"),
        Request::Rollback,
        event("e2", "a"),
    ];
    send(&data_dir, &[], &mut oracle, &before);
    oracle.switch_autocommit_on();
    let after = [
        event("e3", "a"),
        restore("c"),
        Request::Commit,
        event("e2", "b"),
        event("e4", "b"),
        checkpoint("d"),
        event("e5", "b"),
        restore("d"),
        event("e5", "c"),
        event("e6", "c"),
    ];
    send(&data_dir, &["--autocommit"], &mut oracle, &after);
    dump::check(&data_dir, &oracle).unwrap_or_else(|reason| panic!("{reason}"));
    let dumped = dump_of(&data_dir, &["--incidentals"]);
    run(&mut on_directory("load", &copy, &[]), &dumped).expect_quiet_success();
    verified(&copy);
    let again = [
        event("e7", "c"),
        restore("c"),
        event("e8", "c"),
        Request::Commit,
    ];
    for directory in [&data_dir, &copy] {
        let mut oracle = oracle.clone();
        send(directory, &[], &mut oracle, &again);
        dump::check(directory, &oracle).unwrap_or_else(|reason| panic!("{reason}"));
        verified(directory);
    }
    // Written anew it is the same.
    run(&mut on_directory("compact", &copy, &[]), "")
        .code
        .expect("it ended");
    verified(&copy);
    assert_eq!(stats(&copy)["autocommit"], true);
}

#[test]
fn a_dump_that_releases_a_position_twice_is_refused() {
    let home = scratch_dir();
    let [data_dir, copy] = ["data", "copy"].map(|name| home.path().join(name));
    let mut oracle = Oracle::new();
    oracle.switch_autocommit_on();
    let requests = [event("e1", "a"), event("e2", "b"), event("e3", "c")];
    send(&data_dir, &["--autocommit"], &mut oracle, &requests);
    let dumped = dump_of(&data_dir, &[]);
    for position in [1, 3, 0, 4, u64::MAX] {
        let wrong = format!("\"offset\":1,\"position\":{position},");
        let lines = dumped.replace("\"offset\":1,\"position\":2,", &wrong);
        assert!(position == 2 || lines != dumped, "{dumped}");
        let (records, _) = lines
            .split_once("{\"type\":\"digest\"")
            .expect("it has a digest");
        let digest = xxhash_rust::xxh3::xxh3_64(records.as_bytes());
        let count = records.lines().count();
        let digest =
            format!("{{\"type\":\"digest\",\"records\":{count},\"xxh3\":\"{digest:016x}\"}}");
        let changed = format!("{records}{digest}\n");
        let line = run(&mut on_directory("load", &copy, &[]), &changed).expect_refusal(1);
        assert!(line.contains("contradicts itself"), "{line}");
    }
}
