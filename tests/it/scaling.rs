//! Time and memory grow with what is shown, not with a product of two sizes. Replies that are
//! longer than their requests are not all in memory at once. Engines of one process take no more
//! memory than the documentation says.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::kit::{
    Memory, Node, carry_out, checkpoint, event, exit, finish, home_and_data_dir, input_of, line,
    numbered_input, on_directory, program, restore, run, run_on, scratch_dir, spawn,
};
use crate::oracle::Request;
use tempfile::TempDir;

const MEGABYTE: u64 = 1 << 20;

fn event_of(number: u64) -> Request {
    event(format!("event {number}"), "word")
}

fn checkpoint_of(number: u64) -> Request {
    checkpoint(format!("checkpoint {number}"))
}

/// Makes a directory by carrying out requests.
fn directory(requests: impl IntoIterator<Item = Request>) -> (TempDir, PathBuf) {
    let (home, data_dir) = home_and_data_dir();
    carry_out(&data_dir, &["--quiet"], requests);
    (home, data_dir)
}

/// The peak memory of a command in bytes, and what it prints.
fn peak_of(command: &mut Command) -> (u64, String) {
    let mut child = spawn(command.stdin(Stdio::null()));
    let pid = child.id();
    let watching = thread::spawn(move || {
        let mut peak = 0;
        loop {
            match Memory::of(pid).peak {
                // The command has ended.
                0 => return peak,
                now => peak = now,
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    let mut shown = String::new();
    let mut stdout = child.stdout.take().expect("stdout is piped");
    stdout.read_to_string(&mut shown).expect("it is UTF-8");
    let peak = watching.join().expect("the process is not waited for");
    finish(child).expect_status(exit::SUCCESS);
    assert!(peak > 0, "its memory was measured");
    (peak, shown)
}

/// Checkpoints, and outputs released after them, whose positions are every second one.
fn released_since(checkpoints: u64, outputs: u64) -> impl Iterator<Item = Request> {
    let before = std::iter::once(checkpoint("empty"))
        .chain((0..2 * outputs).step_by(2).map(event_of))
        .chain([Request::Commit, event_of(1), event_of(3)])
        .chain((0..checkpoints).map(checkpoint_of));
    before
        .chain([restore("empty")])
        .chain((0..2 * outputs).filter(|&number| number != 3).map(event_of))
        .chain([Request::Commit])
}

#[test]
fn a_list_of_many_checkpoints_takes_little_longer_than_one_of_one() {
    const CHECKPOINTS: u64 = 1_000;
    const OUTPUTS: u64 = 20_000;
    let timed = |data_dir: &Path, arguments: &[&str]| {
        let started = Instant::now();
        let command = &mut on_directory(arguments[0], data_dir, &arguments[1..]);
        let shown = run(command, "").expect_quiet_success();
        (started.elapsed(), shown)
    };
    let (_one, one) = directory(released_since(1, OUTPUTS));
    let (_many, many) = directory(released_since(CHECKPOINTS, OUTPUTS));
    for arguments in [
        &["checkpoints", "list"][..],
        &["dump", "--only", "checkpoints"],
    ] {
        let (one, _) = timed(&one, arguments);
        let (many, shown) = timed(&many, arguments);
        assert!(
            many < 20 * one + Duration::from_secs(2),
            "{arguments:?}: {many:?}, of one {one:?}"
        );
        // Of the two outputs pending in a checkpoint, one was released in another timeline.
        let pending = |line: &&str| line.contains("\"pending\":1,");
        assert_eq!(
            shown.lines().filter(pending).count() as u64,
            CHECKPOINTS,
            "{arguments:?}"
        );
    }
}

#[test]
fn verify_takes_the_memory_of_one_checkpoint_however_many_there_are() {
    const EVENTS: u64 = 10_000;
    let with = |every: u64| {
        directory((0..EVENTS).flat_map(move |number| {
            let saved = number.is_multiple_of(every).then(|| checkpoint_of(number));
            [event_of(number), Request::Commit].into_iter().chain(saved)
        }))
    };
    let peak = |data_dir: &Path| peak_of(&mut on_directory("verify", data_dir, &["-q"])).0;
    let ((_few, few), (_many, many)) = (with(EVENTS), with(1));
    let (few, many) = (peak(&few), peak(&many));
    assert!(many < few + 40 * MEGABYTE, "{many} bytes, of one {few}");
}

#[test]
fn a_table_of_many_words_takes_no_more_memory_than_its_lines_and_is_one_table() {
    const WORDS: u64 = 50_000;
    let words = |number: u64| event(format!("event {number}"), format!("word {number:010}"));
    let (_home, data_dir) = directory((0..WORDS).map(words));
    let shown = |format: &str| {
        let arguments = ["--only", "counts", "--format", format];
        peak_of(&mut on_directory("dump", &data_dir, &arguments))
    };
    let ((lines, _), (table, text)) = (shown("jsonl"), shown("table"));
    assert!(
        table < lines + 20 * MEGABYTE,
        "{table} bytes, {lines} as lines"
    );
    let rows: Vec<&str> = text.lines().collect();
    assert!(
        rows[0].contains("word") && rows[0].contains("count"),
        "{}",
        rows[0]
    );
    for (number, row) in rows[1..].iter().enumerate() {
        assert_eq!(*row, format!(" word {number:010}      1 "));
    }
    assert_eq!(rows.len() as u64, 1 + WORDS);
}

#[test]
fn replies_that_are_far_longer_than_their_requests_are_not_held_together() {
    const REPLIES: u64 = 150;
    let node = Node::start(None, &[]);
    let node_id = "n".repeat(900_000);
    let init = line(
        "init",
        0,
        &format!(r#""node_id":"{node_id}","node_ids":["n"]"#),
    );
    let requests: Vec<Request> = (0..REPLIES).map(event_of).collect();
    let input = format!("{init}\n{}", numbered_input(0, &requests));
    node.send_raw(input.into_bytes());
    for _ in 0..=REPLIES {
        assert!(node.read_line().starts_with(r#"{"src": "nnnn"#));
    }
    let peak = Memory::of(node.pid()).peak;
    assert!(peak < 90 * MEGABYTE, "{peak} bytes");
    node.finish().expect_all_read();
}

#[test]
fn a_rollback_waits_for_no_group() {
    const TURNS: u64 = 2_000;
    let turns = (0..TURNS).flat_map(|number| [event_of(number), Request::Rollback]);
    let (_home, data_dir) = directory(turns.chain([event_of(0)]));
    let arguments = ["--only", "meta", "--incidentals"];
    let meta = run_on("dump", &data_dir, &arguments).expect_quiet_success();
    let value = |name: &str| {
        let begin = format!("{{\"type\":\"meta\",\"name\":\"{name}\",\"value\":");
        let value = meta.lines().find_map(|line| line.strip_prefix(&begin));
        let value = value.and_then(|rest| rest.strip_suffix('}'));
        value
            .expect("it is there")
            .parse::<u64>()
            .expect("it is a number")
    };
    assert_eq!((value("switches"), value("events")), (TURNS, 1));
    let groups = value("groups");
    assert!(groups < TURNS / 10, "{groups} groups");
}

#[test]
fn engines_take_no_more_memory_than_the_documented_sum() {
    for arguments in [["1", "60000", "8"], ["8", "20000", "8"]] {
        let home = scratch_dir();
        let mut measure = program("many_engines");
        let shown = run(measure.arg(home.path()).args(arguments), "").expect_quiet_success();
        assert!(shown.contains("\"budget_bytes\": 8388608"), "{shown}");
    }
}

/// The node is another process, so that only the sender is measured.
#[test]
fn a_sender_takes_no_more_memory_for_a_longer_input() {
    // Enough that as many requests wait for replies as may.
    const FEW: u64 = 100_000;
    const MANY: u64 = 500_000;
    let (home, data_dir) = home_and_data_dir();
    let node = Node::start_as(&mut on_directory("serve", &data_dir, &["-q"]));
    node.read_line();
    let file = |lines: u64| {
        let path = home.path().join(lines.to_string());
        let lines = (0..lines).map(|number| event_of(number % 10).line(number));
        fs::write(&path, input_of(lines)).expect("there is room");
        path
    };
    let (few, many) = (file(FEW), file(MANY));
    let of_requests = ["--id", "/body/event_id", "--word", "/body/word"];
    let of_requests = [&["-q", "--input-format", "jsonl"][..], &of_requests].concat();
    for (name, arguments) in [
        ("send", &["-q", "--replies", "none"][..]),
        ("import", &of_requests),
    ] {
        let peak = |file: &Path| {
            let mut command = on_directory(name, &data_dir, arguments);
            peak_of(command.arg(file)).0
        };
        let (few, many) = (peak(&few), peak(&many));
        assert!(
            many < few + 10 * MEGABYTE,
            "{name}: {many} bytes, of few lines {few}"
        );
    }
}
