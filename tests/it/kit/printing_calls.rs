//! A call of every command, from the program's own list of commands, and a directory with all that
//! the calls need.

use super::commands::{Listed, that_end};
use super::directory::{names, scratch_dir};
use super::process::{Finished, on_directory, run};
use super::requests::{checkpoint, event, event_line, numbered_input};
use super::state::dump_of;
use crate::oracle::Request;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The calls of every command that ends by itself, some in several ways. `STATE` stands for a
/// directory with a state, `DUMP` for a dump of it, `TEXT` for a text, `NEW` for a new directory,
/// and `HOME` for the directory that contains all of these.
pub fn printing_calls() -> Vec<Vec<String>> {
    that_end().iter().flat_map(calls_of).collect()
}

fn calls_of(command: &Listed) -> Vec<Vec<String>> {
    let name = command.name();
    let ways: &[&[&str]] = match &*name {
        "dump" => &[&[], &["--format", "table"]],
        "load" => &[&["DUMP"]],
        "backup" => &[&["NEW"]],
        "checkpoints show" | "checkpoints diff" | "checkpoints delete" => &[&["a"]],
        "checkpoints save" => &[&["b"]],
        "checkpoints restore" => &[&["a", "--yes"]],
        "get" => &[&["e1"]],
        "rollback" => &[&["--yes"]],
        "stats" => &[&[], &["--prometheus"]],
        "verify" => &[&["-q"]],
        "import" => &[&["TEXT", "--print", "--input-format", "words"]],
        "bench" => &[&[
            "--events",
            "9",
            "--runs",
            "1",
            "--lone",
            "2",
            "-q",
            "--directory",
            "HOME",
        ]],
        "completions" => &[&["bash"]],
        _ => &[&[]],
    };
    let directory: &[&str] = match &*name {
        "load" => &["--data-dir", "NEW"],
        "import" => &[],
        _ if command.has("--data-dir") => &["--data-dir", "STATE"],
        _ => &[],
    };
    let call = |way: &&[&str]| {
        let arguments = way.iter().chain(directory).map(|&word| word.to_owned());
        command.words.iter().cloned().chain(arguments).collect()
    };
    ways.iter().map(call).collect()
}

/// A directory with all that is needed to call any command once.
pub struct CallHome {
    home: TempDir,
    state: OsString,
}

impl CallHome {
    /// A home whose state is in a directory of this name.
    pub fn new(state: impl AsRef<OsStr>) -> Self {
        let made = Self {
            state: state.as_ref().to_owned(),
            home: scratch_dir(),
        };
        let events = (0..3).map(|id| event(format!("e{id}"), "w"));
        let requests: Vec<_> = events.chain([checkpoint("a"), Request::Commit]).collect();
        let state = made.path("STATE");
        let input = numbered_input(0, &requests);
        run(&mut on_directory("run", &state, &[]), input).expect_quiet_success();
        fs::write(made.path("DUMP"), dump_of(&state, &[])).expect("there is room");
        fs::write(made.path("TEXT"), "a text of a few words").expect("there is room");
        made
    }

    /// The path that a name in a call stands for.
    pub fn path(&self, name: &str) -> PathBuf {
        match name {
            "STATE" => self.home.path().join(&self.state),
            "HOME" => self.home.path().to_owned(),
            _ => self.home.path().join(name),
        }
    }

    pub fn names(&self) -> Vec<String> {
        names(self.home.path())
    }

    /// Adds the arguments of a call to a command.
    pub fn add_arguments(&self, command: &mut Command, call: &[impl AsRef<str>]) {
        for argument in call.iter().map(AsRef::as_ref) {
            match argument {
                "STATE" | "DUMP" | "TEXT" | "NEW" | "HOME" => command.arg(self.path(argument)),
                _ => command.arg(argument),
            };
        }
    }

    /// Runs a call with one request as its input.
    pub fn call(&self, mut program: Command, call: &[impl AsRef<str>]) -> Finished {
        self.add_arguments(&mut program, call);
        run(&mut program, event_line(9, "new", "w") + "\n")
    }

    /// A file with one request.
    pub fn request(&self) -> File {
        let path = self.home.path().join("request");
        fs::write(&path, event_line(9, "new", "w") + "\n").expect("there is room");
        File::open(path).expect("it was written")
    }
}
