//! The `--help` of each command says what the command is for, and its examples work as written.

use crate::kit::{
    Listed, PATIENCE, binary, commands, copy_everything, dump_of, finish, on_directory, run,
    scratch_dir, set_mode, spawn,
};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};

/// Parts of the examples that run until they are stopped.
const ENDLESS: [&str; 4] = ["--follow", "--watch", "tail -f", "exactly-once serve"];

/// Parts of the examples that are not run: they take too long, or more than a machine may have.
const TOO_LARGE: [&str; 2] = ["exactly-once bench\n", "--events 5000000"];

fn examples(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| !line.starts_with("Example"));
    let lines = lines.skip(1).take_while(|line| line.starts_with("  "));
    lines.map(|line| line.trim().to_owned()).collect()
}

/// Fills a directory with all that the examples name.
fn furnish(home: &Path) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let text = fs::read_to_string(sample.join("sample.txt")).expect("it is part of the repository");
    let lines = fs::read_to_string(sample.join("sample.jsonl"));
    let mut lines = lines.expect("it is part of the repository");
    let put = |name: &str, bytes: &str| fs::write(home.join(name), bytes).expect("there is room");
    put("book.txt", &text);
    put("requests.jsonl", &lines);
    put("queue.jsonl", &lines);
    put("app.jsonl", "{\"id\":1,\"level\":\"info\"}\n");
    put("orders.csv", "order,status\n1,paid\n");
    put("access.log", "127.0.0.1 GET /a 200\n");
    let request = |body: &str| format!("{{\"src\":\"c\",\"dest\":\"p\",\"body\":{{{body}}}}}\n");
    lines += &request(r#""type":"checkpoint","checkpoint_id":"before""#);
    lines += &request(r#""type":"commit""#);
    lines += &request(r#""type":"process","event_id":"e","word":"the""#);
    lines += &request(r#""type":"checkpoint","checkpoint_id":"after""#);
    let state = home.join("state");
    run(&mut on_directory("run", &state, &["-q"]), &lines);
    put("state.jsonl", &dump_of(&state, &[]));
    for folder in [
        "bin",
        ".local/share/bash-completion/completions",
        ".config/fish/completions",
    ] {
        fs::create_dir_all(home.join(folder)).expect("there is room");
    }
    let program = binary();
    symlink(program.get_program(), home.join("bin/exactly-once")).expect("there is room");
    // Examples pipe into `jq`, which a machine may not have; its output is not tested.
    put("bin/jq", "#!/bin/sh\ncat\n");
    set_mode(&home.join("bin/jq"), 0o755);
}

fn in_shell(home: &Path, example: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", home.join("bin").display());
    let mut command = Command::new("sh");
    // No example needs standard input, and none may wait for it.
    command.args(["-ec", example]).stdin(Stdio::null());
    command
        .current_dir(home)
        .env("HOME", home)
        .env("PATH", path);
    command
}

/// Runs an example to its end, or an endless one until it prints something.
fn run_example(home: &Path, example: &str) {
    if !ENDLESS.iter().any(|endless| example.contains(endless)) {
        let finished = finish(spawn(&mut in_shell(home, example)));
        assert!(finished.status.success(), "{example}: {}", finished.stderr);
        let is_filed = [" > ", "--svg "].iter().any(|sign| example.contains(sign));
        // The summary of an import is on standard error.
        let is_summed_up =
            example.starts_with("exactly-once import") && !finished.stderr.is_empty();
        let is_said = !finished.stdout.is_empty() || is_filed || is_summed_up;
        assert!(is_said, "{example} prints nothing");
        return;
    }
    // The test reads the output that the example appends to a file.
    let read = example.split(" >> ").next().unwrap_or_default();
    let mut child = spawn(in_shell(home, read).process_group(0));
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let (to_test, said) = channel();
    thread::spawn(move || {
        let mut byte = [0];
        let read = std::io::Read::read(&mut stdout, &mut byte);
        to_test.send(matches!(read, Ok(1)))
    });
    let said = said.recv_timeout(PATIENCE);
    let group = Pid::from_child(&child);
    kill_process_group(group, Signal::KILL).expect("it has not ended");
    child.wait().expect("the child is ours");
    assert_eq!(said, Ok(true), "{example} prints nothing");
}

#[test]
fn every_command_says_what_it_is_for_and_its_examples_work() {
    let base = scratch_dir();
    furnish(base.path());
    let mut count = 0;
    for Listed { words, help, .. } in commands::all_with_help() {
        let purpose = help.lines().next().unwrap_or_default();
        assert!(purpose.len() > 20, "{words:?}: {help}");
        let found = examples(&help);
        assert!(!found.is_empty(), "{words:?} has no example: {help}");
        // The examples of one command run one after another on the same state.
        let home = scratch_dir();
        copy_everything(base.path(), home.path());
        for example in &found {
            let line = format!("{example}\n");
            if !TOO_LARGE.iter().any(|large| line.contains(large)) {
                run_example(home.path(), example);
                count += 1;
            }
        }
    }
    println!("{count} examples");
}
