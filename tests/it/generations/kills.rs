//! A load, a backup and a compaction are killed. Nothing is lost, and the next command removes what
//! is left.

use crate::kit::{
    Aim, Beginning, Deed, Fault, Hit, Moment, copy, dump_of, exit, kill_within, names,
    on_directory, run, run_on, scratch_dir, setting, text, verified,
};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{compact, made};

#[test]
fn a_load_or_a_backup_that_is_killed_is_whole_or_nothing_and_can_be_made_again() {
    let home = scratch_dir();
    let [source, copy, dump] = ["source", "copy", "dump"].map(|name| home.path().join(name));
    made(&source, 400);
    let dumped = dump_of(&source, &[]);
    fs::write(&dump, &dumped).expect("there is room");
    let calls = || {
        [
            on_directory("load", &copy, &[text(&dump)]),
            on_directory("backup", &source, &[text(&copy)]),
        ]
    };
    let mut rng = ChaCha8Rng::seed_from_u64(setting("EXACTLY_ONCE_SEED", 1));
    let (mut whole_ones, mut nothing) = (0, 0);
    for kills in 0..setting("EXACTLY_ONCE_COMPACTION_KILLS", 20) {
        for (index, mut call) in calls().into_iter().enumerate() {
            let started = Instant::now();
            run(&mut calls()[index], "").expect_quiet_success();
            let whole = started.elapsed();
            fs::remove_dir_all(&copy).expect("it is there");
            kill_within(&mut call, whole, &mut rng);
            // An incomplete copy is no state, and does not prevent another try.
            let again = run(&mut calls()[index], "");
            match again.code() {
                Some(exit::SUCCESS) => nothing += 1,
                _ => {
                    let line = again.expect_refusal(exit::UNUSABLE);
                    assert!(line.contains("not empty"), "{kills}: {line}");
                    whole_ones += 1;
                }
            }
            assert_eq!(dump_of(&copy, &[]), dumped, "{kills}");
            verified(&copy);
            fs::remove_dir_all(&copy).expect("it is there");
            assert_eq!(names(home.path()).len(), 2, "{kills}");
        }
    }
    assert!(whole_ones > 0 && nothing > 0, "{whole_ones} and {nothing}");
}

/// If the last sync of the sentinel fails, the database that it names must not be removed.
#[test]
fn whichever_call_of_a_compaction_or_a_load_fails_or_is_its_last_the_state_is_whole() {
    let home = scratch_dir();
    let root = home.path().canonicalize().expect("it is there");
    let [source, dump] = ["source", "dump"].map(|name| root.join(name));
    made(&source, 60);
    let dumped = dump_of(&source, &[]);
    fs::write(&dump, &dumped).expect("there is room");
    let mut done = 0;
    for deed in [Deed::Fail(Fault::Io), Deed::Kill(Moment::After)] {
        for number in 1.. {
            let data_dir = root.join("data");
            copy(&source, &data_dir);
            let mut command = on_directory("compact", &data_dir, &QUICK);
            let compacted = aimed(&mut command, &data_dir, deed, number);
            assert_eq!(dump_of(&data_dir, &[]), dumped, "{deed:?} at {number}");
            run_on("run", &data_dir, &["-q"]).expect_quiet_success();
            verified(&data_dir);
            fs::remove_dir_all(&data_dir).expect("it is there");

            fs::create_dir(&data_dir).expect("there is room");
            let dump = text(&dump);
            let mut command = on_directory("load", &data_dir, &[dump, QUICK[0], QUICK[1]]);
            let loaded = aimed(&mut command, &data_dir, deed, number);
            let again = run_on("load", &data_dir, &[dump]);
            if !again.status.success() {
                again.expect_refusal(exit::UNUSABLE);
            }
            assert_eq!(dump_of(&data_dir, &[]), dumped, "{deed:?} at {number}");
            fs::remove_dir_all(&data_dir).expect("it is there");
            if !compacted && !loaded {
                break;
            }
            done += u64::from(compacted) + u64::from(loaded);
        }
    }
    assert!(done > 100, "{done}");
}

/// After a write that fails, sled may wait forever.
const QUICK: [&str; 2] = ["--storage-timeout", "2"];

/// Runs a command with a deed at one of its calls; false if it made fewer calls.
fn aimed(command: &mut Command, data_dir: &Path, deed: Deed, number: u64) -> bool {
    let beginning = Beginning::Start;
    let aim = Aim {
        beginning,
        number,
        deed,
    };
    let note = data_dir.with_extension("note");
    aim.arm(command, data_dir, &note);
    run(command, "");
    Hit::take(&note).is_some()
}

#[test]
fn what_a_killed_compaction_leaves_is_removed_by_the_next_command_that_writes() {
    let home = scratch_dir();
    let data_dir = home.path().join("st");
    made(&data_dir, 400);
    let dumped = dump_of(&data_dir, &[]);
    // Each open of sled writes its own snapshot file under another name.
    let files = || -> Vec<String> {
        let names = names(&data_dir).into_iter();
        names.filter(|name| !name.starts_with("snap.")).collect()
    };
    let before = files();
    let started = Instant::now();
    compact(&data_dir, &["--dry-run"]).expect_quiet_success();
    let whole = started.elapsed();
    let mut rng = ChaCha8Rng::seed_from_u64(setting("EXACTLY_ONCE_SEED", 1));
    let mut left = 0;
    for round in 0..setting("EXACTLY_ONCE_COMPACTION_KILLS", 20) {
        let mut compaction = on_directory("compact", &data_dir, &["--dry-run"]);
        kill_within(&mut compaction, whole, &mut rng);
        left += u64::from(files() != before || names(home.path()).len() > 1);
        match round % 2 {
            0 => run_on("run", &data_dir, &["-q"]),
            _ => compact(&data_dir, &["--dry-run"]),
        };
        assert_eq!(files(), before, "{round}");
        assert_eq!(names(home.path()).len(), 1, "{round}");
        assert_eq!(dump_of(&data_dir, &[]), dumped);
    }
    assert!(left > 0, "no kill left anything");
}
