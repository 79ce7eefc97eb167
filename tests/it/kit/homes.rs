//! Every command that works on a state directory, from the program's own list of commands.

use super::commands::{IMPORT, on_directories};
use super::directory::{copy_everything, scratch_dir, set_mode};
use super::process::{Finished, binary, on_directory, run, without_options};
use super::requests::{checkpoint, event, input_of, numbered_input};
use super::state::dump_of;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The input of each command: a request.
pub const REQUEST: &str =
    r#"{"src":"c","dest":"p","body":{"type":"process","msg_id":1,"event_id":"e1","word":"a"}}"#;

/// One command, and the arguments with which it succeeds in a home of [`Homes`].
#[derive(Debug)]
pub struct EachCommand {
    /// Its words, such as `checkpoints list`.
    pub name: String,
}

impl EachCommand {
    /// The command of this name.
    pub fn named(name: &str) -> Self {
        let name = name.to_owned();
        Self { name }
    }

    /// Every command.
    pub fn all() -> Vec<Self> {
        let listed = on_directories().into_iter();
        let named = listed.map(|command| command.name());
        // A call without a command is `run`.
        let names = [String::new()].into_iter().chain(named);
        names.map(|name| Self { name }).collect()
    }

    /// The words of a call in a home.
    pub fn words(&self) -> Vec<&str> {
        let mut words: Vec<&str> = self.name.split_whitespace().collect();
        words.extend(match &*self.name {
            "backup" => &["copy"][..],
            "get" => &["--word", "a"],
            "load" => &["state.jsonl"],
            "rollback" => &["--yes"],
            // Its own node would say on standard error too why it does not serve the client.
            "send" => &["--quiet"],
            "import" => &IMPORT,
            "checkpoints show" | "checkpoints diff" | "checkpoints delete" => &["before"],
            "checkpoints save" => &["after"],
            "checkpoints restore" => &["before", "--yes"],
            _ => &[],
        });
        words.extend(["--data-dir", self.data_dir()]);
        words
    }

    pub fn data_dir(&self) -> &'static str {
        match &*self.name {
            "load" => "loaded",
            _ => "state",
        }
    }

    /// The command in a home, by this program.
    pub fn command(&self, program: impl AsRef<OsStr>, home: &Path) -> Command {
        let mut command = without_options(Command::new(program));
        command.args(self.words()).current_dir(home);
        command
    }

    /// Runs it in a home, with changes to the call.
    pub fn run(&self, home: &Path, change: impl FnOnce(&mut Command)) -> Finished {
        let mut command = self.command(binary().get_program(), home);
        change(&mut command);
        run(&mut command, input_of([REQUEST]))
    }
}

/// Homes that are alike: a state with a checkpoint, a dump of it, and an empty directory.
pub struct Homes {
    pattern: TempDir,
}

impl Homes {
    pub fn new() -> Self {
        let pattern = scratch_dir();
        let state = pattern.path().join("state");
        let events = (0..50).map(|number| event(format!("before-{number}"), "a"));
        let requests: Vec<_> = events.chain([checkpoint("before")]).collect();
        let input = numbered_input(1, &requests);
        run(&mut on_directory("run", &state, &["-q"]), input).expect_quiet_success();
        let dump = dump_of(&state, &[]);
        fs::write(pattern.path().join("state.jsonl"), dump).expect("there is room");
        fs::create_dir(pattern.path().join("loaded")).expect("there is room");
        Self { pattern }
    }

    /// A new home, which all users may enter and write to.
    pub fn make(&self) -> CommandHome {
        let home = scratch_dir();
        copy_everything(self.pattern.path(), home.path());
        set_mode(home.path(), 0o1777);
        CommandHome(home)
    }
}

/// A directory with all that each command needs.
pub struct CommandHome(TempDir);

impl CommandHome {
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }
}
