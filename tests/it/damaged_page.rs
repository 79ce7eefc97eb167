//! Damage to a page of the database that no reply needs. It belongs to sled's own tree, which is
//! empty here; sled moves its pages like those with events.

use crate::kit::{
    Finished, backup, dump_of, event, exit, home_and_data_dir, on_directory, run, run_on,
    scratch_dir, verified,
};
use std::fs;
use std::path::Path;

const EVENTS: u64 = 1_500;
const SEGMENT_BYTES: usize = 512 << 10;

fn events(numbers: std::ops::Range<u64>) -> String {
    let padding = "-".repeat(100);
    let event = |number| event(format!("e{number}{padding}"), format!("w{number}{padding}"));
    numbers
        .map(|number| event(number).line(number + 1) + "\n")
        .collect()
}

/// Makes a state whose log has several segments; an open reads only the last of them.
fn make(data_dir: &Path) {
    for input in [&*events(0..EVENTS), "", ""] {
        answers(data_dir, input);
    }
}

fn answers(data_dir: &Path, input: &str) -> String {
    run(&mut on_directory("run", data_dir, &["-q"]), input).expect_quiet_success()
}

/// Damages the leaf of sled's own tree, an empty page with number 2, at each place where it was
/// written. Its bytes are a checksum of four, the kind of the page, a length of 8, the number of
/// the segment, the number of the page, and a body of zeros.
fn damage_the_empty_page(data_dir: &Path) {
    let path = data_dir.join("db");
    let mut bytes = fs::read(&path).expect("it is there");
    let last = (bytes.len() - 1) / SEGMENT_BYTES * SEGMENT_BYTES;
    let is_it = |at: &usize| {
        let (header, body) = (&bytes[*at..*at + 4], &bytes[*at + 4..*at + 12]);
        header[..2] == [8, 8] && header[3] == 2 && body == [0; 8]
    };
    let found: Vec<_> = (24..last - 12).filter(is_it).collect();
    assert!(!found.is_empty(), "the page was not found");
    for at in found {
        bytes[at - 1] ^= 1;
    }
    fs::write(path, bytes).expect("it can be written");
}

fn on(command: &str, data_dir: &Path) -> Finished {
    run_on(command, data_dir, &[])
}

#[test]
fn a_damaged_page_that_no_answer_needs_is_named_by_verify() {
    let (_home, data_dir) = home_and_data_dir();
    make(&data_dir);
    verified(&data_dir);
    damage_the_empty_page(&data_dir);
    let found = on("verify", &data_dir);
    assert_eq!(found.code(), Some(exit::PAGES), "{found:?}");
    for part in ["pages: page 2 is damaged in bytes ", "compact or backup"] {
        assert!(found.stderr.contains(part), "{part}: {found:?}");
    }
    assert_eq!(found.stderr.lines().count(), 1, "{found:?}");
}

#[test]
fn a_backup_and_a_compaction_leave_the_damaged_page_out_and_keep_everything() {
    let home = scratch_dir();
    let [data_dir, copy] = ["data", "copy"].map(|name| home.path().join(name));
    make(&data_dir);
    let before = dump_of(&data_dir, &[]);
    damage_the_empty_page(&data_dir);
    backup(&data_dir, &copy);
    on("compact", &data_dir).expect_quiet_success();
    for path in [data_dir, copy] {
        verified(&path);
        assert_eq!(dump_of(&path, &[]), before);
        let answers = answers(&path, &events(0..EVENTS + 1));
        let duplicates = answers.matches("\"was_duplicate\": true").count();
        assert_eq!(duplicates as u64, EVENTS);
    }
}

/// sled fails when it moves such a page, which it does while it writes a group. Part of that group
/// would then be durable, and no reply could be read any more.
#[test]
fn no_run_starts_with_a_damaged_page_and_every_answer_stays() {
    let (_home, data_dir) = home_and_data_dir();
    make(&data_dir);
    let before = dump_of(&data_dir, &[]);
    damage_the_empty_page(&data_dir);
    let more = events(EVENTS..10 * EVENTS);
    let refused = run(&mut on_directory("run", &data_dir, &["-q"]), &more);
    let line = refused.expect_refusal(exit::STORAGE);
    assert!(line.contains("exactly-once compact --data-dir "), "{line}");
    assert_eq!(dump_of(&data_dir, &[]), before);
}
