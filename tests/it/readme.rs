//! The README's lines, run as they stand: each command of its console blocks prints what is shown
//! below it, in the order of the page, in one shell whose standard output is a terminal.

use crate::kit::{OnTerminal, exit, finish, run, run_on, scratch_dir, spawn, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// A command of the README, and the lines that it prints.
#[derive(Debug)]
struct Step {
    command: String,
    shown: Vec<String>,
}

fn readme() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("README.md")).expect("it is there")
}

/// The blocks of a language, each without the lines around it.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    let after = page.split(&begin).skip(1);
    let block = |text: &str| text.split("\n```").next().map(str::to_owned);
    after.filter_map(block).collect()
}

/// The steps of the blocks after a heading, up to the next heading of its kind.
fn steps(heading: &str) -> Vec<Vec<Step>> {
    let page = readme();
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("no section {heading}"));
    let steps = |block: &String| {
        let mut steps: Vec<Step> = Vec::new();
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step {
                    command: command.to_owned(),
                    shown: Vec::new(),
                }),
                None => {
                    let step = steps.last_mut().expect("a block begins with a command");
                    step.shown.push(line.to_owned());
                }
            }
        }
        steps
    };
    blocks(section, "console").iter().map(steps).collect()
}

/// The jobs of a block must end with it, even if it fails.
const BEFORE_A_BLOCK: &str = "set -m\ntrap 'kill $(jobs -p) 2> /dev/null' EXIT\nPATH=$BIN:$PATH\n";

/// Runs the blocks of a section in a directory, each in a shell of its own, and compares what they
/// print.
fn check(heading: &str, home: &Path) {
    for block in steps(heading) {
        let mut script = String::from(BEFORE_A_BLOCK);
        let mut expected = Vec::new();
        for Step { command, shown } in block {
            // What a recipe shows first is there before it.
            let file = command.strip_prefix("cat ");
            let is_not_made = |name: &&str| !script.contains(&format!("touch {name}\n"));
            if let Some(file) = file.filter(is_not_made) {
                fs::write(home.join(file), shown.join("\n") + "\n").expect("there is room");
            } else if !command.starts_with("cargo install") {
                script += &format!("{command}\n");
                expected.extend(shown);
            }
        }
        // Another program may listen on the port of the README.
        let script = script.replace("8080", &free_port().to_string());
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).current_dir(home);
        shell.env("BIN", folder_of_the_program());
        let printed = OnTerminal::start(&mut shell).shown_until_its_end();
        let lines = printed.lines().map(as_seen);
        // Bash tells of the jobs that it was told to end.
        let mut lines: Vec<String> = lines.filter(|line| !line.contains("Terminated")).collect();
        let mut expected: Vec<&str> = expected.iter().map(|line| line.trim()).collect();
        if script.contains(" &\n") {
            // A process in the background prints beside the others.
            lines.sort_unstable();
            expected.sort_unstable();
        }
        assert_eq!(lines, expected, "\n{script}\n{printed}");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}

fn folder_of_the_program() -> &'static Path {
    let program = Path::new(env!("CARGO_BIN_EXE_exactly-once"));
    program.parent().expect("it is in a folder")
}

/// What is left of a line on a terminal after the progress bars in it were cleared. The last
/// figures of a node fill a line of 80 columns.
fn as_seen(line: &str) -> String {
    let after = line.rsplit("\u{1b}[2K").next().unwrap_or_default();
    let after = console::strip_ansi_codes(after);
    let after = match after.split_at_checked(80) {
        Some((figures, rest)) if figures.contains(" duplicates  ") => rest,
        _ => &after,
    };
    after.trim().to_owned()
}

#[test]
fn the_first_steps_print_what_is_shown() {
    let home = scratch_dir();
    fs::create_dir(home.path().join("data")).expect("there is room");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample.jsonl");
    fs::copy(sample, home.path().join("data/sample.jsonl")).expect("there is room");
    check("Start", home.path());
}

#[test]
fn the_unit_of_the_service_is_one_that_systemd_takes() {
    let home = scratch_dir();
    let page = readme();
    let unit = blocks(&page, "ini").pop().expect("the README has it");
    let program = env!("CARGO_BIN_EXE_exactly-once");
    let unit = unit.replace("/usr/local/bin/exactly-once", program);
    assert!(unit.contains(program), "{unit}");
    let path = home.path().join("exactly-once.service");
    fs::write(&path, unit).expect("there is room");
    let verified = run(Command::new("systemd-analyze").arg("verify").arg(path), "");
    assert_eq!(verified.expect_quiet_success(), "");
}

/// The loop that stands for a supervisor starts the node again after a kill, and ends with it.
#[test]
fn the_loop_of_the_readme_starts_a_killed_node_again() {
    let home = scratch_dir();
    let page = readme();
    let looping = blocks(&page, "sh").pop().expect("the README has it");
    let script = format!("PATH=\"$BIN:$PATH\"\n{looping}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(home.path());
    shell.env("BIN", folder_of_the_program());
    let supervisor = spawn(&mut shell);
    let mut before = None;
    for signal in [Signal::KILL, Signal::KILL, Signal::TERM] {
        let pid = wait_for("another node answers", || {
            let stats = run_on("stats", &home.path().join("state"), &[]);
            let stats: Value = serde_json::from_str(&stats.stdout).ok()?;
            let pid = stats["process"]["pid"].as_i64()?;
            (before != Some(pid)).then_some(pid)
        });
        before = Some(pid);
        let pid = Pid::from_raw(pid as i32).expect("it is a process");
        kill_process(pid, signal).expect("it is ours");
    }
    finish(supervisor).expect_status(exit::SUCCESS);
}

#[test]
fn the_recipes_print_what_is_shown() {
    check("Recipes", scratch_dir().path());
}
