//! A directory of format 4, as an earlier program wrote it. It can be read and dumped, the dump can
//! be loaded, and `upgrade` moves it to the present format. No other command changes it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::kit::{
    Aim, Beginning, CheckedNode, Deed, Files, Hit, Moment, Snapshot, checkpoint, dump, dump_of,
    event, exit, golden, on_directory, record_in, restore, run, run_on, scratch_dir, verified,
};
use crate::oracle::{Oracle, Request};

fn of_format_4(name: &str) -> PathBuf {
    golden("format-4").join(name)
}

/// A copy of the directory, with the empty folder of sled that the repository cannot hold.
fn old_directory(home: &Path) -> PathBuf {
    let copy = home.join("old");
    fs::create_dir_all(copy.join("blobs")).expect("there is room");
    for name in ["db", "conf", "sentinel", "watermark"] {
        let from = of_format_4("state").join(name);
        fs::copy(from, copy.join(name)).expect("there is room");
    }
    copy
}

/// The oracle after the requests that made the directory.
fn expected() -> Oracle {
    let mut oracle = Oracle::new();
    let requests = fs::read_to_string(of_format_4("requests.jsonl")).expect("it is there");
    for line in requests.lines() {
        let line: serde_json::Value = record_in(line);
        let text = |name: &str| line["body"][name].as_str().unwrap_or_default().to_owned();
        oracle.apply(&match &*text("type") {
            "process" => event(text("event_id"), text("word")),
            "checkpoint" => checkpoint(text("checkpoint_id")),
            "restore" => restore(text("checkpoint_id")),
            "commit" => Request::Commit,
            "rollback" => Request::Rollback,
            other => panic!("unknown: {other}"),
        });
    }
    oracle
}

/// Restores every checkpoint and commits, checks each reply, and then compares the dump.
fn go_on(dir: &Path, oracle: Oracle) {
    let names: Vec<_> = oracle
        .checkpoints()
        .map(|checkpoint| checkpoint.name)
        .collect();
    assert!(names.len() > 5, "{names:?}");
    let mut node = CheckedNode::start(dir, &[], oracle);
    for id in names {
        let event = event(format!("after {id}"), "new");
        for request in [restore(id), event, Request::Commit] {
            node.ask(&request);
        }
    }
    dump::assert_is(dir, &node.stop());
}

#[test]
fn a_directory_of_format_4_is_dumped_as_it_is_and_its_dump_makes_one_that_goes_on() {
    let home = scratch_dir();
    let old = old_directory(home.path());
    let before = Snapshot::of(&old);
    dump::assert_is(&old, &expected());
    let dumped = dump_of(&old, &["--incidentals"]);
    for command in [&["stats"][..], &["checkpoints", "list"], &["outputs"]] {
        run_on(command[0], &old, &command[1..]).expect_quiet_success();
    }
    assert_eq!(Snapshot::of(&old), before, "reading changes nothing");
    let new = home.path().join("new");
    run(&mut on_directory("load", &new, &[]), &dumped).expect_quiet_success();
    verified(&new);
    dump::assert_is(&new, &expected());
    go_on(&new, expected());
    verified(&new);
}

#[test]
fn a_dump_that_the_earlier_program_made_can_be_loaded() {
    let home = scratch_dir();
    let new = home.path().join("new");
    let dumped = fs::read_to_string(of_format_4("dump.jsonl")).expect("it is there");
    run(&mut on_directory("load", &new, &[]), &dumped).expect_quiet_success();
    verified(&new);
    go_on(&new, expected());
    verified(&new);
}

#[test]
fn a_command_that_would_change_or_check_it_is_refused_with_the_command_that_upgrades_it() {
    let home = scratch_dir();
    let old = old_directory(home.path());
    let (before, files) = (Snapshot::of(&old), Files::of(&old));
    for command in [
        &["run"][..],
        &["compact"],
        &["verify"],
        &["checkpoints", "delete", "c0"],
    ] {
        let line = run_on(command[0], &old, &command[1..]).expect_refusal(exit::UNUSABLE);
        let cure = format!("upgrade --data-dir {}", old.display());
        assert!(line.contains("format 4") && line.contains(&cure), "{line}");
    }
    assert_eq!(Snapshot::of(&old), before, "nothing is changed");
    let no_room = ["--min-free-bytes", "18446744073709551615"];
    run_on("upgrade", &old, &no_room).expect_refusal(exit::STORAGE);
    let tried = run_on("upgrade", &old, &["--dry-run"]).expect_record();
    assert_eq!(tried["kept_generation"], Value::Null);
    fs::remove_file(old.join("lock")).expect("it was made");
    assert_eq!(Files::of(&old), files, "nothing is changed");
}

#[test]
fn an_upgraded_directory_goes_on_and_the_old_database_is_there_until_it_is_removed() {
    let home = scratch_dir();
    let old = old_directory(home.path());
    let upgrade = || run_on("upgrade", &old, &[]).expect_record();
    let events = dump_of(&old, &["--only", "events"]).lines().count();
    let upgraded = json!({
        "type": "upgraded", "from_format": 4, "format": 5, "positions": events,
        "kept_generation": 0,
    });
    let times = |dumped: &str| -> Vec<String> {
        let lines = dumped.lines().filter(|line| line.contains("_at"));
        lines.map(str::to_owned).collect()
    };
    let dumped = times(&dump_of(&old, &["--incidentals"]));
    for round in 0..2 {
        assert_eq!(upgrade(), upgraded);
        verified(&old);
        dump::assert_is(&old, &expected());
        assert_eq!(times(&dump_of(&old, &["--incidentals"])), dumped);
        if round == 0 {
            // The old program could go on with it.
            run_on("compact", &old, &["--undo"]).expect_quiet_success();
            let sentinel = fs::read_to_string(old.join("sentinel")).expect("it is there");
            assert_eq!(sentinel, "exactly-once 4 ready\n");
            dump::assert_is(&old, &expected());
        }
    }
    go_on(&old, expected());
    let late = run_on("compact", &old, &["--undo"]).expect_refusal(exit::USAGE);
    assert!(late.contains("requests were carried out since"), "{late}");
    let goes_on = dump_of(&old, &[]);
    run_on("compact", &old, &["--remove-old"]).expect_quiet_success();
    assert_eq!(dump_of(&old, &[]), goes_on);
    verified(&old);
    let again = json!({"type": "up_to_date", "format": 5});
    assert_eq!(upgrade(), again);
}

#[test]
fn whichever_call_of_an_upgrade_is_its_last_the_state_is_whole_and_it_can_be_done_again() {
    let home = scratch_dir();
    let mut done = 0;
    let mut formats = BTreeSet::new();
    for number in (1..).step_by(5) {
        let old = old_directory(&home.path().canonicalize().expect("it is there"));
        let mut command = on_directory("upgrade", &old, &["--storage-timeout", "2"]);
        let aim = Aim {
            beginning: Beginning::Start,
            number,
            deed: Deed::Kill(Moment::After),
        };
        let note = old.with_extension("note");
        aim.arm(&mut command, &old, &note);
        run(&mut command, "");
        let was_killed = Hit::take(&note).is_some();
        dump::assert_is(&old, &expected());
        let again = run_on("upgrade", &old, &[]).expect_record();
        formats.insert(again["type"].as_str().map(str::to_owned));
        dump::assert_is(&old, &expected());
        verified(&old);
        fs::remove_dir_all(&old).expect("it is there");
        if !was_killed {
            break;
        }
        done += 1;
    }
    assert!(done > 5, "{done}");
    assert_eq!(formats.len(), 2, "killed before and after the last step");
}
