//! What `verify` says of sound directories, and that it names what is wrong with others.
//!
//! Here the database is changed through sled itself, as no damage of its files could be relied on
//! to do: an entry that is gone, or stands under another's key.

use crate::client::{run_with, scratch_dir};
use crate::command::{Finished, binary, on_directory, run};
use crate::directory::{Snapshot, copy};
use crate::oracle::Request;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// The line that verify prints.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Verified(Report),
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Report {
    clean: bool,
    positions: u64,
    events: u64,
    words: u64,
    pending: u64,
    outputs: u64,
    commits: u64,
    checkpoints: u64,
    snapshots: u64,
    runs: u64,
    findings: Vec<Finding>,
    untold: u64,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Finding {
    class: String,
    text: String,
}

/// An edit of the database.
type Edit = fn(&sled::Db);
/// Something that is done to the files of a directory.
type Damage = fn(&Path);

const EVENTS: u64 = 600;

/// A state whose sets are too much in pieces to stand in their records: every other event was
/// released and stayed, the others were rolled back.
fn fragmented(data_dir: &Path) {
    let event = |number: u64| Request::Process {
        event_id: format!("e{number}"),
        word: format!("w{}{}", number % 50, "-".repeat(100)),
    };
    let name = |id: &str| id.to_owned();
    let mut requests = vec![Request::Checkpoint { id: name("empty") }];
    requests.extend((0..EVENTS).step_by(2).map(event));
    requests.push(Request::Commit);
    requests.push(Request::Restore { id: name("empty") });
    requests.extend((0..EVENTS).map(event));
    requests.push(Request::Rollback);
    requests.push(Request::Checkpoint { id: name("half") });
    requests.extend((EVENTS..EVENTS + 10).map(event));
    requests.push(Request::Commit);
    requests.extend((EVENTS + 10..EVENTS + 20).map(event));
    let input: String = requests.iter().map(|r| r.line(1) + "\n").collect();
    let arguments = ["--quiet", "--snapshot-every", "100"];
    let (_, stderr, status) = run_with(data_dir, &arguments, input.as_bytes());
    assert!(status.success(), "{stderr}");
}

fn verify(data_dir: &Path) -> Finished {
    run(binary().args(["verify", "--data-dir"]).arg(data_dir), "")
}

fn report(stdout: &str) -> Report {
    let line = stdout.strip_suffix('\n').expect("a whole line");
    let Line::Verified(report) =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    report
}

/// Checks the status, that the report begins with this class, and that it was said too.
fn expect_finding(data_dir: &Path, status: i32, class: &str) {
    let finished = verify(data_dir);
    let report = report(&finished.stdout);
    assert!(!report.clean);
    let gravest = report.findings.first().expect("something was found");
    assert_eq!(gravest.class, class, "{report:?}");
    assert_eq!(finished.code, Some(status), "{report:?}");
    let said = format!("exactly-once: {class}: {}\n", gravest.text);
    assert!(finished.stderr.contains(&said), "{}", finished.stderr);
}

fn edit(data_dir: &Path, edit: Edit) {
    let db = sled::open(data_dir).expect("nobody else has it open");
    edit(&db);
    db.flush().expect("there is room");
}

fn tree(db: &sled::Db, name: &str) -> sled::Tree {
    db.open_tree(name).expect("it is there")
}

fn keys(tree: &sled::Tree) -> Vec<sled::IVec> {
    let keys = tree.iter().keys();
    keys.map(|key| key.expect("it can be read")).collect()
}

fn remove(tree: &sled::Tree, key: impl AsRef<[u8]>) {
    let removed = tree.remove(key).expect("it can be written");
    assert!(removed.is_some(), "it was there");
}

/// Each of two entries gets the other's value.
fn swap(tree: &sled::Tree, keys: [&[u8]; 2]) {
    let [first, second] = keys.map(|key| tree.get(key).expect("it can be read"));
    let first = first.expect("it is there");
    let second = second.expect("it is there");
    assert_ne!(first, second);
    tree.insert(keys[0], second).expect("it can be written");
    tree.insert(keys[1], first).expect("it can be written");
}

/// Removes the pieces of a set.
fn remove_set(db: &sled::Db, set: u64) {
    let sets = tree(db, "sets");
    let pieces: Vec<_> = sets.scan_prefix(set.to_be_bytes()).keys().collect();
    assert!(!pieces.is_empty(), "set {set} has pieces");
    for piece in pieces {
        remove(&sets, piece.expect("it can be read"));
    }
}

#[test]
fn a_sound_directory_is_clean_and_no_byte_of_it_changes() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    fragmented(&data_dir);
    let before = Snapshot::of(&data_dir);
    let stdout = verify(&data_dir).expect_quiet_success();
    assert_eq!(Snapshot::of(&data_dir), before);
    let found = report(&stdout);
    assert!(found.snapshots > 0);
    let expected = Report {
        clean: true,
        positions: EVENTS / 2 + EVENTS + 20,
        events: EVENTS / 2 + 20,
        words: 35,
        pending: 10,
        outputs: EVENTS / 2 + 10,
        commits: 2,
        checkpoints: 2,
        snapshots: found.snapshots,
        runs: found.runs,
        findings: Vec::new(),
        untold: 0,
    };
    assert_eq!(found, expected);
}

#[test]
fn what_is_gone_from_the_database_or_stands_under_another_key_is_named() {
    let cases: [(&str, i32, &str, Edit); 12] = [
        ("a block of the journal", 12, "journal", |db| {
            let journal = tree(db, "journal");
            remove(&journal, &keys(&journal)[3]);
        }),
        ("the last block", 12, "journal", |db| {
            let journal = tree(db, "journal");
            remove(&journal, keys(&journal).last().expect("there are blocks"));
        }),
        ("swapped blocks", 12, "journal", |db| {
            let journal = tree(db, "journal");
            let keys = keys(&journal);
            swap(&journal, [&keys[1], &keys[2]]);
        }),
        ("a checkpoint's set", 13, "sets", |db| {
            let sets = tree(db, "sets");
            let last = keys(&sets).pop().expect("there are sets");
            remove(&sets, last);
        }),
        ("a set of nothing", 13, "sets", |db| {
            let key = [1_000_u64.to_be_bytes(), 0_u64.to_be_bytes()].concat();
            let sets = tree(db, "sets");
            sets.insert(key, b"x").expect("it can be written");
        }),
        ("the closed part of the timeline", 14, "counts", |db| {
            remove_set(db, 1);
        }),
        ("the released positions", 15, "outputs", |db| {
            remove_set(db, 2);
        }),
        ("a pack of releases", 15, "outputs", |db| {
            remove(&tree(db, "releases"), 0_u64.to_be_bytes());
        }),
        ("half a checkpoint", 16, "checkpoints", |db| {
            let checkpoints = tree(db, "checkpoints");
            let value = checkpoints.get("half").expect("it can be read");
            let value = value.expect("it is there");
            let cut = checkpoints.insert("half", &value[..value.len() / 2]);
            cut.expect("it can be written");
        }),
        ("a block of a snapshot", 17, "snapshots", |db| {
            let counts = tree(db, "counts");
            remove(&counts, keys(&counts).last().expect("there are snapshots"));
        }),
        ("a checkpoint", 18, "digests", |db| {
            remove(&tree(db, "checkpoints"), "empty");
        }),
        ("swapped checkpoints", 18, "digests", |db| {
            swap(&tree(db, "checkpoints"), [b"empty", b"half"]);
        }),
    ];
    for (what, status, class, change) in cases {
        println!("{what}");
        let home = scratch_dir();
        let data_dir = home.path().join("data");
        fragmented(&data_dir);
        edit(&data_dir, change);
        expect_finding(&data_dir, status, class);
    }
}

#[test]
fn what_can_still_be_read_is_checked_though_the_releases_cannot() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    fragmented(&data_dir);
    edit(&data_dir, |db| {
        remove(&tree(db, "releases"), 0_u64.to_be_bytes());
    });
    let report = report(&verify(&data_dir).stdout);
    assert_eq!((report.events, report.words), (EVENTS / 2 + 20, 35));
}

/// A snapshot only saves time: without it everything is counted from the journal.
#[test]
fn a_counts_snapshot_that_cannot_be_read_changes_no_answer() {
    let home = scratch_dir();
    let [sound, damaged] = ["sound", "damaged"].map(|name| home.path().join(name));
    fragmented(&sound);
    // A clean end has one taken of the present state, however far the threads were.
    let last = Request::Process {
        event_id: "last".to_owned(),
        word: "w".to_owned(),
    };
    let input = last.line(1) + "\n";
    let (_, stderr, status) = run_with(&sound, &["--snapshot-every", "1"], input.as_bytes());
    assert!(status.success(), "{stderr}");
    copy(&sound, &damaged);
    edit(&damaged, |db| {
        let counts = tree(db, "counts");
        // The headers stay: their block number is 0.
        let blocks = keys(&counts).into_iter().filter(|key| key[8..] != [0; 4]);
        blocks.for_each(|key| remove(&counts, key));
    });
    let [expected, found] = [&sound, &damaged].map(|data_dir| {
        let arguments = ["show", "half"];
        run(&mut on_directory("checkpoints", data_dir, &arguments), "")
    });
    assert_eq!(found.code, Some(0), "{}", found.stderr);
    assert_eq!(found.stdout, expected.stdout);
    assert!(
        found.stderr.contains("counting every event instead"),
        "{}",
        found.stderr
    );
    let restore =
        ["empty", "half", "empty", "half"].map(|id| Request::Restore { id: id.to_owned() });
    let input: String = restore.iter().map(|r| r.line(1) + "\n").collect();
    let [expected, found] =
        [sound, damaged].map(|data_dir| run_with(&data_dir, &[], input.as_bytes()));
    assert!(expected.2.success() && found.2.success(), "{}", found.1);
    assert_eq!(found.0, expected.0);
    assert!(
        found.1.contains("counting every event instead"),
        "{}",
        found.1
    );
}

#[test]
fn what_is_wrong_with_the_files_is_named() {
    let cases: [(i32, &str, Damage); 5] = [
        (10, "lost", |data_dir| {
            fs::remove_file(data_dir.join("watermark")).expect("it is there");
        }),
        (10, "lost", |data_dir| {
            fs::write(data_dir.join("db"), "").expect("it can be written");
        }),
        (11, "unreadable", |data_dir| {
            // What was written before the last open is read where sled's snapshot says it is.
            (0..2).for_each(|_| drop(run_with(data_dir, &[], b"")));
            let mut bytes = fs::read(data_dir.join("db")).expect("it is there");
            bytes[64..4096].fill(0);
            fs::write(data_dir.join("db"), bytes).expect("it can be written");
        }),
        (20, "files", |data_dir| {
            let path = data_dir.join("watermark");
            let mut bytes = fs::read(&path).expect("it is there");
            bytes[4096] ^= 1;
            fs::write(path, bytes).expect("it can be written");
        }),
        (20, "files", |data_dir| {
            fs::write(data_dir.join("blobs/1"), "").expect("it can be written");
        }),
    ];
    for (status, class, change) in cases {
        println!("{class}");
        let home = scratch_dir();
        let data_dir = home.path().join("data");
        fragmented(&data_dir);
        change(&data_dir);
        expect_finding(&data_dir, status, class);
    }
}

#[test]
fn a_storage_that_does_not_answer_is_named_too() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    fragmented(&data_dir);
    // Whoever opens this waits for a writer that never comes.
    let conf = data_dir.join("conf");
    fs::remove_file(&conf).expect("it is there");
    mknodat(CWD, &conf, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("it can be made");
    let on = |command: &str| {
        let mut process = binary();
        // The copy of a process that ends in this way stays.
        process.env("TMPDIR", home.path());
        process.args([command, "--storage-timeout", "1", "--data-dir"]);
        run(process.arg(&data_dir), "")
    };
    for command in ["run", "dump"] {
        let line = on(command).expect_refusal(5);
        assert!(line.contains("stuck for 1 s"), "{line}");
    }
    let verified = on("verify");
    assert_eq!(verified.code, Some(11), "{}", verified.stderr);
    let report = report(&verified.stdout);
    assert_eq!(report.findings[0].class, "unreadable");
    assert!(report.findings[0].text.contains("stuck for 1 s"));
}

#[test]
fn what_is_no_directory_of_ours_is_refused_as_by_every_command() {
    let home = scratch_dir();
    verify(&home.path().join("missing")).expect_refusal(3);
    fs::write(home.path().join("mine"), "").expect("it can be written");
    verify(home.path()).expect_refusal(3);
    let nameless = run(binary().arg("verify"), "");
    assert_eq!(nameless.code, Some(2), "the directory must be named");
}

#[test]
fn every_status_of_verify_stands_in_its_help() {
    let help = run(binary().args(["verify", "--help"]), "").expect_quiet_success();
    for (status, class) in (10..).zip(exactly_once::verify::Class::ALL) {
        let line = format!("  {status} {} ", class.name());
        assert!(help.contains(&line), "{line} is not in {help}");
    }
}
