//! Every command prints all it has to print or ends with an error, also if standard output is full,
//! closed or non-blocking, or if a path is not UTF-8.

use crate::kit::{
    CallHome, Process, binary, exit, finish, on_directory, printing_calls, run, run_on,
    set_waiting, shell,
};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// A shell that starts the program with a redirection, and passes its arguments on.
fn redirected(redirection: &str) -> Command {
    shell(&format!(r#"exec "$0" "$@" {redirection}"#))
}

/// A call of every command, and of the options that print.
fn all_calls() -> Vec<Vec<String>> {
    let others = [
        &["--help"][..],
        &["--version"],
        &["help", "dump"],
        &["dump", "--help"],
    ];
    let others = others.map(|call| call.iter().map(|&word| word.to_owned()).collect());
    printing_calls().into_iter().chain(others).collect()
}

/// The script for a shell comes from the definition of the arguments, and the calls come from the
/// help.
#[test]
fn every_command_that_a_shell_completes_is_called_here() {
    let script = run(binary().args(["completions", "bash"]), "").expect_quiet_success();
    let labels = script.lines().map(str::trim);
    let labels = labels.filter_map(|line| line.strip_prefix("exactly__once")?.strip_suffix(')'));
    let paths = labels.map(|label| label.replace("__subcmd__", ","));
    // `serve` and `ping` need more than a call; see the tests of `service`.
    let not_here = ["help", "serve", "ping"];
    let is_here = |path: &String| !not_here.iter().any(|name| path.contains(name));
    let paths: Vec<String> = paths.filter(is_here).collect();
    assert!(paths.len() > 20, "{paths:?}");
    let calls = printing_calls();
    for path in paths {
        let words: Vec<&str> = path.split(',').filter(|word| !word.is_empty()).collect();
        let is_called = calls
            .iter()
            .any(|call| call.iter().zip(&words).all(|(a, b)| a == b));
        assert!(is_called, "{path}");
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
            let home = CallHome::new("state");
            let finished = home.call(redirected(redirection), &call);
            let told = finished.expect_refusal(exit::INPUT_OR_OUTPUT);
            assert!(told.contains(why), "{call:?} {redirection}: {told}");
        }
    }
}

#[test]
fn a_command_whose_output_is_closed_does_nothing() {
    for call in printing_calls() {
        let home = CallHome::new("state");
        let dump = || run_on("dump", &home.path("STATE"), &[]);
        let (before, names) = (dump().expect_quiet_success(), home.names());
        home.call(redirected(">&-"), &call)
            .expect_refusal(exit::INPUT_OR_OUTPUT);
        assert_eq!(dump().expect_quiet_success(), before, "{call:?}");
        assert_eq!(home.names(), names, "{call:?}");
    }
}

#[test]
fn an_output_that_is_thrown_away_is_no_error_however_it_was_opened() {
    for redirection in [">/dev/null", "1<>/dev/null", ">>/dev/null"] {
        for call in all_calls() {
            let home = CallHome::new("state");
            let finished = home.call(redirected(redirection), &call);
            assert!(finished.status.success(), "{call:?}: {}", finished.stderr);
        }
    }
}

#[test]
fn every_command_waits_for_the_reader_of_an_output_that_does_not_wait() {
    for call in all_calls() {
        let home = CallHome::new("state");
        let (mut reader, mut writer) = std::io::pipe().expect("there is a pipe");
        set_waiting(&writer, false);
        let mut filler = 0;
        while let Ok(written) = writer.write(&[b'\n'; 4096]) {
            filler += written;
        }
        let mut command = binary();
        home.add_arguments(&mut command, &call);
        let streams = command.stdin(home.request()).stdout(writer);
        let child = Process::start(streams.stderr(Stdio::piped()));
        // The command still has the writing end of the pipe open.
        drop(command);
        // The command meets the full pipe or ends. If it is slower, this proves nothing.
        thread::sleep(Duration::from_millis(150));
        let mut printed = String::new();
        reader.read_to_string(&mut printed).expect("it is text");
        let finished = finish(child);
        assert!(finished.status.success(), "{call:?}: {}", finished.stderr);
        assert!(printed.len() > filler, "{call:?} has printed nothing");
        assert!(printed.ends_with('\n'), "{call:?}");
    }
}

#[test]
fn a_line_is_whole_json_where_a_path_is_not_utf_8() {
    let name = OsStr::from_bytes(b"st\xffate");
    for call in printing_calls() {
        let is_text = ["graph", "--format", "--prometheus", "completions", "man"];
        if call.iter().any(|argument| is_text.contains(&&**argument)) {
            continue;
        }
        let home = CallHome::new(name);
        let printed = home.call(binary(), &call);
        assert!(printed.status.success(), "{call:?}: {}", printed.stderr);
        for line in printed.stdout.lines() {
            let record: Result<Value, _> = serde_json::from_str(line);
            assert!(record.is_ok(), "{call:?}: {line}");
        }
    }
    let home = CallHome::new(name);
    // A message about such a path has all of it too.
    let nothing = on_directory("dump", &home.path("NEW").join(name), &[]);
    let told = run(&mut { nothing }, "").expect_refusal(exit::UNUSABLE);
    assert!(told.contains("st\u{fffd}ate"), "{told}");
}
