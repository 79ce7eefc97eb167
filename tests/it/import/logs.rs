//! Logs: lines without ids, files that grow, files that are replaced.

use super::{counts_of, import, imported};
use crate::kit::{exit, run_on, scratch_dir};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;

#[test]
fn equal_lines_are_one_event_by_content_and_each_line_is_one_by_offset() {
    let home = scratch_dir();
    let log = "GET /a 200\nGET /b 404\nGET /a 200\n";
    fs::write(home.path().join("access.log"), log).expect("there is room");
    let by = |way: &'static str| ["--id-by", way, "--word", "field:3", "access.log"];
    assert_eq!(imported(home.path(), &by("content"), "", 0).new, 2);
    assert_eq!(imported(home.path(), &by("content"), "", 0).new, 0);
    assert_eq!(imported(home.path(), &by("offset"), "", 0).new, 3);
    let ids: Vec<String> = ["access.log:0", "access.log:11", "access.log:22"]
        .map(|id| {
            let found = run_on("get", &home.path().join("state"), &[id]).expect_record();
            format!("{} {}", found["in_state"], found["word"])
        })
        .into();
    assert_eq!(ids, ["true \"200\"", "true \"404\"", "true \"200\""]);
}

#[test]
fn a_log_that_grows_is_counted_once_however_it_is_cut() {
    let home = scratch_dir();
    let log: String = (0..300)
        .map(|n| format!("line {n} {}\r\n", n % 7))
        .collect();
    let arguments = [
        "--id-by",
        "offset",
        "--word",
        "field:3",
        "--growing",
        "access.log",
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut end, mut left) = (0, 0);
    while end < log.len() {
        end = log.len().min(end + rng.random_range(1..400));
        fs::write(home.path().join("access.log"), &log[..end]).expect("there is room");
        let summary = imported(home.path(), &arguments, "", 0);
        left += summary.unfinished;
        let lines = log[..end].matches('\n').count() as u64;
        assert_eq!(summary.new + summary.seen_before, lines);
    }
    assert!(left > 5, "some cuts are within a line");
    let counts = counts_of(&home.path().join("state"));
    assert_eq!(counts.values().sum::<u64>(), 300);
    assert!(counts.values().all(|&count| count >= 300 / 7));
}

#[test]
fn another_file_under_an_old_name_is_noticed_and_has_a_way_in() {
    let home = scratch_dir();
    let path = home.path().join("access.log");
    let log = |words: &[&str]| -> String { words.iter().map(|w| format!("x {w}\n")).collect() };
    let arguments = ["--id-by", "offset", "--word", "field:2", "access.log"];
    fs::write(&path, log(&["200", "404", "200"])).expect("there is room");
    assert_eq!(imported(home.path(), &arguments, "", 0).new, 3);
    fs::write(&path, log(&["200", "500", "200", "200"])).expect("there is room");
    let told = import(home.path(), &arguments, "")
        .expect_status(exit::ROTATED)
        .stderr;
    assert!(told.contains("line 2 has another word"), "{told}");
    assert!(told.contains("--source NAME (0 of its events"), "{told}");
    let named = [&arguments[..], &["--source", "access.log.2"]].concat();
    assert_eq!(imported(home.path(), &named, "", 0).new, 4);
    let counts = counts_of(&home.path().join("state"));
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [
            ("200".to_owned(), 5),
            ("404".to_owned(), 1),
            ("500".to_owned(), 1),
        ]
    );
}
