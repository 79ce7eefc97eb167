//! The state in a directory: how it is made, and what the commands print about it.

use super::directory::text;
use super::exit;
use super::process::{run_node, run_on};
use super::requests::numbered_input;
use crate::oracle::Request;
use serde_json::Value;
use std::path::Path;

/// Runs a node on requests, numbered from 1, and returns its replies. Panics unless each request
/// gets one and nothing is on stderr.
#[track_caller]
pub fn carry_out(
    data_dir: &Path,
    arguments: &[&str],
    requests: impl IntoIterator<Item = Request>,
) -> String {
    let requests: Vec<Request> = requests.into_iter().collect();
    let input = numbered_input(1, &requests);
    let replies = run_node(data_dir, arguments, input).expect_quiet_success();
    assert_eq!(replies.lines().count(), requests.len(), "one reply each");
    replies
}

/// The output of `dump` for a directory.
#[track_caller]
pub fn dump_of(data_dir: &Path, arguments: &[&str]) -> String {
    run_on("dump", data_dir, arguments).expect_quiet_success()
}

/// The line with the digest at the end of a dump that has these records.
pub fn digest_line(records: &str) -> String {
    let count = records.lines().count();
    let digest = xxhash_rust::xxh3::xxh3_64(records.as_bytes());
    format!("{{\"type\":\"digest\",\"records\":{count},\"xxh3\":\"{digest:016x}\"}}\n")
}

/// The record of `stats` for a directory.
#[track_caller]
pub fn stats_of(data_dir: &Path) -> Value {
    run_on("stats", data_dir, &[]).expect_record()
}

/// Copies a directory, at rest or not, to a new one.
#[track_caller]
pub fn backup(data_dir: &Path, copy: &Path) {
    run_on("backup", data_dir, &[text(copy)]).expect_quiet_success();
}

/// Panics unless `verify` finds nothing wrong with a directory; returns its report.
#[track_caller]
pub fn verified(data_dir: &Path) -> Value {
    let report = run_on("verify", data_dir, &["-q"]).expect_record();
    assert_eq!(report["clean"], true, "{report}");
    report
}

/// Fails if `verify` finds damage after crashes and power cuts. The directory may hold no state
/// yet, and one slot of its watermark may be torn.
pub fn expect_no_damage(data_dir: &Path) -> Result<(), String> {
    let verified = run_on("verify", data_dir, &["-q"]);
    match verified.code() {
        Some(exit::SUCCESS | exit::UNUSABLE | exit::FILES) => Ok(()),
        _ => Err(format!("verify: {verified:?}")),
    }
}

/// Opens a directory and closes it cleanly. Fails if that fails or the node prints a reply.
pub fn expect_no_reply(data_dir: &Path) -> Result<(), String> {
    let finished = run_node(data_dir, &[], "");
    if finished.status.success() && finished.stdout.is_empty() {
        return Ok(());
    }
    Err(format!("an empty run after the kill: {finished:?}"))
}
