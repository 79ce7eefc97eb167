//! Autocommit: each output is released with its event, and the directory stores this setting.

use std::path::Path;

use serde_json::Value;

use crate::kit::{
    checkpoint, digest_line, dump, dump_of, event, exit, home_and_data_dir, numbered_input,
    on_directory, restore, run, run_node, run_on, scratch_dir, stats_of, verified,
};
use crate::oracle::{Oracle, Request};

/// Runs a node on requests and compares its replies with the oracle's.
fn send(data_dir: &Path, arguments: &[&str], oracle: &mut Oracle, requests: &[Request]) {
    let input = numbered_input(1, requests);
    let replies = run_node(data_dir, arguments, input).expect_success();
    assert_eq!(replies.lines().count(), requests.len());
    for ((reply, request), msg_id) in replies.lines().zip(requests).zip(1..) {
        let expected = oracle.apply(request).body(msg_id);
        assert_eq!(reply, expected.expect("no request fails").plain());
    }
}

fn outputs(data_dir: &Path) -> Vec<Value> {
    run_on("outputs", data_dir, &[]).expect_records()
}

#[test]
fn outputs_are_released_without_a_commit_by_this_process_and_later_ones() {
    let (_home, data_dir) = home_and_data_dir();
    let mut oracle = Oracle::new();
    oracle.switch_autocommit_on();
    let requests = [
        event("e1", "a"),
        event("e2", "b"),
        event("e1", "a"),
        Request::Commit,
    ];
    send(&data_dir, &["--autocommit"], &mut oracle, &requests);
    // The directory stores the setting, so the next process needs no option.
    send(
        &data_dir,
        &[],
        &mut oracle,
        &[event("e3", "a"), Request::Rollback],
    );
    dump::assert_is(&data_dir, &oracle);
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
    let stats = stats_of(&data_dir);
    assert_eq!(stats["autocommit"], true);
    assert_eq!(
        (&stats["released"], &stats["pending"]),
        (&3.into(), &0.into())
    );
    assert_eq!(stats["commits"], 0);
    verified(&data_dir);
}

#[test]
fn outputs_that_are_pending_when_autocommit_is_switched_on_are_released_then() {
    let (_home, data_dir) = home_and_data_dir();
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
    dump::assert_is(&data_dir, &oracle);
    verified(&data_dir);
}

#[test]
fn a_dump_with_autocommit_is_loaded_with_autocommit() {
    let home = scratch_dir();
    let [data_dir, copy] = ["data", "copy"].map(|name| home.path().join(name));
    let mut oracle = Oracle::new();
    // This checkpoint has a pending output.
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
    dump::assert_is(&data_dir, &oracle);
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
        dump::assert_is(directory, &oracle);
        verified(directory);
    }
    // Compaction keeps the setting.
    run_on("compact", &copy, &[]).code().expect("it ended");
    verified(&copy);
    assert_eq!(stats_of(&copy)["autocommit"], true);
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
        let changed = records.to_owned() + &digest_line(records);
        let line = run(&mut on_directory("load", &copy, &[]), &changed)
            .expect_refusal(exit::INPUT_OR_OUTPUT);
        assert!(line.contains("contradicts itself"), "{line}");
    }
}
