//! Measures how fast a process that was just started answers old events, sent again in any order.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::directory::BenchDirectory;
use super::harness::{wait, workload};

const SEED: u64 = 2;

/// What answering the old events took.
pub(super) struct OldDuplicates {
    /// Time from before the start of the process to after its end.
    pub(super) elapsed: Duration,
    /// The most memory that the process has used, if the system tells it.
    pub(super) peak_memory_bytes: Option<u64>,
}

/// Writes requests for this many events, drawn evenly from the first `distinct` ones.
pub(super) fn write(
    home: &BenchDirectory,
    duplicates: u64,
    distinct: u64,
    request: impl Fn(u64, u64) -> String,
) -> anyhow::Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let requests = (0..duplicates).map(|msg_id| request(random.random_range(0..distinct), msg_id));
    workload::write(&home.path("old.jsonl"), requests).context("writing the old events")
}

/// Starts a process on the state, which answers the file of old events, this many.
pub(super) fn answer(home: &BenchDirectory, duplicates: u64) -> anyhow::Result<OldDuplicates> {
    let input = File::open(home.path("old.jsonl")).context("reading the old events")?;
    let output = File::create(home.path("replies.jsonl")).context("writing the replies")?;
    let program = std::env::current_exe().context("finding this program")?;
    let mut command = Command::new(program);
    command
        .args(["run", "--quiet", "--data-dir"])
        .arg(home.state());
    command.stdin(input).stdout(output).stderr(Stdio::inherit());
    let started = Instant::now();
    let mut process = command.spawn().context("starting a process")?;
    let peak_memory_bytes = wait(&mut process, || Ok(()))?;
    let elapsed = started.elapsed();
    check(home, duplicates)?;
    Ok(OldDuplicates {
        elapsed,
        peak_memory_bytes,
    })
}

/// Checks that each event was answered as a duplicate.
fn check(home: &BenchDirectory, duplicates: u64) -> anyhow::Result<()> {
    let replies = File::open(home.path("replies.jsonl")).context("reading the replies")?;
    let mut found = 0;
    for line in BufReader::new(replies).lines() {
        let line = line.context("reading the replies")?;
        found += u64::from(line.contains(r#""was_duplicate": true"#));
    }
    ensure!(
        found == duplicates,
        "of {duplicates} old events {found} were duplicates; report this as a bug"
    );
    Ok(())
}
