//! Root works on a directory of another user: all that it makes there belongs to the owner.
//!
//! If the tests do not run as root, they show that other users are not affected.

use crate::kit::{
    CommandHome, EachCommand, Finished, Homes, REQUEST, Snapshot, exit, input_of, install_program,
    run, set_mode,
};
use rustix::process::{geteuid, getuid};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// A user that owns nothing else here and has no name.
const OTHER: u32 = 65_533;
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

/// The user who gets the directories; only root can give them away.
fn owner() -> u32 {
    if geteuid().is_root() {
        OTHER
    } else {
        getuid().as_raw()
    }
}

/// A home with the program, where every user finds it. Its directories belong to the owner.
fn home(homes: &Homes) -> CommandHome {
    let home = homes.make();
    install_program(home.path());
    for name in ["state", "loaded"] {
        give_away(&home.path().join(name));
    }
    home
}

fn program(home: &CommandHome) -> PathBuf {
    home.path().join("exactly-once")
}

fn give_away(path: &Path) {
    for path in all_in(path) {
        let mode = if path.is_dir() {
            DIRECTORY_MODE
        } else {
            FILE_MODE
        };
        set_mode(&path, mode);
        if geteuid().is_root() {
            chown(&path, Some(OTHER), Some(OTHER)).expect("root may do it");
        }
    }
}

/// A path and all paths below it.
fn all_in(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("it is there") {
            found.extend(all_in(&entry.expect("it can be read").path()));
        }
    }
    found
}

/// Runs a command under a umask that leaves rights only to the owner of a file.
fn run_masked(command: &EachCommand, home: &CommandHome) -> Finished {
    let plain = command.command(program(home), home.path());
    let mut masked = Command::new("sh");
    for (name, _) in plain.get_envs() {
        masked.env_remove(name);
    }
    masked.args(["-c", r#"umask 077 && exec "$@""#, "sh"]);
    masked.arg(plain.get_program()).args(plain.get_args());
    masked.current_dir(home.path()).env("TMPDIR", home.path());
    run(&mut masked, input_of([REQUEST]))
}

#[test]
fn each_command_that_root_runs_leaves_all_to_the_owner_with_the_rights_that_its_files_have() {
    let homes = Homes::new();
    for command in EachCommand::all() {
        let home = home(&homes);
        let finished = run_masked(&command, &home);
        assert!(
            finished.status.success(),
            "{command:?}: {}",
            finished.stderr
        );
        let made = fs::read_dir(home.path()).expect("it is there");
        for entry in made.map(|entry| entry.expect("it can be read").path()) {
            let name = entry.file_name().expect("it has a name").to_string_lossy();
            if !["exactly-once", "state.jsonl"].contains(&&*name) {
                all_in(&entry).iter().for_each(|path| check(path, &command));
            }
        }
        if geteuid().is_root() {
            let mut node = Command::new(program(&home));
            node.args(["run", "-q", "--data-dir", command.data_dir()]);
            node.current_dir(home.path()).uid(OTHER).gid(OTHER);
            let reply = run(&mut node, input_of([REQUEST])).expect_quiet_success();
            assert!(reply.contains("\"processed\""), "{command:?}: {reply}");
        }
    }
}

fn check(path: &Path, command: &EachCommand) {
    let metadata = fs::metadata(path).expect("it is there");
    let found = (metadata.uid(), metadata.mode() & 0o7777);
    if !geteuid().is_root() {
        return assert_eq!(found.0, owner(), "{command:?}: {}", path.display());
    }
    let is_socket = !metadata.is_dir() && !metadata.is_file();
    let mode = match metadata.is_dir() {
        true => DIRECTORY_MODE,
        false if is_socket => found.1,
        false => FILE_MODE,
    };
    assert_eq!(found, (OTHER, mode), "{command:?}: {}", path.display());
    assert_eq!(metadata.gid(), OTHER, "{command:?}: {}", path.display());
}

#[test]
fn what_the_owner_may_not_do_is_refused_to_root_with_the_reason() {
    let homes = Homes::new();
    let home = home(&homes);
    let private = home.path().join("private");
    fs::create_dir(&private).expect("there is room");
    set_mode(&private, 0o700);
    let mut backup = Command::new(program(&home));
    backup.args(["backup", "private/copy", "--data-dir", "state"]);
    let finished = run(backup.current_dir(home.path()), "");
    if !geteuid().is_root() {
        assert!(finished.status.success(), "{}", finished.stderr);
        return;
    }
    let line = finished.expect_refusal(exit::UNUSABLE);
    let told = format!("it works as user {OTHER}, the owner of the files in state");
    assert!(line.contains(&told), "{line}");
    assert!(line.contains("private"), "{line}");
}

#[test]
fn root_that_may_not_become_the_owner_changes_nothing_and_says_so() {
    if !geteuid().is_root() {
        return;
    }
    let homes = Homes::new();
    let home = home(&homes);
    let before = Snapshot::of(&home.state());
    let directory = home.path().to_owned();
    let run_without_right = move || {
        // This affects only this thread and the processes that it starts.
        let removed = remove_capability_from_bounding_set(CapabilitySet::SETUID);
        removed.expect("root may give a right up");
        let command = EachCommand::named("run");
        command.run(&directory, |_| ())
    };
    let finished = thread::spawn(run_without_right).join();
    let line = finished.expect("it ends").expect_refusal(exit::UNUSABLE);
    let told = format!("state belongs to user {OTHER}, and this process may not become that user");
    assert!(line.contains(&told), "{line}");
    assert_eq!(Snapshot::of(&home.state()), before);
}
