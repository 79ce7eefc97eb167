//! A command leaves nothing on the disk, however it ends. Only SIGKILL leaves files, which the next
//! command removes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::kit::{
    Listed, PATIENCE, Process, binary, carry_out, checkpoint, commands, dump_of, event, exit,
    on_directory, run, run_node, scratch_dir, shell,
};
use crate::oracle::Request;

/// The signals, except SIGKILL, that end a process by default.
const ENDING: [Signal; 10] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::VTALARM,
    Signal::PROF,
    Signal::XCPU,
];

/// All places where a command can leave files: a state directory, a target, TMPDIR and its working
/// directory.
struct Home {
    directory: tempfile::TempDir,
    dump: PathBuf,
}

impl Home {
    /// Makes a state of this many events.
    fn new(events: u64) -> Self {
        let directory = scratch_dir();
        let dump = directory.path().join("dump");
        let home = Self { directory, dump };
        for name in ["temporary", "working"] {
            fs::create_dir(home.path(name)).expect("there is room");
        }
        let events = (0..events).map(|number| {
            event(
                format!("event {number}"),
                format!("word {}", number % 1_000),
            )
        });
        let end = [Request::Commit, checkpoint("c")];
        carry_out(&home.path("data"), &[], events.chain(end));
        fs::write(&home.dump, dump_of(&home.path("data"), &["--incidentals"]))
            .expect("there is room");
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A call of this command that takes long enough to be interrupted.
    fn call(&self, command: &Listed) -> Command {
        let name = command.name();
        let mut call = match (&*name, command.has("--data-dir")) {
            ("load", _) => on_directory("load", &self.path("target"), &[]),
            ("run", _) => binary(),
            (_, true) => command.on(&self.path("data"), &self.argument(&name)),
            (_, false) => {
                let mut call = binary();
                call.args(&command.words);
                call
            }
        };
        if name == "load" {
            call.arg(&self.dump);
        }
        call.current_dir(self.path("working"))
            .env("TMPDIR", self.path("temporary"));
        let waits = name == "run";
        call.stdin(if waits { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        call
    }

    fn argument(&self, command: &str) -> PathBuf {
        match command {
            "backup" => self.path("target"),
            _ => "c".into(),
        }
    }

    /// The names of all files, except the lock, the socket and sled's own snapshot files.
    fn names(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut places = vec![self.directory.path().to_owned()];
        while let Some(place) = places.pop() {
            for entry in fs::read_dir(place).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    places.push(entry.path());
                }
                let name = entry.path().display().to_string();
                let of_sled = name.contains("/data/snap.") || name.contains("/data/lock");
                if !of_sled && !name.contains("/data/control.sock") {
                    found.push(name);
                }
            }
        }
        found.sort();
        found
    }
}

/// Waits until the files on the disk change. False if the command ends without that.
fn until_something_is_there(home: &Home, child: &mut Process, before: &[String]) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if home.names() != before {
            return true;
        }
        if child.has_ended() {
            return false;
        }
    }
    false
}

#[test]
fn a_signal_leaves_nothing_of_any_command() {
    let home = Home::new(3_000);
    let before = home.names();
    let mut caught: BTreeMap<String, u64> = BTreeMap::new();
    for command in commands::that_end() {
        let name = command.name();
        for (index, ending) in ENDING.into_iter().enumerate() {
            // The read-only commands share the code that copies, so a few signals are enough.
            if index > 3 && !["dump", "backup", "compact", "load", "run"].contains(&&*name) {
                continue;
            }
            let mut child = Process::start(&mut home.call(&command));
            let is_there = until_something_is_there(&home, &mut child, &before);
            if !child.has_ended() {
                child.signal(ending);
            }
            *caught.entry(name.clone()).or_default() += u64::from(is_there);
            let status = child.ended();
            let is_ended_by = status.signal() == Some(ending.as_raw());
            let what = format!("{name}, {ending:?}, {status}");
            assert!(status.code().is_some() || is_ended_by, "{what}");
            // The result of a command that succeeded is not a leftover.
            let finished = home.path("target");
            if ["load", "backup"].contains(&&*name) && status.success() {
                fs::remove_dir_all(finished).expect("it is there");
            }
            if name == "compact" && status.success() {
                let mut remove = on_directory("compact", &home.path("data"), &["--undo"]);
                run(&mut remove, "").expect_quiet_success();
            }
            assert_eq!(home.names(), before, "{what}");
        }
    }
    for name in [
        "run", "load", "backup", "compact", "bench", "dump", "verify", "stats", "outputs",
    ] {
        assert!(
            caught[name] > 0,
            "{name} was never interrupted at work: {caught:?}"
        );
    }
}

#[test]
fn what_a_killed_command_leaves_is_removed_by_the_next() {
    let home = Home::new(3_000);
    let before = home.names();
    let listed = commands::that_end();
    let next = |name: &str| listed.iter().find(|command| command.name() == name);
    let mut left: BTreeMap<String, u64> = BTreeMap::new();
    for command in &listed {
        let name = command.name();
        for next in [command, next("get").expect("it is a command")] {
            let mut child = Process::start(&mut home.call(command));
            until_something_is_there(&home, &mut child, &before);
            child.kill().unwrap_or_default();
            child.ended();
            let others = home
                .names()
                .into_iter()
                .filter(|name| !before.contains(name));
            *left.entry(name.clone()).or_default() += others.count() as u64;
            // What these four leave is removed by a command that writes to the same place.
            let is_copy = !["load", "backup", "compact", "bench"].contains(&&*name);
            let next = if is_copy { next } else { command };
            let mut again = Process::start(&mut home.call(next));
            drop(again.stdin.take());
            if name == "bench" {
                // It removes leftovers before it begins; a whole run would take long.
                sleep(Duration::from_millis(300));
                again.signal(Signal::TERM);
            }
            let status = again.ended();
            if ["load", "backup"].contains(&&*name) && home.path("target").exists() {
                fs::remove_dir_all(home.path("target")).expect("it is there");
            }
            if name == "compact" && status.success() {
                let mut undo = on_directory("compact", &home.path("data"), &["--undo"]);
                run(&mut undo, "");
            }
            assert_eq!(home.names(), before, "{name}, then {}", next.name());
        }
    }
    for name in [
        "run", "load", "backup", "compact", "bench", "dump", "verify",
    ] {
        assert!(left[name] > 0, "{name} left nothing: {left:?}");
    }
}

/// A process that was started with a signal ignored goes on, as under `nohup`.
#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let home = Home::new(10);
    let script = "trap '' HUP; exec \"$0\" outputs --follow --data-dir \"$1\"";
    let mut shell = shell(script);
    shell.arg(home.path("data")).stdout(Stdio::piped());
    let mut child = Process::start(&mut shell);
    let mut lines = std::io::BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut lines, &mut line).expect("it is text");
    assert!(line.contains("\"offset\":0"), "{line}");
    child.signal(Signal::HUP);
    child.signal(Signal::TERM);
    let status = child.ended();
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
}

#[test]
fn a_copy_lies_beside_the_directory_and_only_elsewhere_in_tmpdir() {
    let home = Home::new(50);
    let fixed = |path: &Path| path.display().to_string();
    // The copy lies beside the directory, so TMPDIR is not needed.
    let mut looked = on_directory("get", &home.path("data"), &["event 1"]);
    run(looked.env("TMPDIR", home.path("missing")), "").expect_quiet_success();
    // Nothing is made inside another state directory, so TMPDIR is needed.
    let nested = home.path("data/nested");
    fs::rename(home.path("data"), home.path("moved")).expect("it is ours");
    run_node(&home.path("data"), &[], "").expect_success();
    fs::rename(home.path("moved"), &nested).expect("it is ours");
    let mut looked = on_directory("get", &nested, &["event 1"]);
    run(looked.env("TMPDIR", home.path("temporary")), "").expect_quiet_success();
    let mut looked = on_directory("get", &nested, &["event 1"]);
    let refused =
        run(looked.env("TMPDIR", home.path("missing")), "").expect_refusal(exit::UNUSABLE);
    assert!(refused.contains(&fixed(&home.path("missing"))), "{refused}");
    assert!(refused.contains("TMPDIR"), "{refused}");
}
