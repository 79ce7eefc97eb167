//! The three forms of `stats`, and the metrics file that `run` writes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::kit::{
    Node, backup, binary, checkpoint, event, event_line, eventually, home_and_data_dir, names,
    on_directory, record_in, run_on, scratch_dir, stats_of, text, wait_for,
};
use crate::oracle::{Oracle, Request};

fn requests() -> Vec<Request> {
    let event = |id: u64, word: &str| event(format!("e{id}"), word);
    let mut requests: Vec<_> = (0..30).map(|id| event(id, "w")).collect();
    requests.extend([checkpoint("a"), Request::Commit, checkpoint("b")]);
    requests.extend((20..40).map(|id| event(id, "w")));
    requests.extend([event(1, "other"), Request::Rollback]);
    requests.extend((40..45).map(|id| event(id, "x")));
    requests
}

/// A node that has answered the requests, and the oracle after them.
fn answered(data_dir: &Path, arguments: &[&str]) -> (Node, Oracle) {
    let node = Node::start(Some(data_dir), arguments);
    let mut oracle = Oracle::new();
    for (request, msg_id) in requests().iter().zip(1..) {
        oracle.apply(request);
        node.ask(&request.line(msg_id));
    }
    (node, oracle)
}

fn check(stats: &Value, oracle: &Oracle) {
    let counted: u64 = oracle.counts().values().sum();
    assert_eq!(stats["events"], counted);
    assert_eq!(stats["pending"], oracle.pending().len());
    assert_eq!(stats["released"], oracle.log().len());
    assert_eq!(stats["commits"], oracle.commit_sizes().len());
    assert_eq!(stats["checkpoints"], oracle.checkpoints().count());
    assert_eq!(stats["switches"], 1);
    assert_eq!(
        stats["position"],
        30 + 10 + 5,
        "each accepted event has one"
    );
    let trees = stats["trees"].as_array().expect("a list");
    let entries = |name: &str| {
        let tree = trees.iter().find(|tree| tree["name"] == name);
        tree.expect("it is there")["entries"]
            .as_u64()
            .expect("a number")
    };
    assert_eq!(entries("checkpoints"), 2);
    assert_eq!(entries("releases"), 1);
    assert_eq!(entries("switches"), 1);
    assert!(entries("journal") > 0);
    let bytes: u64 = trees.iter().filter_map(|tree| tree["bytes"].as_u64()).sum();
    assert!(
        bytes > 0 && stats["disk_bytes"].as_u64() >= Some(bytes),
        "{stats}"
    );
}

#[test]
fn a_running_process_and_a_directory_at_rest_tell_the_same_of_the_state() {
    let (_home, data_dir) = home_and_data_dir();
    let (node, oracle) = answered(&data_dir, &[]);
    let mut live = stats_of(&data_dir);
    check(&live, &oracle);
    let process = &live["process"];
    assert_eq!(process["pid"], node.pid());
    assert_eq!(process["accepted"], 45);
    assert_eq!(process["duplicates"], 11, "a conflict counts as one too");
    assert_eq!(process["conflicts"], 1);
    assert_eq!(process["clients"], 1, "only the client that asks");
    assert!(process["uptime_seconds"].as_f64() > Some(0.0));
    node.finish().expect_all_read();
    let mut resting = stats_of(&data_dir);
    check(&resting, &oracle);
    assert_eq!(resting["process"], Value::Null);
    // A clean end may store a counts snapshot, and the size of sled's file depends on sled.
    for stats in [&mut live, &mut resting] {
        let stats = stats.as_object_mut().expect("a record");
        for name in ["process", "trees", "disk_bytes"] {
            stats.remove(name);
        }
    }
    assert_eq!(live, resting);
}

/// A running node and the directory at rest give the same size, and a copy has about the same.
#[test]
fn the_size_of_the_journal_is_known_without_reading_it() {
    let (home, data_dir) = home_and_data_dir();
    let mut before = 0;
    for round in 0..6 {
        // Single events replace the last block; many together make new blocks.
        let lines = (0..[1, 3, 200][round % 3])
            .map(|n| event_line(n, &format!("round {round} event {n}"), "w"));
        let node = Node::start(Some(&data_dir), &[]);
        for line in lines {
            node.ask(&line);
        }
        let journal = |stats: &Value| stats["trees"][0].clone();
        let live = journal(&stats_of(&data_dir));
        node.finish().expect_all_read();
        assert_eq!(journal(&stats_of(&data_dir)), live);
        assert_eq!(live["name"], "journal");
        let bytes = live["bytes"].as_u64().expect("a number");
        assert!(bytes > before, "{live}");
        before = bytes;
    }
    // A copy of the events takes as many bytes, except that its blocks may be fuller or emptier.
    let copy = home.path().join("copy");
    backup(&data_dir, &copy);
    let anew = stats_of(&copy)["trees"][0]["bytes"]
        .as_u64()
        .expect("a number");
    assert!(anew.abs_diff(before) < before / 10, "{anew} and {before}");
}

/// The samples of a text in the format of Prometheus, by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut announced = "";
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# TYPE ") {
            announced = comment.split(' ').next().expect("a name");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        let name = without_directory(name);
        assert!(
            name.starts_with(announced) && name.starts_with("exactly_once_"),
            "{line}"
        );
        samples.insert(name.to_owned(), value.parse().expect("a number"));
    }
    samples
}

/// A series without the label of the directory, which every series has.
fn without_directory(series: &str) -> String {
    let (name, labels) = series.split_once('{').expect("it has labels");
    let labels = labels.strip_suffix('}').expect("they end");
    let others = labels
        .split(',')
        .filter(|label| !label.starts_with("data_dir=\""));
    let others: Vec<&str> = others.collect();
    assert!(labels.contains("data_dir=\""), "{series}");
    match others[..] {
        [] => name.to_owned(),
        _ => format!("{name}{{{}}}", others.join(",")),
    }
}

#[test]
fn prometheus_reads_the_same_figures() {
    let (_home, data_dir) = home_and_data_dir();
    let (node, oracle) = answered(&data_dir, &[]);
    let told = run_on("stats", &data_dir, &["--prometheus"]).expect_quiet_success();
    let samples = samples(&told);
    let counted: u64 = oracle.counts().values().sum();
    for (name, expected) in [
        ("events", counted as f64),
        ("released_outputs_total", oracle.log().len() as f64),
        ("accepted_total", 45.0),
        ("duplicates_total", 11.0),
        ("conflicts_total", 1.0),
        ("tree_entries{tree=\"checkpoints\"}", 2.0),
    ] {
        assert_eq!(
            samples.get(&format!("exactly_once_{name}")),
            Some(&expected),
            "{name}"
        );
    }
    node.finish().expect_all_read();
}

#[test]
fn a_metrics_file_is_whole_whenever_it_is_read_and_follows_the_state() {
    let home = scratch_dir();
    let (data_dir, file) = (home.path().join("data"), home.path().join("eo.prom"));
    let path = text(&file);
    let (node, _) = answered(&data_dir, &["--metrics-file", path, "--metrics-every", "1"]);
    let figures = wait_for("the figures come", || {
        let samples = samples(&fs::read_to_string(&file).ok()?);
        let is_accepted = samples.get("exactly_once_accepted_total") == Some(&45.0);
        is_accepted.then_some(samples)
    });
    let of_index = "exactly_once_tree_bytes{tree=\"index\"}";
    assert!(figures.contains_key(of_index), "{figures:?}");
    let mode = fs::metadata(&file)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644, "another user's collector reads it");
    node.finish().expect_all_read();
    let left = names(home.path()).len();
    assert_eq!(left, 2, "the directory and the file");
}

#[test]
fn a_metrics_file_that_cannot_be_written_is_told_and_holds_nothing_up() {
    let (_home, data_dir) = home_and_data_dir();
    let arguments = ["--metrics-file", "/nowhere/eo.prom", "--metrics-every", "1"];
    let node = Node::start_as(binary().args(arguments).arg("--data-dir").arg(&data_dir));
    sleep(Duration::from_millis(1_500));
    node.ask(&requests()[0].line(1));
    let finished = node.finish();
    assert!(finished.status.success());
    assert!(
        finished.stderr.contains("/nowhere/eo.prom"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_watch_shows_the_state_as_it_changes_and_across_processes() {
    let (_home, data_dir) = home_and_data_dir();
    let (node, oracle) = answered(&data_dir, &[]);
    let watch = Node::start_as(&mut on_directory("stats", &data_dir, &["--watch"]));
    let read = || -> Value { record_in(&watch.read_line()) };
    check(&read(), &oracle);
    node.finish().expect_all_read();
    eventually("it sees the end of the process", || {
        read()["process"] == Value::Null
    });
    let node = Node::start(Some(&data_dir), &[]);
    eventually("it sees the new process", || {
        read()["process"]["pid"] == node.pid()
    });
    node.finish().expect_all_read();
}
