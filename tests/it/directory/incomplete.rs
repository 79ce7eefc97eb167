//! State directories in which something is missing, left over or foreign.

use super::{answer, event_of, on, reply};
use crate::kit::{Snapshot, exit, home_and_data_dir, scratch_dir, text};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory that accepted two events and was closed well.
fn used() -> (TempDir, PathBuf) {
    let (home, data_dir) = home_and_data_dir();
    answer(&data_dir, &[event_of("e1"), event_of("e2")]);
    (home, data_dir)
}

fn set(data_dir: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(data_dir.join(name), bytes).expect("it can be written");
}

#[test]
fn a_directory_of_a_newer_format_is_refused_and_both_formats_are_named() {
    for stage in ["ready", "creating", "of another kind"] {
        let (_home, data_dir) = used();
        set(&data_dir, "sentinel", format!("exactly-once 6 {stage}\n"));
        let before = Snapshot::of(&data_dir);
        for command in ["run", "dump"] {
            let line = on(command, &data_dir, "").expect_refusal(exit::UNUSABLE);
            for part in ["format 6", "format 5"] {
                assert!(line.contains(part), "{part}: {line}");
            }
        }
        assert_eq!(Snapshot::of(&data_dir), before);
    }
}

#[test]
fn a_sentinel_that_says_something_else_is_refused() {
    for sentinel in [
        "",
        "\n",
        "garbage",
        "exactly-once",
        "exactly-once 5",
        "exactly-once 5 read",
        "exactly-once 5 ready creating",
        "\u{0}\u{0}\u{0}",
    ] {
        let (_home, data_dir) = used();
        set(&data_dir, "sentinel", sentinel);
        refused_unchanged(&data_dir, sentinel);
    }
    let (_home, data_dir) = used();
    set(&data_dir, "sentinel", b"\xff\xfe");
    refused_unchanged(&data_dir, "no text");
    fs::remove_file(data_dir.join("sentinel")).expect("it is there");
    refused_unchanged(&data_dir, "no sentinel");
    fs::create_dir(data_dir.join("sentinel")).expect("it can be made");
    refused_unchanged(&data_dir, "a folder");
}

fn refused_unchanged(data_dir: &Path, what: &str) {
    let before = Snapshot::of(data_dir);
    for command in ["run", "dump"] {
        let line = on(command, data_dir, "").expect_refusal(exit::UNUSABLE);
        assert!(line.contains("sentinel"), "{what:?}: {line}");
    }
    assert_eq!(Snapshot::of(data_dir), before, "{what:?}");
}

#[test]
fn a_directory_whose_database_is_gone_is_refused_and_never_silently_fresh() {
    for (is_deleted, what) in [(true, "missing"), (false, "empty")] {
        let (_home, data_dir) = used();
        let database = data_dir.join("db");
        let kept = fs::read(&database).expect("it is there");
        if is_deleted {
            fs::remove_file(&database).expect("it is there");
        } else {
            set(&data_dir, "db", "");
        }
        // The second start must not find a database that the first one made.
        for _ in 0..2 {
            let line = on("run", &data_dir, "").expect_refusal(exit::UNUSABLE);
            for part in [what, text(&database)] {
                assert!(line.contains(part), "{part}: {line}");
            }
        }
        assert_eq!(database.exists(), !is_deleted, "no file may be made");
        set(&data_dir, "db", kept);
        assert_eq!(answer(&data_dir, &[event_of("e1")]), reply(2, true));
    }
}

#[test]
fn dump_refuses_a_directory_whose_database_is_gone() {
    let (_home, data_dir) = used();
    set(&data_dir, "db", "");
    let empty = Snapshot::of(&data_dir);
    on("dump", &data_dir, "").expect_refusal(exit::UNUSABLE);
    assert_eq!(Snapshot::of(&data_dir), empty);
    fs::remove_file(data_dir.join("db")).expect("it is there");
    on("dump", &data_dir, "").expect_refusal(exit::UNUSABLE);
}

#[test]
fn a_database_that_is_no_database_any_more_is_refused_and_never_silently_fresh() {
    let mut accepted = Vec::new();
    for (what, damage) in [
        ("one byte", (|bytes| bytes.truncate(1)) as fn(&mut Vec<u8>)),
        ("zeros", |bytes| bytes.fill(0)),
        ("garbage", |bytes| bytes.fill(b'x')),
    ] {
        for command in ["run", "dump"] {
            let (_home, data_dir) = used();
            let mut bytes = fs::read(data_dir.join("db")).expect("it is there");
            damage(&mut bytes);
            set(&data_dir, "db", bytes);
            let finished = on(command, &data_dir, "");
            match finished.code() {
                Some(code @ (exit::UNUSABLE | exit::STORAGE)) => {
                    drop(finished.expect_refusal(code))
                }
                _ => accepted.push((what, command, finished)),
            }
        }
    }
    assert!(accepted.is_empty(), "{accepted:?}");
}

#[test]
fn an_old_sentinel_of_a_directory_that_was_used_since_does_not_have_it_removed() {
    let (_home, data_dir) = used();
    set(&data_dir, "sentinel", "exactly-once 5 creating\n");
    for command in ["dump", "verify", "run", "run"] {
        let line = on(command, &data_dir, "").expect_refusal(exit::UNUSABLE);
        assert!(line.contains("sentinel"), "{line}");
    }
    set(&data_dir, "sentinel", "exactly-once 5 ready\n");
    assert_eq!(answer(&data_dir, &[event_of("e1")]), reply(2, true));
}

#[test]
fn a_snapshot_file_that_a_killed_process_left_is_removed_and_everything_is_there() {
    for content in [&b""[..], b"garbage", &[0; 4096]] {
        let (_home, data_dir) = used();
        let left = "snap.0000000000000001.generating";
        set(&data_dir, left, content);
        let before = Snapshot::of(&data_dir);
        let dumped = on("dump", &data_dir, "").expect_quiet_success();
        assert_eq!(Snapshot::of(&data_dir), before, "dump changes nothing");
        assert_eq!(answer(&data_dir, &[event_of("e2")]), reply(2, true));
        assert!(!data_dir.join(left).exists());
        assert_eq!(on("dump", &data_dir, "").expect_quiet_success(), dumped);
    }
}

#[test]
fn a_first_start_that_was_killed_is_started_again_from_nothing() {
    let (_home, whole) = used();
    let read = |name| fs::read(whole.join(name)).expect("it is there");
    let (db, conf) = (read("db"), read("conf"));
    for (what, left) in [
        ("nothing", &[][..]),
        ("an empty db", &[("db", &b""[..])]),
        ("a db", &[("db", &db), ("conf", &conf)]),
        ("half a db", &[("db", &db[..db.len() / 2]), ("conf", &conf)]),
        (
            "half a conf",
            &[("db", &db), ("conf", &conf[..conf.len() / 2])],
        ),
        ("an empty conf", &[("conf", b"")]),
        ("garbage", &[("db", b"garbage"), ("conf", b"garbage")]),
        (
            "snapshots",
            &[("db", &db), ("snap.0000000000000001.generating", b"x")],
        ),
        (
            "a snapshot",
            &[("conf", &conf), ("snap.0000000000000040", b"x")],
        ),
        (
            "a new sentinel",
            &[("db", &db), ("sentinel.new", b"exactly-once 3 re")],
        ),
    ] {
        let (_home, data_dir) = home_and_data_dir();
        fs::create_dir_all(data_dir.join("blobs")).expect("it can be made");
        set(&data_dir, "lock", "1\n");
        set(&data_dir, "sentinel", "exactly-once 5 creating\n");
        left.iter()
            .for_each(|(name, bytes)| set(&data_dir, name, bytes));
        let before = Snapshot::of(&data_dir);
        on("dump", &data_dir, "").expect_refusal(exit::UNUSABLE);
        assert_eq!(Snapshot::of(&data_dir), before, "{what}");
        assert_eq!(
            answer(&data_dir, &[event_of("e1")]),
            reply(1, false),
            "{what}"
        );
        assert_eq!(
            answer(&data_dir, &[event_of("e1")]),
            reply(1, true),
            "{what}"
        );
        let sentinel = fs::read_to_string(data_dir.join("sentinel"));
        assert_eq!(sentinel.expect("it is there"), "exactly-once 5 ready\n");
    }
}

#[test]
fn a_start_that_was_killed_before_its_sentinel_was_whole_is_started_again() {
    for left in [&["lock"][..], &["sentinel.new"], &["lock", "sentinel.new"]] {
        let home = scratch_dir();
        left.iter().for_each(|name| set(home.path(), name, ""));
        on("dump", home.path(), "").expect_refusal(exit::UNUSABLE);
        assert_eq!(answer(home.path(), &[event_of("e1")]), reply(1, false));
        assert_eq!(answer(home.path(), &[event_of("e1")]), reply(1, true));
    }
}
