//! A limit on the size of files, as `ulimit -f` sets it. Every write beyond it fails.

use super::{expect_prefix, start, work, work_until_storage_fails};
use crate::kit::{Belief, Finished, Life, Source, exit, home_and_data_dir, run, shell};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs;
use std::path::Path;

/// In the blocks of `ulimit`, 512 or 1,024 bytes. The files of a new directory exceed each limit.
const FEW_BLOCKS: [u32; 3] = [0, 1, 4];
/// The files of a used directory exceed some of these limits.
const MORE_BLOCKS: [u32; 5] = [16, 100, 500, 1_000, 2_000];

#[test]
fn a_file_size_limit_met_while_committing_ends_the_process_and_loses_no_answer() {
    let (_home, data_dir) = home_and_data_dir();
    let (mut source, mut belief) = (Source::new(1), Belief::new());
    for (room, window) in [
        (0, 1),
        (100, 1),
        (5_000, 50),
        (50_000, 1_000),
        (300_000, 300),
    ] {
        let node = start(&data_dir);
        let mut life = Life::default();
        work(&mut life, &node, &mut source, window, 1);
        limit(node.pid(), size_of(&data_dir.join("db")) + room);
        let line = work_until_storage_fails(&mut life, node, &mut source, window);
        assert!(line.contains("File too large"), "EFBIG is named: {line}");
        expect_prefix(&mut belief, &data_dir, &life);
        source.redeliver(life.unanswered());
    }
}

#[test]
fn a_file_size_limit_met_while_opening_refuses_and_loses_no_answer() {
    let (_home, data_dir) = home_and_data_dir();
    let (mut source, mut belief) = (Source::new(2), Belief::new());
    let mut refused_by_database = 0;
    for (blocks, round) in FEW_BLOCKS.into_iter().chain(MORE_BLOCKS).zip(1..) {
        // A killed process leaves more for the next open to write than a clean end does.
        let node = start(&data_dir);
        let mut life = Life::default();
        work(&mut life, &node, &mut source, 100, round * 300);
        let killed = life.kill(node, Ok::<(), String>(()));
        killed.unwrap_or_else(|reason| panic!("{reason}"));
        let finished = open_limited(&data_dir, blocks);
        refused_by_database += usize::from(finished.code() == Some(exit::STORAGE));
        expect_success_or_refusal(finished);
        expect_prefix(&mut belief, &data_dir, &life);
        source.redeliver(life.unanswered());
    }
    assert!(refused_by_database > 0, "no limit was met by the database");
}

#[test]
fn a_file_size_limit_met_while_creating_leaves_a_directory_that_a_plain_start_takes() {
    for blocks in FEW_BLOCKS {
        let (_home, data_dir) = home_and_data_dir();
        let finished = open_limited(&data_dir, blocks);
        assert_ne!(
            finished.code(),
            Some(exit::SUCCESS),
            "{blocks} blocks are too few"
        );
        expect_success_or_refusal(finished);
        expect_prefix(&mut Belief::new(), &data_dir, &Life::default());
    }
}

/// Prevents the files of a running process from growing beyond this.
fn limit(pid: u32, bytes: u64) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let limit = Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    let before = prlimit(pid, Resource::Fsize, limit);
    before.expect("a limit of a child can be lowered");
}

fn size_of(file: &Path) -> u64 {
    fs::metadata(file).expect("the node has made it").len()
}

/// Opens a directory under a limit from the start, and ends at once.
fn open_limited(data_dir: &Path, blocks: u32) -> Finished {
    let mut command = shell(&format!(r#"ulimit -f {blocks} && exec "$0" "$@""#));
    run(command.args(["--quiet", "--data-dir"]).arg(data_dir), "")
}

fn expect_success_or_refusal(finished: Finished) {
    match finished.code() {
        Some(exit::SUCCESS) => drop(finished.expect_quiet_success()),
        Some(exit::UNUSABLE) => drop(finished.expect_refusal(exit::UNUSABLE)),
        _ => drop(finished.expect_refusal(exit::STORAGE)),
    }
}
