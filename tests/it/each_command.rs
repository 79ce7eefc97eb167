//! Every command that works on a state directory, from the program's own list of commands.

use crate::client::scratch_dir;
use crate::command::{Finished, binary, dump_of, on_directory, run};
use crate::parser;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The request that a node answers.
pub const REQUEST: &str =
    r#"{"src":"c","dest":"p","body":{"type":"process","msg_id":1,"event_id":"e1","word":"a"}}"#;

/// One command, and the arguments with which it succeeds in a home of [`Homes`].
#[derive(Debug)]
pub struct EachCommand {
    /// Its words, such as `checkpoints list`.
    pub name: String,
}

impl EachCommand {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let listed = parser::on_directories().into_iter();
        let named = listed.map(|command| command.name());
        // Without a name it is `run`.
        let names = [String::new()].into_iter().chain(named);
        names.map(|name| Self { name }).collect()
    }

    /// The words of the command with its arguments, to be run in a home.
    pub fn words(&self) -> Vec<&str> {
        let mut words: Vec<&str> = self.name.split_whitespace().collect();
        words.extend(match &*self.name {
            "backup" => &["copy"][..],
            "get" => &["--word", "a"],
            "load" => &["state.jsonl"],
            "checkpoints show" | "checkpoints diff" | "checkpoints delete" => &["before"],
            "checkpoints save" => &["after"],
            "checkpoints restore" => &["before", "--yes"],
            _ => &[],
        });
        words.extend(["--data-dir", self.data_dir()]);
        words
    }

    /// The directory that it works on.
    pub fn data_dir(&self) -> &'static str {
        match &*self.name {
            "load" => "loaded",
            _ => "state",
        }
    }

    /// The command, by this program.
    pub fn command(&self, program: impl AsRef<OsStr>, home: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in binary().get_envs() {
            command.env_remove(name);
        }
        command.args(self.words()).current_dir(home);
        command
    }

    /// Runs it in a home, with changes.
    pub fn run(&self, home: &Path, change: impl FnOnce(&mut Command)) -> Finished {
        let mut command = self.command(binary().get_program(), home);
        change(&mut command);
        run(&mut command, &format!("{REQUEST}\n"))
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
        let mut input = String::new();
        for number in 0..50 {
            input += &REQUEST.replace("\"e1\"", &format!("\"before-{number}\""));
            input += "\n";
        }
        input += r#"{"src":"c","dest":"p","body":{"type":"checkpoint","checkpoint_id":"before"}}"#;
        input += "\n";
        run(&mut on_directory("run", &state, &["-q"]), &input);
        let dump = dump_of(&state, &[]);
        fs::write(pattern.path().join("state.jsonl"), dump).expect("there is room");
        fs::create_dir(pattern.path().join("loaded")).expect("there is room");
        Self { pattern }
    }

    /// A new one, which all users may enter and write to.
    pub fn make(&self) -> Home {
        let home = scratch_dir();
        let everything = self.pattern.path().join(".");
        let mut copy = Command::new("cp");
        run(copy.arg("-a").args([&everything, home.path()]), "").expect_quiet_success();
        let for_all = fs::Permissions::from_mode(0o1777);
        fs::set_permissions(home.path(), for_all).expect("it is ours");
        Home(home)
    }
}

/// A directory with all that each command needs.
pub struct Home(TempDir);

impl Home {
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }
}
