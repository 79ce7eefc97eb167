//! The command `dump`, and the log of conflicts.

mod conflicts;
mod format;

use crate::kit::{
    Node, Snapshot, binary, carry_out, checkpoint, digest_line, dump, dump_of, event, exit, finish,
    home_and_data_dir, names, numbered_lines, on_directory, restore, run, scratch_dir, spawn, text,
};
use crate::oracle::{Oracle, Request};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

const SECTIONS: [&str; 7] = [
    "meta",
    "counts",
    "checkpoints",
    "commits",
    "switches",
    "outputs",
    "events",
];

#[test]
fn a_dump_changes_no_byte_and_no_time_and_leaves_no_copy() {
    let home = scratch_dir();
    let (data_dir, temporary) = (home.path().join("data"), home.path().join("temporary"));
    fs::create_dir(&temporary).expect("it can be made");
    send(&data_dir, &requests());
    let before = Snapshot::of(&data_dir);
    for arguments in [
        &[][..],
        &["--only", "counts"],
        &["--format", "table"],
        &["--incidentals"],
    ] {
        let mut command = on_directory("dump", &data_dir, arguments);
        let finished = run(command.env("TMPDIR", &temporary), "");
        assert!(!finished.expect_quiet_success().is_empty());
        assert_eq!(Snapshot::of(&data_dir), before, "{arguments:?}");
    }
    let copies = names(&temporary).len();
    assert_eq!(copies, 0, "the copy was not removed");
}

#[test]
fn a_dump_after_a_kill_changes_nothing_and_the_next_start_finds_what_it_showed() {
    let lines = numbered_lines(1, &requests());
    for answered in [1, 20, 40] {
        let (_home, data_dir) = home_and_data_dir();
        let node = start(&data_dir);
        let (asked, in_flight) = lines.split_at(answered);
        for line in asked {
            node.ask(line);
        }
        node.send_all(in_flight);
        node.signal(Signal::KILL);
        assert_eq!(node.wait().code(), None);
        let before = Snapshot::of(&data_dir);
        let dumped = dump_of(&data_dir, &[]);
        assert_eq!(Snapshot::of(&data_dir), before);
        assert_eq!(dump_of(&data_dir, &[]), dumped);
        send(&data_dir, &[]);
        assert_eq!(dump_of(&data_dir, &[]), dumped);
    }
}

#[test]
fn the_same_requests_give_the_same_bytes_however_they_were_batched() {
    let home = scratch_dir();
    let directory = |name: &str| home.path().join(name);
    let (requests, mut oracle) = (requests(), Oracle::new());
    let lines = numbered_lines(1, &requests);
    let half = requests.len() / 2;
    for request in &requests {
        oracle.apply(request);
    }

    let node = start(&directory("one at a time"));
    for line in &lines {
        node.ask(line);
    }
    node.finish().expect_quiet_success();
    send(&directory("at once"), &requests);
    send(&directory("restarted"), &requests[..half]);
    send(&directory("restarted"), &requests[half..]);
    let node = start(&directory("killed"));
    node.send_all(&lines[..half]);
    for _ in 0..half {
        node.read_line();
    }
    node.signal(Signal::KILL);
    node.wait();
    send(&directory("killed"), &requests[half..]);

    let expected = dump_of(&directory("one at a time"), &[]);
    dump::assert_is(&directory("one at a time"), &oracle);
    for name in ["at once", "restarted", "killed"] {
        assert_eq!(dump_of(&directory(name), &[]), expected, "{name}");
    }
    // Groups and times differ, so a plain dump had something to leave out.
    let incidentals = |name| dump_of(&directory(name), &["--incidentals"]);
    assert_ne!(incidentals("at once"), incidentals("one at a time"));
}

#[test]
fn each_section_alone_equals_its_part_of_the_whole() {
    let (_home, data_dir) = home_and_data_dir();
    send(&data_dir, &requests());
    let parts = |with: &[&str]| {
        SECTIONS.map(|section| {
            let part = dump_of(&data_dir, &[with, &["--only", section]].concat());
            assert!(part.lines().count() >= 2, "{section}: {part}");
            part
        })
    };
    for with in [&[][..], &["--incidentals"]] {
        let whole = dump_of(&data_dir, with);
        assert_eq!(parts(with).concat(), without_digest(&whole));
    }
    // Of several tables, each has a title.
    let table = ["--format", "table"];
    let titled = SECTIONS.iter().zip(parts(&table));
    let titled: Vec<String> = titled
        .map(|(title, part)| format!("{title}\n{part}"))
        .collect();
    assert_eq!(titled.join("\n"), dump_of(&data_dir, &table));
}

#[test]
fn a_directory_without_state_is_refused_and_stays_as_it_is() {
    let home = scratch_dir();
    let missing = home.path().join("missing");
    let empty = home.path().join("empty");
    fs::create_dir(&empty).expect("it can be made");
    let before = Snapshot::of(home.path());
    for data_dir in [missing, empty] {
        let mut command = on_directory("dump", &data_dir, &[]);
        let line = run(&mut command, "").expect_refusal(exit::UNUSABLE);
        let path = text(&data_dir);
        assert!(line.contains(path) && line.contains("no state"), "{line}");
    }
    assert_eq!(Snapshot::of(home.path()), before);
}

#[test]
fn a_state_without_events_can_be_dumped() {
    let (_home, data_dir) = home_and_data_dir();
    send(&data_dir, &[]);
    let meta = dump_of(&data_dir, &["--only", "meta"]);
    assert!(
        meta.contains(r#"{"type":"meta","name":"events","value":0}"#),
        "{meta}"
    );
    assert_eq!(without_digest(&dump_of(&data_dir, &[])), meta);
}

#[test]
fn a_dump_without_a_directory_or_of_an_unknown_section_is_a_wrong_argument() {
    for arguments in [
        &[][..],
        &["--data-dir", "x", "--only", "words"],
        &["--data-dir"],
    ] {
        let finished = run(binary().arg("dump").args(arguments), "");
        assert_eq!(finished.code(), Some(exit::USAGE), "{arguments:?}");
        assert_eq!(finished.stdout, "");
        assert!(finished.stderr.contains("--"), "{}", finished.stderr);
    }
}

#[test]
fn a_dump_whose_reader_has_seen_enough_ends_quietly() {
    let (_home, data_dir) = home_and_data_dir();
    let many: Vec<_> = (0..4_000).map(|n| event(format!("e{n}"), "a")).collect();
    send(&data_dir, &many);
    for format in ["jsonl", "table"] {
        let mut process = spawn(&mut on_directory("dump", &data_dir, &["--format", format]));
        // As with `head -1`, far more than a pipe holds remains unread.
        let mut reader = BufReader::new(process.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        reader.read_line(&mut line).expect("a first line");
        assert!(line.contains("meta"), "{line}");
        drop(reader);
        let finished = finish(process);
        assert_eq!(
            finished.code(),
            Some(exit::INPUT_OR_OUTPUT),
            "the reader of the output is gone"
        );
        assert_eq!(finished.stderr, "");
    }
}

/// Requests after which every section has several records: events inside and outside the state;
/// released, pending and dropped outputs; more than one checkpoint and commit.
fn requests() -> Vec<Request> {
    let events = |range: std::ops::Range<usize>| {
        range.map(|n| event(format!("id{n}"), format!("word{}", n % 5)))
    };
    let mut requests: Vec<_> = events(0..9).collect();
    requests.extend([checkpoint("later"), Request::Commit]);
    requests.extend(events(7..15));
    requests.extend([checkpoint("earlier"), Request::Commit, Request::Commit]);
    requests.extend(events(15..20));
    requests.extend([Request::Rollback, restore("later")]);
    requests.extend(events(3..18));
    requests.push(checkpoint("newest"));
    requests.extend(events(30..33));
    requests
}

fn start(data_dir: &Path) -> Node {
    Node::start(Some(data_dir), &[])
}

/// Sends requests to a new process, all at once, and waits for its end.
fn send(data_dir: &Path, requests: &[Request]) {
    let replies = carry_out(data_dir, &["-q"], requests.iter().cloned());
    assert!(!replies.contains(r#""code""#), "{replies}");
}

/// The lines of a whole dump before its digest, which must match them. Tables have no digest.
fn without_digest(dump: &str) -> &str {
    let Some(at) = dump.find("{\"type\":\"digest\"") else {
        assert!(!dump.starts_with('{'), "{dump}");
        return dump;
    };
    let (records, digest) = dump.split_at(at);
    assert_eq!(digest, digest_line(records));
    records
}
