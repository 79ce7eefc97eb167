//! `import`: data in its own form gives the counts that its records have.
//!
//! The tests make records, write them in each form with code of their own, and know the counts from
//! the records.

mod forms;
mod logs;
mod refusals;

use crate::kit::{
    Finished, Node, SocketClient, binary, dump, exit, home_and_data_dir, on_directory, record_in,
    run, run_on, scratch_dir, verified,
};
use forms::{FORMS, Form, Record};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A summary in JSON; no other member is allowed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    r#type: String,
    source: String,
    records: u64,
    new: u64,
    seen_before: u64,
    conflicts: u64,
    skipped: u64,
    unfinished: u64,
    first_conflict_line: Option<u64>,
    first_skipped: Option<Skipped>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skipped {
    line: u64,
    reason: String,
}

/// Runs an import in `home`.
fn import(home: &Path, arguments: &[&str], input: impl AsRef<[u8]>) -> Finished {
    let mut command = on_directory("import", Path::new("state"), arguments);
    run(command.current_dir(home), input)
}

/// Runs an import that must end with a status, and returns its summary.
#[track_caller]
fn imported(home: &Path, arguments: &[&str], input: impl AsRef<[u8]>, status: i32) -> Summary {
    let all = [&["--summary", "json"], arguments].concat();
    let finished = import(home, &all, input).expect_status(status);
    assert_eq!(finished.stdout, "");
    let mut lines = finished.stderr.lines();
    let line = lines.find(|line| !line.ends_with(" is a new state"));
    let line = line.expect("there is a summary");
    let summary: Summary = record_in(line);
    assert_eq!(summary.r#type, "imported");
    let sum = summary.new + summary.seen_before + summary.conflicts + summary.skipped;
    assert_eq!(summary.records, sum, "{line}");
    assert_eq!(summary.skipped > 0, summary.first_skipped.is_some());
    assert_eq!(summary.conflicts > 0, summary.first_conflict_line.is_some());
    summary
}

fn counts_of(data_dir: &Path) -> BTreeMap<String, u64> {
    let lines = dump::lines(data_dir, Some("counts")).unwrap_or_else(|why| panic!("{why}"));
    let count = |line: &String| {
        let value: serde_json::Value = record_in(line);
        let word = value["word"].as_str().expect("it has a word");
        (
            word.to_owned(),
            value["count"].as_u64().expect("it has a count"),
        )
    };
    lines.iter().map(count).collect()
}

/// The counts of records: of equal ids, the first counts.
fn expected(records: &[Record]) -> BTreeMap<String, u64> {
    let mut seen = BTreeSet::new();
    let mut counts = BTreeMap::new();
    for Record { id, word } in records {
        if seen.insert(id) {
            *counts.entry(word.clone()).or_insert(0) += 1;
        }
    }
    counts
}

/// Texts with all that a form must quote or escape.
fn random_records(rng: &mut ChaCha8Rng, form: &Form) -> Vec<Record> {
    let pieces = form.pieces;
    let mut text = |most: usize| -> String {
        let length = rng.random_range(1..=most);
        (0..length)
            .map(|_| pieces[rng.random_range(0..pieces.len())])
            .collect()
    };
    let mut records: Vec<Record> = (0..60)
        .map(|_| Record {
            id: text(6),
            word: text(2),
        })
        .collect();
    // Every record comes again, with the same word.
    let again = records.clone();
    records.extend(again.into_iter().rev());
    records
}

#[test]
fn the_counts_are_those_of_the_records_in_every_form_and_a_second_time_nothing_is_new() {
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    for form in &FORMS {
        for (number, wrap) in forms::WRAPS.into_iter().enumerate() {
            let home = scratch_dir();
            let records = random_records(&mut rng, form);
            let bytes = wrap(&(form.write)(&records, number % 2 == 1));
            let file = home.path().join(format!("data.{}", form.ending));
            fs::write(&file, &bytes).expect("there is room");
            let file = file.to_str().expect("it is text");
            let first = imported(home.path(), &[form.arguments, &[file]].concat(), "", 0);
            let case = format!("{} {number}: {first:?}", form.name);
            let state = home.path().join("state");
            assert_eq!(counts_of(&state), expected(&records), "{case}");
            let ids: BTreeSet<&String> = records.iter().map(|record| &record.id).collect();
            assert_eq!(first.new, ids.len() as u64, "{case}");
            assert_eq!(first.records, records.len() as u64, "{case}");
            assert_eq!(first.source, file);
            let by_stdin = [form.arguments, form.by_format].concat();
            let second = imported(home.path(), &by_stdin, &bytes, 0);
            assert_eq!((second.new, second.records), (0, first.records), "{case}");
            assert_eq!(second.conflicts, first.conflicts, "{case}");
            assert_eq!(counts_of(&state), expected(&records), "{case}");
            assert_eq!(run_on("stats", &state, &[]).expect_record()["pending"], 0);
        }
    }
}

#[test]
fn a_record_of_a_mebibyte_is_read() {
    let home = scratch_dir();
    let long = "x".repeat(1 << 20);
    for (file, arguments, text) in [
        (
            "a.jsonl",
            &["--id", "/id", "--word", "/w"][..],
            format!("{{\"x\":\"{long}\",\"id\":1,\"w\":\"a\"}}\n"),
        ),
        (
            "a.csv",
            &["--id", "column:id", "--word", "column:w"],
            format!("id,x,w\n2,\"{long}\",a\n"),
        ),
        (
            "a.log",
            &["--id", "field:2", "--word", "field:1"],
            format!("a 3 {long}\n"),
        ),
        (
            "b.log",
            &[
                "--regex",
                "^(?<w>.) (?<id>.) ",
                "--id",
                "group:id",
                "--word",
                "group:w",
            ],
            format!("a 4 {long}\n"),
        ),
        (
            "c.log",
            &["--id-by", "content", "--word", "field:1"],
            format!("a {long}\n"),
        ),
    ] {
        fs::write(home.path().join(file), text).expect("there is room");
        let summary = imported(home.path(), &[arguments, &[file]].concat(), "", 0);
        assert_eq!((summary.records, summary.new), (1, 1), "{file}");
    }
    assert_eq!(counts_of(&home.path().join("state"))["a"], 5);
}

#[test]
fn what_ends_an_input_early_is_named_and_what_came_before_is_counted() {
    let home = scratch_dir();
    let words = "a b c d e f\n".repeat(20_000);
    let whole = forms::gzip(words.as_bytes());
    let unclosed = format!("id,w\n1,a\n2,\"{}", "b\n".repeat(9 << 20));
    for (arguments, bytes, reason) in [
        (
            &["--input-format", "words", "--source", "s"][..],
            &whole[..whole.len() - 9],
            "reading",
        ),
        (
            &[
                "--input-format",
                "csv",
                "--id",
                "field:1",
                "--word",
                "field:2",
            ],
            unclosed.as_bytes(),
            "is a quote not closed?",
        ),
    ] {
        let finished = import(home.path(), arguments, bytes).expect_status(exit::INPUT_OR_OUTPUT);
        let said = &finished.stderr;
        assert!(
            said.contains("standard input could not be read to its end"),
            "{said}"
        );
        let _ = reason;
    }
    let counts = counts_of(&home.path().join("state"));
    assert!(counts["a"] > 1_000, "{counts:?}");
}

#[test]
fn a_conflict_of_ids_that_the_data_has_is_counted_and_named() {
    let home = scratch_dir();
    let text = "a x\nb x\na y\nb x\na z\n";
    let arguments = ["--id", "field:1", "--word", "field:2"];
    let summary = imported(home.path(), &arguments, text, 0);
    assert_eq!(
        (summary.new, summary.seen_before, summary.conflicts),
        (2, 1, 2)
    );
    assert_eq!(summary.first_conflict_line, Some(3));
}

#[test]
fn the_parts_of_a_word_are_joined() {
    let home = scratch_dir();
    let text = "1,a,b\n2,c,d\n";
    let parts = &[
        "--input-format",
        "csv",
        "--no-header",
        "--id",
        "field:1",
        "--word",
        "field:3",
        "--word",
        "field:2",
    ];
    imported(home.path(), &parts[..], text, 0);
    let other = [&parts[..], &["--join", "", "--id-by", "content"]].concat();
    let other: Vec<&str> = other
        .iter()
        .copied()
        .filter(|word| *word != "--id" && *word != "field:1")
        .collect();
    imported(home.path(), &other, text, 0);
    let words: Vec<String> = counts_of(&home.path().join("state")).into_keys().collect();
    assert_eq!(words, ["b a", "ba", "d c", "dc"]);
}

#[test]
fn a_running_node_is_asked_and_its_outputs_are_committed_unless_not_wanted() {
    let home = scratch_dir();
    let state = home.path().join("state");
    let node = Node::start_as(&mut on_directory("serve", &state, &[]));
    node.read_line();
    let arguments = ["--id", "field:1", "--word", "field:2"];
    let kept = [&arguments[..], &["--no-commit"]].concat();
    assert_eq!(imported(home.path(), &kept, "a x\nb x\n", 0).new, 2);
    let pending = || run_on("stats", &state, &[]).expect_record()["pending"].as_u64();
    assert_eq!(pending(), Some(2));
    assert_eq!(imported(home.path(), &arguments, "a x\nc x\n", 0).new, 1);
    assert_eq!(pending(), Some(0));
    let mut client = SocketClient::connect(&state);
    assert_eq!(client.records(r#"{"type":"outputs","msg_id":1}"#).len(), 3);
    node.signal(Signal::TERM);
    node.wait().expect_all_read();
    verified(&state);
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_before_anything_is_read() {
    let (home, _) = home_and_data_dir();
    fs::create_dir(home.path().join("state")).expect("the name is free");
    fs::write(home.path().join("state/file"), "mine").expect("there is room");
    let told = import(
        home.path(),
        &["--id", "field:1", "--word", "field:2"],
        "a x\n",
    );
    told.expect_refusal(exit::UNUSABLE);
}

/// The requests that are printed, sent by `send`, give the same state.
#[test]
fn printed_requests_are_those_that_are_sent() {
    let home = scratch_dir();
    let text = "a x\nb \"y\\\nc z\n";
    let arguments = ["--id", "field:1", "--word", "field:2"];
    imported(
        home.path(),
        &[&arguments[..], &["--no-commit"]].concat(),
        text,
        0,
    );
    let mut print = binary();
    print.args(["import", "--print"]).args(arguments);
    let printed = run(&mut print, text).expect_quiet_success();
    let other = home.path().join("other");
    run(&mut on_directory("send", &other, &["-q"]), printed).expect_quiet_success();
    let dumped =
        |data_dir: &Path| dump::lines(data_dir, None).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(dumped(&other), dumped(&home.path().join("state")));
}
