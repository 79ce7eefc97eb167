//! Databases that open in the state before something that was answered.

use crate::kit::{
    Aim, Beginning, Deed, Finished, Moment, Node, binary, checkpoint, copy, dump, event, exit,
    flip_a_bit, home_and_data_dir, run, run_on, scratch_dir,
};
use crate::oracle::{Oracle, Request};
use std::fs;
use std::path::{Path, PathBuf};

const EVENTS: u64 = 300;

/// A directory in which many single events were answered, as a kill leaves it.
fn answered(dir: &Path) -> (PathBuf, Oracle) {
    let data_dir = dir.join("data");
    let node = Node::start(Some(&data_dir), &[]);
    let mut oracle = Oracle::new();
    for number in 0..EVENTS {
        let request = match number % 20 {
            7 => checkpoint("c"),
            15 => Request::Commit,
            _ => event(format!("e{number}"), format!("w{}", number % 10)),
        };
        node.send(&request.line(number));
        oracle.apply(&request);
        node.read_line();
    }
    node.kill();
    (data_dir, oracle)
}

fn with(data_dir: &Path, options: &[&str]) -> Finished {
    run_on("run", data_dir, &[&["--quiet"], options].concat())
}

/// Cuts the end off the database.
fn cut(data_dir: &Path, bytes: u64) {
    let db = fs::File::options().write(true).open(data_dir.join("db"));
    let db = db.expect("it is there");
    let length = db.metadata().expect("it is open").len();
    db.set_len(length - bytes).expect("it can be cut");
}

#[test]
fn a_database_that_was_cut_is_refused_until_the_loss_is_accepted() {
    let dir = scratch_dir();
    let (whole, _) = answered(dir.path());
    for bytes in [1, 100, 4096, 20_000] {
        let data_dir = dir.path().join(bytes.to_string());
        copy(&whole, &data_dir);
        cut(&data_dir, bytes);
        for _ in 0..2 {
            let line = with(&data_dir, &[]).expect_refusal(exit::STORAGE);
            assert!(
                line.contains("group") && line.contains("--accept-loss"),
                "{line}"
            );
            let dumped = run_on("dump", &data_dir, &[]);
            dumped.expect_refusal(exit::STORAGE);
        }
        let accepted = with(&data_dir, &["--accept-loss"]);
        assert!(accepted.status.success());
        assert!(
            accepted.stderr.contains("accepted a loss"),
            "{}",
            accepted.stderr
        );
        with(&data_dir, &[]).expect_quiet_success();
        with(&data_dir, &["--accept-loss"]).expect_quiet_success();
    }
}

/// Kills a process that accepts a loss, before each of its calls in turn.
#[test]
fn a_loss_is_forgotten_only_after_the_line_that_tells_it() {
    let home = scratch_dir();
    let home_path = home.path().canonicalize().expect("it is there");
    let (whole, _) = answered(&home_path);
    cut(&whole, 4096);
    let (mut silent, mut told) = (0, 0);
    for number in 1.. {
        let data_dir = home_path.join(number.to_string());
        copy(&whole, &data_dir);
        let aim = Aim {
            beginning: Beginning::Start,
            number,
            deed: Deed::Kill(Moment::Before),
        };
        let mut command = binary();
        command.args(["--accept-loss", "--data-dir"]).arg(&data_dir);
        aim.arm(&mut command, &data_dir, &home_path.join("note"));
        let accepting = run(&mut command, "");
        if accepting.status.success() {
            break;
        }
        if accepting.stderr.contains("accepted a loss") {
            told += 1;
        } else {
            with(&data_dir, &[]).expect_refusal(exit::STORAGE);
            silent += 1;
        }
    }
    assert!(silent > 0 && told > 0, "{silent} silent, {told} told");
}

#[test]
fn one_damaged_slot_of_the_watermark_loses_nothing_and_two_are_refused() {
    let dir = scratch_dir();
    let (data_dir, oracle) = answered(dir.path());
    let path = data_dir.join("watermark");
    let whole = fs::read(&path).expect("it is there");
    for slot in [0, 4096] {
        let mut bytes = whole.clone();
        bytes[slot] ^= 1;
        fs::write(&path, bytes).expect("it can be written");
        with(&data_dir, &[]).expect_quiet_success();
        assert_eq!(dump::check(&data_dir, &oracle), Ok(()));
    }
    for gone in [Some(vec![0; 8192]), Some(Vec::new()), None] {
        match gone {
            Some(bytes) => fs::write(&path, bytes).expect("it can be written"),
            None => fs::remove_file(&path).expect("it is there"),
        }
        let line = with(&data_dir, &[]).expect_refusal(exit::STORAGE);
        assert!(line.contains("watermark"), "{line}");
        let accepted = with(&data_dir, &["--accept-loss"]);
        assert!(accepted.status.success());
        assert!(
            accepted.stderr.contains("it is unknown"),
            "{}",
            accepted.stderr
        );
        assert_eq!(dump::check(&data_dir, &oracle), Ok(()));
    }
}

/// The next group may be written over the undamaged slot, and that write may be torn.
#[test]
fn a_damaged_slot_of_the_watermark_is_mended_by_the_next_start() {
    let dir = scratch_dir();
    let (data_dir, oracle) = answered(dir.path());
    let path = data_dir.join("watermark");
    for slot in [0, 4096, 0] {
        flip_a_bit(&path, slot);
        with(&data_dir, &[]).expect_quiet_success();
        assert_eq!(dump::check(&data_dir, &oracle), Ok(()));
    }
}

/// After damage in the middle of its log, sled silently skips the rest of the segment. So a commit
/// can be missing while everything after it is there.
#[test]
fn a_transaction_that_is_gone_from_the_middle_of_the_log_is_noticed() {
    for with_checkpoint in [false, true] {
        let (_dir, data_dir) = home_and_data_dir();
        let node = Node::start(Some(&data_dir), &[]);
        let long = "x".repeat(1000);
        let mut number = 0;
        let mut ask = |request: &Request| {
            number += 1;
            node.ask(&request.line(number));
        };
        let process = |n: u64| event(format!("e{n}"), long.clone());
        (0..66).for_each(|n| ask(&process(n)));
        let before_commit = data_dir.join("db").metadata().expect("it is there").len();
        ask(&Request::Commit);
        (66..126).for_each(|n| ask(&process(n)));
        if with_checkpoint {
            ask(&checkpoint("c"));
        }
        (126..131).for_each(|n| ask(&process(n)));
        node.kill();
        flip_a_bit(&data_dir.join("db"), before_commit as usize + 60);
        for command in ["dump", "run"] {
            let refused = run_on(command, &data_dir, &[]);
            refused.expect_refusal(exit::STORAGE);
        }
    }
}
