//! The program `duplicates` as a process. Scripts that run the node on SQLite take the place of
//! builds of exactly-once.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// A build that answers as it must.
const HONEST: &str = "cat";
/// A build that gives a wrong count with each duplicate.
const MISCOUNTING: &str = r#"sed 's/[0-9]*, "was_duplicate": true/0, "was_duplicate": true/'"#;
/// A build that keeps its last reply back.
const SILENT: &str = "sed '$d'";

/// A build that loses its first reply to a duplicate.
const LOSING: &str = "sed '0,/: true/{/: true/d}'";

/// The replies of a node on its control socket, as far as they are looked at.
const NEW: &str = r#"{"was_duplicate": false}"#;
const DUPLICATE: &str = r#"{"was_duplicate": true}"#;

/// Where the scripts are, each under the name of its build. They are written before any process is
/// started, because a script cannot be run while a new process still has it open.
static SCRIPTS: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("builds");
    fs::create_dir_all(&directory).expect("the directory can be made");
    for (name, filter) in [
        ("honest", HONEST),
        ("other", HONEST),
        ("miscounting", MISCOUNTING),
        ("silent", SILENT),
        ("losing", LOSING),
    ] {
        write_script(&directory.join(name), filter);
    }
    directory
});

/// Writes a script that is called as exactly-once is: with `--version`, or `run --quiet --data-dir`
/// and a directory. The replies pass through a filter.
fn write_script(path: &Path, filter: &str) {
    let node = env!("CARGO_BIN_EXE_sqlite_node");
    let script = format!(
        "#!/bin/sh\n\
         if [ \"$1\" = --version ]; then echo exactly-once 0.0.0; exit; fi\n\
         '{node}' \"$4\" | {filter}\n"
    );
    fs::write(path, script).expect("the script can be written");
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, mode).expect("the script can be made a program");
}

/// A directory, and the program that works there.
struct Measurement(TempDir);

impl Measurement {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory can be made"))
    }

    /// Runs the program with arguments that are separated by spaces, and with these builds.
    fn run(&self, arguments: &str, builds: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_duplicates"));
        command
            .args(arguments.split(' '))
            .current_dir(self.0.path());
        for build in builds {
            command.arg("--binary").arg(SCRIPTS.join(build));
        }
        let command = command.args(["--directory", "work"]);
        command.output().expect("the program can be run")
    }

    /// Answers every line on the control socket of a system, which the node on SQLite has not. The
    /// socket is made as soon as the system has a state, and the thread never ends.
    fn listen(&self, system: usize, reply: &'static str) {
        let work = self.0.path().join("work");
        let bind = move || {
            let directory = fs::read_dir(&work).ok()?.next()?.ok()?.path();
            UnixListener::bind(directory.join(format!("state-{system}/control.sock"))).ok()
        };
        thread::spawn(move || {
            let listener = loop {
                match bind() {
                    Some(listener) => break listener,
                    None => thread::sleep(Duration::from_millis(1)),
                }
            };
            for client in listener.incoming().map_while(Result::ok) {
                for _ in BufReader::new(&client).lines().map_while(Result::ok) {
                    // The client may be gone, which its own test finds.
                    writeln!(&client, "{reply}").unwrap_or_default();
                }
            }
        });
    }

    /// Reads a file, and checks that the program has left no other files of its work.
    fn file(&self, name: &str) -> String {
        let work = fs::read_dir(self.0.path().join("work"));
        assert_eq!(work.expect("there is a directory").count(), 0);
        fs::read_to_string(self.0.path().join(name)).expect("there is a file")
    }
}

/// Returns the words of each line of an output, which must be that of a success.
fn rows(output: &Output) -> Vec<Vec<String>> {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let text = String::from_utf8_lossy(&output.stdout);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    text.lines().map(words).collect()
}

/// Returns the rows that begin with this word.
fn rows_of<'a>(rows: &'a [Vec<String>], word: &str) -> Vec<&'a [String]> {
    let of = rows
        .iter()
        .filter(|row| row.first().is_some_and(|first| first == word));
    of.map(Vec::as_slice).collect()
}

fn expect_error(output: &Output, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty());
    for part in parts {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn old_duplicates_are_measured_in_rounds_beside_sqlite() {
    let measurement = Measurement::new();
    let arguments = "old --ids 5000 --slice 3000 --duplicates 700 --runs 2 --text record.txt";
    for kind in ["uuid", "text"] {
        let output = measurement.run(&format!("{arguments} --id-kind {kind}"), &["honest"]);
        let rows = rows(&output);
        // A row for the duplicates, and one for the new events: rate, ratio, lowest, highest, MB.
        let node = rows_of(&rows, "exactly-once");
        assert!(
            node.len() == 2 && node.iter().all(|row| row.len() == 7),
            "{node:?}"
        );
        let sqlite = rows_of(&rows, "SQLite");
        assert!(sqlite.len() == 2, "{sqlite:?}");
        assert!(
            sqlite.iter().all(|row| row[3..6] == ["1.00"; 3]),
            "{sqlite:?}"
        );
        let record = measurement.file("record.txt");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(record.starts_with("$ cargo run") && record.ends_with(&*stdout));
        assert!(!record.contains("builds"), "{record}");
    }
}

#[test]
fn mixed_events_are_measured_for_each_build_and_each_part() {
    let measurement = Measurement::new();
    let arguments = "mixed --events 2000 --share 0.3 --runs 2 --svg rates.svg";
    let rows = rows(&measurement.run(arguments, &["honest", "other"]));
    let builds = rows_of(&rows, "exactly-once");
    assert_eq!(builds.len(), 2, "{builds:?}");
    assert!(
        builds[0][2] == "honest" && builds[0][4..7] == ["1.00"; 3],
        "{builds:?}"
    );
    assert_eq!(builds[1][2], "other");
    for end in ["500", "1,000", "1,500", "2,000"] {
        assert!(
            rows_of(&rows, end).iter().all(|row| row.len() == 3),
            "{end}"
        );
        assert_eq!(rows_of(&rows, end).len(), 1, "{end}");
    }
    let svg = measurement.file("rates.svg");
    assert!(svg.contains("0.0.0, honest") && svg.contains("0.0.0, other"));
}

#[test]
fn recent_duplicates_are_measured_and_the_job_says_so() {
    let output = Measurement::new().run(
        "mixed --events 2000 --share 0.3 --recent 100",
        &["honest", "other"],
    );
    assert_eq!(rows_of(&rows(&output), "exactly-once").len(), 2);
    let text = String::from_utf8_lossy(&output.stdout);
    let job = "2000 events, 30 % duplicates of the last 100 new events,";
    assert!(text.starts_with(job), "{text}");
}

/// Arguments of `lone` with less work than usual.
const LONE: &str = "lone --ids 3000 --slice 2000 --duplicates 1500 --requests 40 --runs 2";

#[test]
fn lone_requests_are_measured_alone_and_beside_old_duplicates() {
    let measurement = Measurement::new();
    for system in [0, 1] {
        measurement.listen(system, NEW);
    }
    let output = measurement.run(&format!("{LONE} --text record.txt"), &["honest", "other"]);
    let rows = rows(&output);
    let builds = rows_of(&rows, "exactly-once");
    assert_eq!(builds.len(), 4, "{builds:?}");
    for (row, name) in builds.iter().zip(["honest", "honest", "other", "other"]) {
        assert_eq!(row[2], name);
    }
    // Each row has p50, p99, p99.9, the longest and the ratio; that of the stream has a rate too.
    for rows in builds.chunks(2) {
        assert!(rows[0].len() == 9 && rows[0][3] == "alone", "{rows:?}");
        assert!(rows[1].len() == 12 && rows[1][3] == "beside", "{rows:?}");
    }
    assert!(
        builds[0][8] == "1.00" && builds[1][10] == "1.00",
        "{builds:?}"
    );
    let record = measurement.file("record.txt");
    assert!(record.contains("lone --ids 3000") && record.contains("rounds: 2"));
}

#[test]
fn a_wrong_reply_to_a_lone_request_or_to_the_stream_is_an_error() {
    let measurement = Measurement::new();
    measurement.listen(0, DUPLICATE);
    let wrong = ["does not contain", "measuring exactly-once"];
    expect_error(&measurement.run(LONE, &["honest"]), &wrong);
    let measurement = Measurement::new();
    measurement.listen(0, NEW);
    let lost = ["old duplicates had", "worth nothing"];
    expect_error(&measurement.run(LONE, &["losing"]), &lost);
}

#[test]
fn a_node_that_does_not_listen_is_an_error_that_names_the_socket() {
    let output = Measurement::new().run(&format!("{LONE} --start-seconds 0"), &["honest"]);
    let expected = ["nothing listens on", "control.sock", "--start-seconds"];
    expect_error(&output, &expected);
}

#[test]
fn a_wrong_reply_is_an_error() {
    let measurement = Measurement::new();
    let old = "old --ids 900 --duplicates 100 --runs 1";
    let wrong_count = [r#"event 1 with"#, r#"\"count\": 0"#, "worth nothing"];
    expect_error(&measurement.run(old, &["miscounting"]), &wrong_count);
    let missing = ["899 events were new", "worth nothing"];
    expect_error(&measurement.run(old, &["silent"]), &missing);
    let mixed = measurement.run("mixed --events 900 --share 0.5", &["silent"]);
    expect_error(&mixed, &["of 900", "worth nothing"]);
}

#[test]
fn a_build_that_is_missing_is_an_error_that_says_how_to_make_it() {
    let output = Measurement::new().run("old", &["absent"]);
    expect_error(&output, &["no binary at", "cargo build --release"]);
}

/// The program looks for the node beside itself.
#[test]
fn a_missing_node_on_sqlite_is_an_error_that_says_how_to_make_it() {
    // A hard link needs the same file system.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let directory = directory.expect("a directory can be made");
    let program = directory.path().join("duplicates");
    let linked = fs::hard_link(env!("CARGO_BIN_EXE_duplicates"), &program);
    linked.expect("the program can be linked");
    let mut command = Command::new(&program);
    command
        .arg("old")
        .arg("--binary")
        .arg(SCRIPTS.join("honest"));
    let output = command
        .args(["--directory", "work"])
        .current_dir(&directory)
        .output();
    let output = output.expect("the program can be run");
    expect_error(
        &output,
        &[
            "no node on SQLite",
            "run `cargo build --release` in tests/measure",
        ],
    );
}
