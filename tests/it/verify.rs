//! `verify` finds a sound directory clean, and names what is wrong with any other.
//!
//! The tests edit the database through sled itself, because damage to its files cannot be relied on
//! to remove an entry or to put it under another key.

use crate::kit::{
    Finished, Snapshot, binary, checkpoint, copy, event, exit, flip_a_bit, home_and_data_dir,
    numbered_input, restore, run, run_node, run_on, scratch_dir,
};
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
    more_findings: u64,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Finding {
    class: String,
    text: String,
}

/// An edit of the database.
type Edit = fn(&sled::Db);
/// A change of the files of a directory.
type Damage = fn(&Path);

const EVENTS: u64 = 600;

/// Makes a state whose sets have too many pieces to be stored inline: every second event was
/// released and stayed, and the others were rolled back.
fn fragmented(data_dir: &Path) {
    let event = |number: u64| {
        event(
            format!("e{number}"),
            format!("w{}{}", number % 50, "-".repeat(100)),
        )
    };
    let mut requests = vec![checkpoint("empty")];
    requests.extend((0..EVENTS).step_by(2).map(event));
    requests.push(Request::Commit);
    requests.push(restore("empty"));
    requests.extend((0..EVENTS).map(event));
    requests.push(Request::Rollback);
    requests.push(checkpoint("half"));
    requests.extend((EVENTS..EVENTS + 10).map(event));
    requests.push(Request::Commit);
    requests.extend((EVENTS + 10..EVENTS + 20).map(event));
    let input = numbered_input(1, &requests);
    let arguments = ["--quiet", "--snapshot-every", "100"];
    run_node(data_dir, &arguments, input).expect_success();
}

fn verify(data_dir: &Path) -> Finished {
    run_on("verify", data_dir, &[])
}

fn report(stdout: &str) -> Report {
    let line = stdout.strip_suffix('\n').expect("a whole line");
    let Line::Verified(report) =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    report
}

/// Checks the exit status, and that this class comes first in the report and is on standard error.
fn expect_finding(data_dir: &Path, status: i32, class: &str) {
    let finished = verify(data_dir);
    let report = report(&finished.stdout);
    assert!(!report.clean);
    let gravest = report.findings.first().expect("something was found");
    assert_eq!(gravest.class, class, "{report:?}");
    assert_eq!(finished.code(), Some(status), "{report:?}");
    let said = format!("exactly-once: {class}: {}\n", gravest.text);
    assert!(finished.stderr.contains(&said), "{}", finished.stderr);
}

fn edit(data_dir: &Path, edit: Edit) {
    let db = sled::open(data_dir).expect("no other process has it open");
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

/// Swaps the values of two entries.
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
    let (_home, data_dir) = home_and_data_dir();
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
        more_findings: 0,
    };
    assert_eq!(found, expected);
}

/// Edits of a database, each with the exit status and the class of the finding of `verify`.
const EDITS: [(&str, i32, &str, Edit); 12] = [
    ("a block of the journal", exit::JOURNAL, "journal", |db| {
        let journal = tree(db, "journal");
        remove(&journal, &keys(&journal)[3]);
    }),
    ("the last block", exit::JOURNAL, "journal", |db| {
        let journal = tree(db, "journal");
        remove(&journal, keys(&journal).last().expect("there are blocks"));
    }),
    ("swapped blocks", exit::JOURNAL, "journal", |db| {
        let journal = tree(db, "journal");
        let keys = keys(&journal);
        swap(&journal, [&keys[1], &keys[2]]);
    }),
    ("a checkpoint's set", exit::SETS, "sets", |db| {
        let sets = tree(db, "sets");
        let last = keys(&sets).pop().expect("there are sets");
        remove(&sets, last);
    }),
    ("a set of nothing", exit::SETS, "sets", |db| {
        let key = [1_000_u64.to_be_bytes(), 0_u64.to_be_bytes()].concat();
        let sets = tree(db, "sets");
        sets.insert(key, b"x").expect("it can be written");
    }),
    (
        "the closed part of the timeline",
        exit::COUNTS,
        "counts",
        |db| {
            remove_set(db, 1);
        },
    ),
    ("the released positions", exit::OUTPUTS, "outputs", |db| {
        remove_set(db, 2);
    }),
    ("a pack of releases", exit::OUTPUTS, "outputs", |db| {
        remove(&tree(db, "releases"), 0_u64.to_be_bytes());
    }),
    (
        "half a checkpoint",
        exit::CHECKPOINTS,
        "checkpoints",
        |db| {
            let checkpoints = tree(db, "checkpoints");
            let value = checkpoints.get("half").expect("it can be read");
            let value = value.expect("it is there");
            let cut = checkpoints.insert("half", &value[..value.len() / 2]);
            cut.expect("it can be written");
        },
    ),
    (
        "a block of a snapshot",
        exit::SNAPSHOTS,
        "snapshots",
        |db| {
            let counts = tree(db, "counts");
            remove(&counts, keys(&counts).last().expect("there are snapshots"));
        },
    ),
    ("a checkpoint", exit::DIGESTS, "digests", |db| {
        remove(&tree(db, "checkpoints"), "empty");
    }),
    ("swapped checkpoints", exit::DIGESTS, "digests", |db| {
        swap(&tree(db, "checkpoints"), [b"empty", b"half"]);
    }),
];

#[test]
fn what_is_gone_from_the_database_or_stands_under_another_key_is_named() {
    for (what, status, class, change) in EDITS {
        println!("{what}");
        let (_home, data_dir) = home_and_data_dir();
        fragmented(&data_dir);
        edit(&data_dir, change);
        expect_finding(&data_dir, status, class);
    }
}

#[test]
fn what_can_still_be_read_is_checked_though_the_releases_cannot() {
    let (_home, data_dir) = home_and_data_dir();
    fragmented(&data_dir);
    edit(&data_dir, |db| {
        remove(&tree(db, "releases"), 0_u64.to_be_bytes());
    });
    let report = report(&verify(&data_dir).stdout);
    assert_eq!((report.events, report.words), (EVENTS / 2 + 20, 35));
}

/// A counts snapshot only saves time: without it all events of the journal are counted.
#[test]
fn a_counts_snapshot_that_cannot_be_read_changes_no_answer() {
    let home = scratch_dir();
    let [sound, damaged] = ["sound", "damaged"].map(|name| home.path().join(name));
    fragmented(&sound);
    // A clean end stores one of the present state, whatever the threads have done so far.
    let last = event("last", "w");
    let input = last.line(1) + "\n";
    run_node(&sound, &["--snapshot-every", "1"], input).expect_success();
    copy(&sound, &damaged);
    edit(&damaged, |db| {
        let counts = tree(db, "counts");
        // The headers stay: their block number is 0.
        let blocks = keys(&counts).into_iter().filter(|key| key[8..] != [0; 4]);
        blocks.for_each(|key| remove(&counts, key));
    });
    let [expected, found] = [&sound, &damaged].map(|data_dir| {
        let arguments = ["show", "half"];
        run_on("checkpoints", data_dir, &arguments)
    });
    assert!(found.status.success(), "{}", found.stderr);
    assert_eq!(found.stdout, expected.stdout);
    assert!(
        found.stderr.contains("counting every event instead"),
        "{}",
        found.stderr
    );
    let restore = ["empty", "half", "empty", "half"].map(restore);
    let input = numbered_input(1, &restore);
    let [expected, found] = [sound, damaged].map(|data_dir| run_node(&data_dir, &[], &input));
    let told = found.stderr.clone();
    assert_eq!(found.expect_success(), expected.expect_success());
    assert!(told.contains("counting every event instead"), "{told}");
}

#[test]
fn what_is_wrong_with_the_files_is_named() {
    let cases: [(i32, &str, Damage); 5] = [
        (exit::LOST, "lost", |data_dir| {
            fs::remove_file(data_dir.join("watermark")).expect("it is there");
        }),
        (exit::LOST, "lost", |data_dir| {
            fs::write(data_dir.join("db"), "").expect("it can be written");
        }),
        (exit::UNREADABLE, "unreadable", |data_dir| {
            // sled reads older writes at the places that its own snapshot file names.
            (0..2).for_each(|_| drop(run_node(data_dir, &[], "")));
            let mut bytes = fs::read(data_dir.join("db")).expect("it is there");
            bytes[64..4096].fill(0);
            fs::write(data_dir.join("db"), bytes).expect("it can be written");
        }),
        (exit::FILES, "files", |data_dir| {
            flip_a_bit(&data_dir.join("watermark"), 4096);
        }),
        (exit::FILES, "files", |data_dir| {
            fs::write(data_dir.join("blobs/1"), "").expect("it can be written");
        }),
    ];
    for (status, class, change) in cases {
        println!("{class}");
        let (_home, data_dir) = home_and_data_dir();
        fragmented(&data_dir);
        change(&data_dir);
        expect_finding(&data_dir, status, class);
    }
}

#[test]
fn a_storage_that_does_not_answer_is_named_too() {
    let (home, data_dir) = home_and_data_dir();
    fragmented(&data_dir);
    // To open a FIFO is to wait for a writer, which never comes here.
    let conf = data_dir.join("conf");
    fs::remove_file(&conf).expect("it is there");
    mknodat(CWD, &conf, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("it can be made");
    let on = |command: &str| {
        let mut process = binary();
        // A process that ends in this way leaves its copy in TMPDIR.
        process.env("TMPDIR", home.path());
        process.args([command, "--storage-timeout", "1", "--data-dir"]);
        run(process.arg(&data_dir), "")
    };
    for command in ["run", "dump"] {
        let line = on(command).expect_refusal(exit::STORAGE);
        assert!(line.contains("stuck for 1 s"), "{line}");
    }
    let verified = on("verify");
    assert_eq!(
        verified.code(),
        Some(exit::UNREADABLE),
        "{}",
        verified.stderr
    );
    let report = report(&verified.stdout);
    assert_eq!(report.findings[0].class, "unreadable");
    assert!(report.findings[0].text.contains("stuck for 1 s"));
}

#[test]
fn what_is_no_state_directory_is_refused_and_no_directory_is_a_wrong_argument() {
    let home = scratch_dir();
    verify(&home.path().join("missing")).expect_refusal(exit::UNUSABLE);
    fs::write(home.path().join("mine"), "").expect("it can be written");
    verify(home.path()).expect_refusal(exit::UNUSABLE);
    // The directory must be named.
    run(binary().arg("verify"), "").expect_status(exit::USAGE);
}

#[test]
fn every_status_of_verify_stands_in_its_help() {
    let help = run(binary().args(["verify", "--help"]), "").expect_quiet_success();
    let classes = exactly_once::verify::Class::ALL;
    let known = exit::CLASSES.map(|(name, _)| name);
    assert_eq!(classes.map(|class| class.name()), known);
    for (status, class) in (exit::LOST..).zip(classes) {
        let line = format!("  {status} {} ", class.name());
        assert!(help.contains(&line), "{line} is not in {help}");
    }
}
