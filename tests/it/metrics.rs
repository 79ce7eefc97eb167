//! The figures for Prometheus: their last values, their series, and that the text is valid for any
//! name of the directory.

use crate::kit::{
    ErrorReply, Node, event_line, exit, input_of, restore, run_node, run_on, scratch_dir, text,
};
use crate::oracle::Request;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

type Labels = BTreeMap<String, String>;

/// Reads a text strictly as the format is defined, and panics at anything else.
fn read(text: &str) -> Vec<(String, Labels, f64)> {
    let mut kinds = BTreeMap::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a type");
            assert_eq!(kinds.insert(name, kind), None, "{name} has two types");
            assert!(matches!(kind, "counter" | "gauge"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else if !line.starts_with("# HELP ") {
            let (name, labels, value) = read_sample(line);
            assert!(kinds.contains_key(&*name), "{name} has no type");
            samples.push((name, labels, value));
        }
    }
    samples
}

fn read_sample(line: &str) -> (String, Labels, f64) {
    let (name, mut rest) = line.split_once('{').expect("there are labels");
    assert!(
        name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
        "{line}"
    );
    let mut labels = Labels::new();
    while !rest.starts_with('}') {
        let (label, value) = rest
            .trim_start_matches(',')
            .split_once("=\"")
            .expect("a label");
        let mut text = String::new();
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next().expect("it ends") {
                (end, '"') => break end,
                (_, '\\') => text.push(match chars.next().expect("it ends").1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    c => panic!("{c} needs no escape: {line}"),
                }),
                (_, c) => text.push(c),
            }
        };
        labels.insert(label.to_owned(), text);
        rest = &value[end + 1..];
    }
    let value = rest[1..].trim_start().parse().expect("a number");
    (name.to_owned(), labels, value)
}

fn value(samples: &[(String, Labels, f64)], name: &str, label: Option<(&str, &str)>) -> f64 {
    let is_it = |labels: &Labels| {
        label.is_none_or(|(name, value)| labels.get(name).is_some_and(|v| v == value))
    };
    let name = format!("exactly_once_{name}");
    let mut found = samples
        .iter()
        .filter(|(of, labels, _)| *of == name && is_it(labels));
    let value = found
        .next()
        .unwrap_or_else(|| panic!("there is no {name}"))
        .2;
    assert_eq!(found.next(), None, "{name} is there twice");
    value
}

fn events(count: u64) -> String {
    input_of((0..count).map(|n| event_line(n, &format!("e{n}"), "w")))
}

#[test]
fn the_metrics_file_has_the_last_figures_when_the_process_is_gone() {
    const EVENTS: u64 = 30_000;
    let home = scratch_dir();
    let (data_dir, file) = (home.path().join("data"), home.path().join("eo.prom"));
    let path = text(&file);
    let input = events(EVENTS) + &Request::Commit.line(EVENTS) + "\n";
    run_node(&data_dir, &["--metrics-file", path], input).expect_quiet_success();
    let samples = read(&fs::read_to_string(&file).expect("it is there"));
    for (name, expected) in [
        ("accepted_total", EVENTS),
        ("events", EVENTS),
        ("position_total", EVENTS),
        ("released_outputs_total", EVENTS),
        ("commits_total", 1),
        ("clients", 0),
    ] {
        assert_eq!(value(&samples, name, None), expected as f64, "{name}");
    }
    assert!(value(&samples, "syncs_total", None) >= 1.0);
}

#[test]
fn every_series_names_the_directory_and_errors_syncs_room_commits_and_the_build_are_among_them() {
    let home = scratch_dir();
    let (data_dir, file) = (home.path().join("data"), home.path().join("eo.prom"));
    let path = text(&file);
    let node = Node::start(Some(&data_dir), &["--metrics-file", path]);
    let restore = restore("none").line(3);
    let lines = [
        events(1).trim_end().to_owned(),
        Request::Commit.line(2),
        restore,
        "{".to_owned(),
        "[".to_owned(),
    ];
    let mut codes = Vec::new();
    for line in &lines {
        node.send(line);
        codes.extend(ErrorReply::read(&node.read_line()).map(|error| error.code));
    }
    assert_eq!(codes, [20, 12, 12]);
    let live = run_on("stats", &data_dir, &["--prometheus"]);
    let live = read(&live.expect_quiet_success());
    for (code, count) in [
        ("10", 0.0),
        ("11", 0.0),
        ("12", 2.0),
        ("13", 0.0),
        ("20", 1.0),
    ] {
        assert_eq!(
            value(&live, "errors_total", Some(("code", code))),
            count,
            "{code}"
        );
    }
    assert_eq!(value(&live, "clients", None), 1.0, "only the command asks");
    assert!(value(&live, "syncs_total", None) >= 2.0);
    assert!(value(&live, "sync_seconds_total", None) > 0.0);
    assert!(value(&live, "free_bytes", None) > 0.0);
    assert!(value(&live, "last_commit_timestamp_seconds", None) > 1.7e9);
    let version = Some(("version", env!("CARGO_PKG_VERSION")));
    assert_eq!(value(&live, "build_info", version), 1.0);
    node.finish().expect_all_read();
    let written = read(&fs::read_to_string(&file).expect("it is there"));
    let series = |samples: &[(String, Labels, f64)]| -> Vec<(String, Labels)> {
        samples
            .iter()
            .map(|(name, labels, _)| (name.clone(), labels.clone()))
            .collect()
    };
    assert_eq!(
        series(&written),
        series(&live),
        "the file has the same series"
    );
    let whole = data_dir.canonicalize().expect("it is there");
    let whole = text(&whole);
    assert!(
        live.iter()
            .all(|(_, labels, _)| labels["data_dir"] == whole)
    );
}

#[test]
fn the_text_is_valid_whatever_the_directory_is_called() {
    let home = scratch_dir();
    let name = b"a \"b\" \\c\nd {e=\"f\"} \xff";
    let data_dir = home.path().join(OsStr::from_bytes(name));
    let node = Node::start(Some(&data_dir), &[]);
    node.ask(events(1).trim_end());
    let stats = |data_dir: &Path| {
        read(&run_on("stats", data_dir, &["--prometheus"]).expect_quiet_success())
    };
    for samples in [stats(&data_dir), {
        node.finish().expect_all_read();
        stats(&data_dir)
    }] {
        for (_, labels, _) in samples {
            let end = "/a \"b\" \\c\nd {e=\"f\"} \\xff";
            assert!(labels["data_dir"].ends_with(end), "{labels:?}");
        }
    }
}

#[test]
fn requests_that_are_refused_for_want_of_room_are_told_of_in_one_line_and_counted() {
    let home = scratch_dir();
    let (data_dir, file) = (home.path().join("data"), home.path().join("eo.prom"));
    let path = text(&file);
    let floor = [
        "--min-free-bytes",
        "9223372036854775807",
        "--metrics-file",
        path,
    ];
    let finished = run_node(&data_dir, &floor, events(5_000)).expect_status(exit::SUCCESS);
    let stderr = finished.stderr;
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("requests are refused: "), "{stderr}");
    let samples = read(&fs::read_to_string(&file).expect("it is there"));
    assert_eq!(
        value(&samples, "errors_total", Some(("code", "11"))),
        5_000.0
    );
}
