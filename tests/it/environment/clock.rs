//! A wall clock that jumps by years each time it is read.

use crate::kit::{Node, Source, binary, dump_of, exit, preload, run, scratch_dir};
use std::path::Path;
use std::process::Command;

/// The number of requests sent at once, and of those sent one at a time after them.
const AT_ONCE: usize = 3_000;
const LOCK_STEP: usize = 150;

#[test]
fn a_clock_that_jumps_changes_no_reply_and_nothing_that_is_stored_but_times() {
    let home = scratch_dir();
    let (steady, jumping) = (home.path().join("steady"), home.path().join("jumping"));
    let library = preload::library("clock", "environment/clock_library.rs");
    let replies = [
        replies_of(&steady, |command| command),
        replies_of(&jumping, |command| command.env("LD_PRELOAD", &library)),
    ];
    assert_eq!(replies[0].len(), AT_ONCE + LOCK_STEP);
    assert_eq!(replies[0], replies[1]);
    assert_eq!(dump_of(&steady, &[]), dump_of(&jumping, &[]));
    let times = times_in(&dump_of(&jumping, &["--incidentals"]));
    let (first, last) = (times.iter().min(), times.iter().max());
    // A time before 1970 is stored as 1970.
    assert_eq!(first, Some(&0), "{times:?}");
    assert!(last > Some(&YEAR_2100_MS), "the clock must jump: {times:?}");
}

const YEAR_2100_MS: u64 = 4_102_444_800_000;

/// The replies of two processes on a new directory, which log at length, as the log has times too.
fn replies_of(data_dir: &Path, with: impl Fn(&mut Command) -> &mut Command) -> Vec<String> {
    let mut source = Source::new(4);
    let mut lines = (0..).map(|msg_id| source.next().line(msg_id));
    let at_once: Vec<_> = lines.by_ref().take(AT_ONCE).collect();
    let mut command = binary();
    let command = command.arg("--verbose").arg("--data-dir").arg(data_dir);
    let command = with(command);

    let finished = run(command, at_once.join("\n"));
    expect_success(finished.code(), &finished.stderr);
    let mut replies: Vec<_> = finished.stdout.lines().map(str::to_owned).collect();
    let node = Node::start_as(command);
    replies.extend(lines.take(LOCK_STEP).map(|line| node.ask(&line)));
    let finished = node.finish();
    expect_success(finished.code(), &finished.stderr);
    replies
}

fn expect_success(code: Option<i32>, stderr: &str) {
    assert_eq!(code, Some(exit::SUCCESS), "{stderr}");
    assert!(!stderr.contains("a bug"), "{stderr}");
    assert!(stderr.contains("closed"), "it must log its end: {stderr}");
}

/// The times at which checkpoints were saved.
fn times_in(dump: &str) -> Vec<u64> {
    let lines = dump.lines().map(serde_json::from_str::<serde_json::Value>);
    let times = lines.filter_map(|line| line.expect("valid JSON")["created_at_ms"].as_u64());
    times.collect()
}
