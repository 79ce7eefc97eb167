//! Standard output that is full, closed, does not wait, or takes a path that is not UTF-8: every
//! command prints all it has to print, or ends with an error.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::scratch_dir;
use crate::command::{Finished, binary, finish, on_directory, run, spawn};
use crate::control::asked::{event, line};
use crate::examples::commands;

const INPUT_OR_OUTPUT: i32 = 1;

/// How each command that prints is called. `STATE` stands for a directory with a state, `DUMP` for
/// a dump of it, `TEXT` for a text, and `NEW` for the name of a new directory.
pub const CALLS: [&[&str]; 22] = [
    &["run", "--data-dir", "STATE"],
    &["dump", "--data-dir", "STATE"],
    &["dump", "--data-dir", "STATE", "--format", "table"],
    &["load", "DUMP", "--data-dir", "NEW"],
    &["backup", "NEW", "--data-dir", "STATE"],
    &["compact", "--data-dir", "STATE"],
    &["checkpoints", "list", "--data-dir", "STATE"],
    &["checkpoints", "show", "a", "--data-dir", "STATE"],
    &["checkpoints", "diff", "a", "--data-dir", "STATE"],
    &["checkpoints", "save", "b", "--data-dir", "STATE"],
    &[
        "checkpoints",
        "restore",
        "a",
        "--yes",
        "--data-dir",
        "STATE",
    ],
    &["checkpoints", "delete", "a", "--data-dir", "STATE"],
    &["checkpoints", "graph", "--data-dir", "STATE"],
    &["outputs", "--data-dir", "STATE"],
    &["get", "e1", "--data-dir", "STATE"],
    &["stats", "--data-dir", "STATE"],
    &["stats", "--prometheus", "--data-dir", "STATE"],
    &["verify", "--data-dir", "STATE", "-q"],
    &["events", "TEXT"],
    &[
        "bench",
        "--events",
        "9",
        "--runs",
        "1",
        "--lone",
        "2",
        "-q",
        "--directory",
        "HOME",
    ],
    &["completions", "bash"],
    &["man"],
];

/// A directory with all that is needed to call any command once.
pub struct Home {
    home: TempDir,
    state: OsString,
}

impl Home {
    pub fn new(state: &OsStr) -> Self {
        let home = scratch_dir();
        let made = Self {
            state: state.to_owned(),
            home,
        };
        let mut input: String = (0..3)
            .map(|id| event(id, &format!("e{id}"), "w") + "\n")
            .collect();
        input += &(line("checkpoint", 3, r#""checkpoint_id":"a""#) + "\n");
        input += &(line("commit", 4, "") + "\n");
        let state = made.path("STATE");
        run(&mut on_directory("run", &state, &[]), &input).expect_quiet_success();
        let dump = run(&mut on_directory("dump", &state, &[]), "").expect_quiet_success();
        fs::write(made.path("DUMP"), dump).expect("there is room");
        fs::write(made.path("TEXT"), "a text of a few words").expect("there is room");
        made
    }

    pub fn path(&self, name: &str) -> PathBuf {
        match name {
            "STATE" => self.home.path().join(&self.state),
            "HOME" => self.home.path().to_owned(),
            _ => self.home.path().join(name),
        }
    }

    pub fn command(&self, program: &mut Command, call: &[&str]) -> Finished {
        for &argument in call {
            match argument {
                "STATE" | "DUMP" | "TEXT" | "NEW" | "HOME" => program.arg(self.path(argument)),
                _ => program.arg(argument),
            };
        }
        run(program, &(event(9, "new", "w") + "\n"))
    }
}

/// A shell that starts the binary with a redirection, and passes its arguments on.
fn redirected(redirection: &str) -> Command {
    let mut shell = Command::new("sh");
    let script = format!(r#"exec "$0" "$@" {redirection}"#);
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_exactly-once")]);
    shell
}

/// Those above, and what else prints.
fn all_calls() -> Vec<&'static [&'static str]> {
    let mut calls = CALLS.to_vec();
    calls.extend([
        &["--help"][..],
        &["--version"],
        &["help", "dump"],
        &["dump", "--help"],
    ]);
    calls
}

#[test]
fn no_command_is_left_out_here() {
    for path in commands(&[]) {
        let is_called = CALLS
            .iter()
            .any(|call| call.iter().zip(&path).all(|(a, b)| a == b));
        assert!(is_called, "{path:?}");
    }
}

#[test]
fn every_command_ends_with_an_error_where_its_output_is_full_or_closed_or_not_for_writing() {
    for (redirection, why) in [
        (">/dev/full", "No space left on device"),
        (">&-", "standard output is closed"),
        ("1</dev/null", "Bad file descriptor"),
    ] {
        for call in all_calls() {
            let home = Home::new(OsStr::new("state"));
            let finished = home.command(&mut redirected(redirection), call);
            let told = finished.expect_refusal(INPUT_OR_OUTPUT);
            assert!(told.contains(why), "{call:?} {redirection}: {told}");
        }
    }
}

#[test]
fn a_command_whose_output_is_closed_does_nothing() {
    for call in CALLS {
        let home = Home::new(OsStr::new("state"));
        let dump = || run(&mut on_directory("dump", &home.path("STATE"), &[]), "");
        let (before, names) = (dump().expect_quiet_success(), home.names());
        home.command(&mut redirected(">&-"), call)
            .expect_refusal(INPUT_OR_OUTPUT);
        assert_eq!(dump().expect_quiet_success(), before, "{call:?}");
        assert_eq!(home.names(), names, "{call:?}");
    }
}

impl Home {
    fn names(&self) -> Vec<OsString> {
        let entries = fs::read_dir(self.home.path()).expect("it is there");
        let names = entries.map(|entry| entry.expect("it can be read").file_name());
        let mut names: Vec<OsString> = names.collect();
        names.sort();
        names
    }
}

#[test]
fn an_output_that_is_thrown_away_is_no_error_however_it_was_opened() {
    for redirection in [">/dev/null", "1<>/dev/null", ">>/dev/null"] {
        for call in all_calls() {
            let home = Home::new(OsStr::new("state"));
            let finished = home.command(&mut redirected(redirection), call);
            assert_eq!(finished.code, Some(0), "{call:?}: {}", finished.stderr);
        }
    }
}

#[test]
fn every_command_waits_for_the_reader_of_an_output_that_does_not_wait() {
    for call in all_calls() {
        let home = Home::new(OsStr::new("state"));
        let (mut reader, mut writer) = std::io::pipe().expect("there is a pipe");
        rustix::io::ioctl_fionbio(&writer, true).expect("a pipe can be set not to wait");
        let mut filler = 0;
        while let Ok(written) = writer.write(&[b'\n'; 4096]) {
            filler += written;
        }
        let mut command = binary();
        for &argument in call {
            match argument {
                "STATE" | "DUMP" | "TEXT" | "NEW" | "HOME" => command.arg(home.path(argument)),
                _ => command.arg(argument),
            };
        }
        command
            .stdin(Stdio::from(home.request()))
            .stdout(writer)
            .stderr(Stdio::piped());
        let child = command.spawn().expect("it can be started");
        // It holds the other end of the pipe.
        drop(command);
        // The command meets the full pipe, or ends, or is so slow that this shows nothing.
        thread::sleep(Duration::from_millis(150));
        let mut printed = String::new();
        reader.read_to_string(&mut printed).expect("it is text");
        let finished = finish(child);
        assert_eq!(finished.code, Some(0), "{call:?}: {}", finished.stderr);
        assert!(printed.len() > filler, "{call:?} has printed nothing");
        assert!(printed.ends_with('\n'), "{call:?}");
    }
}

impl Home {
    /// A file with one request.
    fn request(&self) -> File {
        let path = self.home.path().join("request");
        fs::write(&path, event(9, "new", "w") + "\n").expect("there is room");
        File::open(path).expect("it was written")
    }
}

#[test]
fn a_line_is_whole_json_where_a_path_is_not_utf_8() {
    let name = OsStr::from_bytes(b"st\xffate");
    for call in CALLS {
        let is_text = ["graph", "--format", "--prometheus", "completions", "man"];
        if call.iter().any(|argument| is_text.contains(argument)) {
            continue;
        }
        let home = Home::new(name);
        let printed = home.command(&mut binary(), call);
        assert_eq!(printed.code, Some(0), "{call:?}: {}", printed.stderr);
        for line in printed.stdout.lines() {
            let record: Result<Value, _> = serde_json::from_str(line);
            assert!(record.is_ok(), "{call:?}: {line}");
        }
    }
    let home = Home::new(name);
    // What is said of such a path is said whole too.
    let nothing = on_directory("dump", &home.path("NEW").join(name), &[]);
    let told = finish(spawn({ nothing }.stdin(Stdio::null()))).expect_refusal(3);
    assert!(told.contains("st\u{fffd}ate"), "{told}");
}
