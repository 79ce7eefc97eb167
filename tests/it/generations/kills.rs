//! A load, a backup and a compaction that are killed: nothing is lost, and the next command removes
//! what is left.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{compact, made, names};
use crate::campaign::setting;
use crate::client::{PATIENCE, scratch_dir};
use crate::command::{dump_of, on_directory, run, verified};

/// Kills a command at a random moment of its life, or shortly after.
fn kill(command: &mut Command, whole: std::time::Duration, rng: &mut ChaCha8Rng) {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = quiet.spawn().expect("the binary can be started");
    sleep(whole.mul_f64(rng.random_range(0.0..1.2)).min(PATIENCE));
    child.kill().unwrap_or_default();
    child.wait().expect("the child is ours");
}

#[test]
fn a_load_or_a_backup_that_is_killed_is_whole_or_nothing_and_can_be_made_again() {
    let home = scratch_dir();
    let [source, copy, dump] = ["source", "copy", "dump"].map(|name| home.path().join(name));
    made(&source, 400);
    let dumped = dump_of(&source, &[]);
    fs::write(&dump, &dumped).expect("there is room");
    let text = |path: &Path| path.to_str().expect("it is UTF-8").to_owned();
    let calls = || {
        [
            on_directory("load", &copy, &[&text(&dump)]),
            on_directory("backup", &source, &[&text(&copy)]),
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
            kill(&mut call, whole, &mut rng);
            // What is not whole yet is no state, and no obstacle.
            let again = run(&mut calls()[index], "");
            match again.code {
                Some(0) => nothing += 1,
                _ => {
                    let line = again.expect_refusal(3);
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

#[test]
fn what_a_killed_compaction_leaves_is_removed_by_the_next_command_that_writes() {
    let home = scratch_dir();
    let data_dir = home.path().join("st");
    made(&data_dir, 400);
    let dumped = dump_of(&data_dir, &[]);
    // Each open of sled makes a snapshot of another name.
    let files = || -> BTreeSet<String> {
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
        kill(
            &mut on_directory("compact", &data_dir, &["--dry-run"]),
            whole,
            &mut rng,
        );
        left += u64::from(files() != before || names(home.path()).len() > 1);
        match round % 2 {
            0 => run(&mut on_directory("run", &data_dir, &["-q"]), ""),
            _ => compact(&data_dir, &["--dry-run"]),
        };
        assert_eq!(files(), before, "{round}");
        assert_eq!(names(home.path()).len(), 1, "{round}");
        assert_eq!(dump_of(&data_dir, &[]), dumped);
    }
    assert!(left > 0, "no kill left anything");
}
