//! `dump | load | dump`, `backup` and `compact` transfer a state as a whole or not at all.

use std::fs;
use std::path::Path;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::kit::{
    Files, Finished, Node, Snapshot, backup, carry_out, caught, checkpoint, dump, dump_of, event,
    exit, home_and_data_dir, kill_within, names, on_all_threads, on_directory, restore, run,
    run_node, run_on, scratch_dir, setting, verified,
};
use crate::model::play;
use crate::model::sequence::{self, Step};
use crate::oracle::Request;

fn load(data_dir: &Path, dump: &str) -> Finished {
    run(&mut on_directory("load", data_dir, &[]), dump)
}

/// The lines of a dump that do not depend on the directory.
fn portable(dump: &str) -> Vec<&str> {
    let is_portable = |line: &&str| {
        let of_directory =
            ["groups", "fingerprint_seed"].map(|name| format!("\"name\":\"{name}\""));
        !of_directory.iter().any(|name| line.contains(name)) && !line.contains("\"digest\"")
    };
    dump.lines().filter(is_portable).collect()
}

/// Requests that leave several timelines, checkpoints, commits, switches, and pending outputs.
fn requests() -> Vec<Request> {
    let events = |numbers: std::ops::Range<u64>| {
        numbers.map(|number| {
            event(
                format!("e{number} \u{fc}\"\\\n"),
                format!("w{}", number % 7),
            )
        })
    };
    let mut requests = vec![checkpoint("empty")];
    requests.extend(events(0..40));
    requests.push(Request::Commit);
    requests.extend(events(40..60));
    requests.extend([checkpoint("later"), restore("empty")]);
    requests.extend(events(10..80).step_by(3));
    requests.extend([Request::Commit, checkpoint("between"), restore("later")]);
    requests.extend(events(80..85));
    requests.extend([Request::Rollback, restore("later")]);
    requests.extend(events(90..99));
    requests
}

fn made(data_dir: &Path) {
    let small = ["--run-every", "4", "--snapshot-every", "9"];
    carry_out(data_dir, &small, requests());
}

#[test]
fn a_dump_that_is_loaded_gives_the_same_dump() {
    let home = scratch_dir();
    let (data_dir, copy) = (home.path().join("data"), home.path().join("copy"));
    made(&data_dir);
    for arguments in [&[][..], &["--incidentals"]] {
        let dumped = dump_of(&data_dir, arguments);
        let loaded = load(&copy, &dumped).expect_quiet_success();
        assert!(loaded.contains(r#""type":"loaded""#), "{loaded}");
        assert_eq!(dump_of(&copy, &[]), dump_of(&data_dir, &[]));
        let again = dump_of(&copy, arguments);
        assert_eq!(portable(&again), portable(&dumped));
        verified(&copy);
        fs::remove_dir_all(&copy).expect("it is there");
    }
    assert_eq!(names(home.path()).len(), 1);
}

/// Later requests give the same too: ids are found, checkpoints are restored, and outputs stay
/// released.
#[test]
fn a_state_that_was_loaded_goes_on_as_the_one_that_was_dumped() {
    let first = setting("EXACTLY_ONCE_SEED", 1);
    let count = setting("EXACTLY_ONCE_TRANSFERS", 60);
    on_all_threads(count, |number| goes_on(first + number), |()| ());
}

fn goes_on(seed: u64) -> Result<(), String> {
    let steps = sequence::random(&mut ChaCha8Rng::seed_from_u64(seed));
    let home = scratch_dir();
    let (data_dir, copy) = (home.path().join("data"), home.path().join("copy"));
    let half = steps.len() / 2;
    caught(|| {
        let played = play::play(&data_dir, &steps[..half])?;
        if half == 0 {
            return Ok(());
        }
        load(&copy, &dump_of(&data_dir, &[])).expect_quiet_success();
        let mut oracle = played.oracle;
        for step in &steps[half..] {
            let Step::Request(request) = step else {
                continue;
            };
            let line = request.line(7) + "\n";
            let reply = run_node(&copy, &[], line).expect_success();
            let expected = oracle.apply(request).body(7);
            match expected {
                Some(body) => assert_eq!(reply, body.plain() + "\n"),
                None => assert!(reply.contains("\"code\": 20"), "{reply}"),
            }
        }
        dump::check(&copy, &oracle)?;
        verified(&copy);
        Ok(())
    })
    .map_err(|reason| format!("seed {seed}, {}: {reason}", sequence::notation(&steps)))
}

#[test]
fn a_dump_that_was_cut_off_or_changed_is_refused_and_leaves_nothing() {
    let (home, data_dir) = home_and_data_dir();
    made(&data_dir);
    let dumped = dump_of(&data_dir, &[]);
    fs::remove_dir_all(&data_dir).expect("it is there");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let lines = dumped.lines().count();
    for _ in 0..20 {
        let kept = rng.random_range(0..lines);
        let cut: String = dumped.split_inclusive('\n').take(kept).collect();
        let line = load(&data_dir, &cut).expect_refusal(exit::INPUT_OR_OUTPUT);
        assert!(line.contains("digest") || line.contains("part"), "{line}");
        let middle = rng.random_range(0..dumped.len() - 1);
        if dumped.is_char_boundary(middle) {
            load(&data_dir, &dumped[..middle]).expect_refusal(exit::INPUT_OR_OUTPUT);
        }
    }
    for _ in 0..60 {
        let mut bytes = dumped.clone().into_bytes();
        let at = rng.random_range(0..bytes.len());
        let byte = rng.random_range(b' '..b'~');
        if bytes[at] == byte || !bytes[at].is_ascii() {
            continue;
        }
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).expect("only ASCII was changed");
        let finished = load(&data_dir, &changed);
        let line = finished.expect_refusal(exit::INPUT_OR_OUTPUT);
        assert!(line.contains("dump"), "{line}");
    }
    // Impossible values may not take all memory or time either.
    let impossible = dumped.replace("[[1,", "[[1,18446744073709551615],[1,");
    load(&data_dir, &impossible).expect_refusal(exit::INPUT_OR_OUTPUT);
    let huge = dumped.replacen("\"value\":", "\"value\":18446744073709551615,\"x\":", 3);
    load(&data_dir, &huge).expect_refusal(exit::INPUT_OR_OUTPUT);
    assert_eq!(names(home.path()).len(), 0);
}

#[test]
fn a_dump_with_anything_before_or_after_it_is_refused_and_blank_lines_after_it_are_not() {
    let home = scratch_dir();
    let (data_dir, copy) = (home.path().join("data"), home.path().join("copy"));
    made(&data_dir);
    let dumped = dump_of(&data_dir, &[]);
    let first = dumped.lines().next().expect("it has lines");
    let digest = dumped.lines().last().expect("it has lines");
    let part: String = dumped.split_inclusive('\n').take(9).collect();
    for following in [&*dumped, &part, first, digest, "x", "\n\n x\n", "\0", "\n{"] {
        let line =
            load(&copy, &format!("{dumped}{following}")).expect_refusal(exit::INPUT_OR_OUTPUT);
        let told = format!("digest in line {}", dumped.lines().count());
        assert!(line.contains(&told) && line.contains("follows"), "{line}");
    }
    for before in [&*part, "x\n", "\n", "\u{feff}", &format!("{digest}\n")] {
        let line = load(&copy, &format!("{before}{dumped}")).expect_refusal(exit::INPUT_OR_OUTPUT);
        assert!(line.contains("dump"), "{line}");
    }
    let whole = dumped.trim_end();
    for cut in 1..digest.len() {
        let line = load(&copy, &whole[..whole.len() - cut]).expect_refusal(exit::INPUT_OR_OUTPUT);
        assert!(line.contains("digest"), "{line}");
    }
    let left = names(home.path()).len();
    assert_eq!(left, 1, "only the dumped directory is there");
    for (number, end) in ["", "\n", "\n\n \r\n\t\n"].into_iter().enumerate() {
        let copy = home.path().join(format!("copy {number}"));
        load(&copy, &format!("{whole}{end}")).expect_quiet_success();
        assert_eq!(portable(&dump_of(&copy, &[])), portable(&dumped));
    }
}

#[test]
fn a_part_of_a_dump_is_refused() {
    let home = scratch_dir();
    let (data_dir, copy) = (home.path().join("data"), home.path().join("copy"));
    made(&data_dir);
    for part in [
        &["--only", "events"][..],
        &["--only", "meta"],
        &["--limit", "3"],
    ] {
        let line = load(&copy, &dump_of(&data_dir, part)).expect_refusal(exit::INPUT_OR_OUTPUT);
        assert!(line.contains("part"), "{line}");
    }
}

#[test]
fn a_directory_that_is_not_empty_is_not_loaded_into() {
    let home = scratch_dir();
    let (data_dir, other) = (home.path().join("data"), home.path().join("other"));
    made(&data_dir);
    let dumped = dump_of(&data_dir, &[]);
    fs::create_dir(&other).expect("there is room");
    fs::write(other.join("mine"), "x").expect("there is room");
    for directory in [&data_dir, &other] {
        let before = Snapshot::of(directory);
        let line = load(directory, &dumped).expect_refusal(exit::UNUSABLE);
        assert!(line.contains("not empty"), "{line}");
        assert_eq!(Snapshot::of(directory), before);
    }
    fs::remove_file(other.join("mine")).expect("it is there");
    load(&other, &dumped).expect_quiet_success();
    assert_eq!(dump_of(&other, &[]), dumped);
}

#[test]
fn a_backup_of_a_live_directory_is_the_state_of_one_moment() {
    let home = scratch_dir();
    let (data_dir, copy) = (home.path().join("data"), home.path().join("copy"));
    let node = Node::start(
        Some(&data_dir),
        &["--run-every", "50", "--reopen-bytes", "100000"],
    );
    // Before the first reply there may be nothing to copy.
    node.ask(&Request::Commit.line(1));
    let mut sent = 0_u64;
    for round in 0..4 {
        // The requests have no `msg_id`, so that no replies have to be read meanwhile.
        let lines = (sent..sent + 20_000).map(|n| {
            let body = format!(
                r#"{{"type":"process","event_id":"e{n}","word":"w{}"}}"#,
                n % 9
            );
            format!("{{\"src\":\"c\",\"dest\":\"p\",\"body\":{body}}}\n")
        });
        let mut lines: String = lines.collect();
        lines += "{\"body\":{\"type\":\"commit\"}}\n";
        lines += "{\"body\":{\"type\":\"checkpoint\",\"checkpoint_id\":\"c\"}}\n";
        node.send_raw(lines.into_bytes());
        sent += 20_000;
        backup(&data_dir, &copy);
        let report = verified(&copy);
        let events = report["events"].as_u64().expect("a number");
        assert!(events <= sent, "round {round}: {report}");
        // One client sends the events in order, so the copy has a prefix of them.
        let seen = dump_of(&copy, &["--only", "events"]);
        for (line, number) in seen.lines().zip(0..) {
            assert!(
                line.contains(&format!("\"event_id\":\"e{number}\"")),
                "{line}"
            );
        }
        fs::remove_dir_all(&copy).expect("it is there");
    }
    node.finish().expect_all_read();
    backup(&data_dir, &copy);
    assert_eq!(dump_of(&copy, &[]), dump_of(&data_dir, &[]));
}

fn compact(data_dir: &Path, arguments: &[&str]) -> Finished {
    run_on("compact", data_dir, arguments)
}

#[test]
fn a_compacted_directory_has_the_same_state_in_less_room_and_the_old_one_stays_until_it_is_removed()
{
    let (home, data_dir) = home_and_data_dir();
    made(&data_dir);
    // Requests that come one at a time take the most room.
    for number in 0..40 {
        let request = event(format!("lone {number}"), "w");
        run_node(&data_dir, &[], request.line(1) + "\n");
    }
    let dumped = dump_of(&data_dir, &[]);
    let before = Files::of(&data_dir);
    let told = compact(&data_dir, &["--dry-run"]).expect_record();
    assert_eq!(Files::of(&data_dir), before, "a dry run changes nothing");
    assert!(
        told["after_bytes"].as_u64() < told["before_bytes"].as_u64(),
        "{told}"
    );
    compact(&data_dir, &[]).expect_quiet_success();
    assert_eq!(dump_of(&data_dir, &[]), dumped);
    verified(&data_dir);
    compact(&data_dir, &[]).expect_refusal(exit::USAGE);
    let with_both = Files::of(&data_dir);
    let old = &before.0["db"];
    assert_eq!(with_both.0.get("db"), Some(old), "the old one is as it was");
    for option in ["--remove-old", "--undo"] {
        compact(&data_dir, &[option, "--dry-run"]).expect_quiet_success();
        assert_eq!(Files::of(&data_dir), with_both);
    }
    compact(&data_dir, &["--remove-old"]).expect_quiet_success();
    assert!(!data_dir.join("db").exists());
    compact(&data_dir, &["--remove-old"]).expect_refusal(exit::USAGE);
    compact(&data_dir, &["--undo"]).expect_refusal(exit::USAGE);
    assert_eq!(dump_of(&data_dir, &[]), dumped);
    assert_eq!(names(home.path()).len(), 1);
}

#[test]
fn a_compaction_that_is_killed_leaves_a_directory_with_the_same_state() {
    let (home, data_dir) = home_and_data_dir();
    made(&data_dir);
    let dumped = dump_of(&data_dir, &[]);
    let started = Instant::now();
    compact(&data_dir, &[]).expect_quiet_success();
    let whole = started.elapsed();
    let mut rng = ChaCha8Rng::seed_from_u64(setting("EXACTLY_ONCE_SEED", 1));
    for _ in 0..setting("EXACTLY_ONCE_COMPACTION_KILLS", 20) {
        // If the compaction before was not killed, its old database is still there.
        compact(&data_dir, &["--remove-old"]).expect_one_of(&[exit::SUCCESS, exit::USAGE]);
        kill_within(
            &mut on_directory("compact", &data_dir, &[]),
            whole,
            &mut rng,
        );
        assert_eq!(dump_of(&data_dir, &[]), dumped);
        verified(&data_dir);
        assert_eq!(names(home.path()).len(), 1);
    }
}

#[test]
fn a_directory_that_a_process_holds_is_not_compacted() {
    let (home, data_dir) = home_and_data_dir();
    made(&data_dir);
    let node = Node::start(Some(&data_dir), &[]);
    node.ask(&requests()[1].line(1));
    let line = compact(&data_dir, &[]).expect_refusal(exit::HELD);
    assert!(line.contains("process"), "{line}");
    node.finish().expect_all_read();
    assert_eq!(names(home.path()).len(), 1);
}
