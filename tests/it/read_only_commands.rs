//! Read-only commands need no permission to write, and no files except those of the state.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::kit::{
    Files, Listed, Snapshot, carry_out, checkpoint, commands, dump_of, event, home_and_data_dir,
    install_program, names, on_directory, run, scratch_dir, set_mode,
};
use crate::oracle::Request;

/// A user that is not root, for tests that run as root.
const OTHER_USER: u32 = 65_534;

fn made(data_dir: &Path) {
    let event = |number: u64| event(format!("e{number}"), "w1");
    let before = (0..9).map(event);
    carry_out(
        data_dir,
        &[],
        before.chain([Request::Commit, checkpoint("c"), event(9)]),
    );
}

/// The commands that change nothing.
fn that_only_look() -> Vec<Listed> {
    let mut found = commands::on_directories();
    let changing = [
        "run", "send", "import", "commit", "rollback", "load", "backup", "compact", "upgrade",
    ];
    let of_checkpoints = ["save", "restore", "delete"];
    found.retain(|command| {
        let last = command.words.last().map_or("", |word| word);
        !changing.contains(&last) && !of_checkpoints.contains(&last)
    });
    assert!(found.len() >= 9, "{found:?}");
    found
}

fn set_modes(path: &Path, file: u32, directory: u32) {
    for entry in fs::read_dir(path).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        match path.is_dir() {
            true => set_modes(&path, file, directory),
            false => set_mode(&path, file),
        }
    }
    set_mode(path, directory);
}

#[test]
fn a_directory_that_may_only_be_read_can_be_looked_at() {
    let home = scratch_dir();
    set_mode(home.path(), 0o755);
    let (place, data_dir) = (home.path().join("place"), home.path().join("place/data"));
    made(&data_dir);
    let program = install_program(home.path());
    let temporary = home.path().join("temporary");
    fs::create_dir(&temporary).expect("there is room");
    set_mode(&temporary, 0o777);
    set_modes(&place, 0o444, 0o555);
    let before = Snapshot::of(&place);
    for command in that_only_look() {
        let listed = command.on(&data_dir, Path::new("c"));
        let mut call = Command::new(&program);
        call.args(listed.get_args()).env("TMPDIR", &temporary);
        if rustix::process::getuid().is_root() {
            call.uid(OTHER_USER).gid(OTHER_USER);
        }
        let shown = run(&mut call, "");
        assert!(
            shown.status.success(),
            "{}: {}",
            command.name(),
            shown.stderr
        );
        assert_ne!(shown.stdout, "", "{}", command.name());
        assert_eq!(Snapshot::of(&place), before, "{}", command.name());
        assert_eq!(names(&temporary).len(), 0);
    }
    set_modes(&place, 0o644, 0o755);
}

#[test]
fn a_copy_without_its_lock_file_can_be_looked_at_and_used() {
    let (_home, data_dir) = home_and_data_dir();
    made(&data_dir);
    fs::remove_file(data_dir.join("lock")).expect("it is there");
    let before = Snapshot::of(&data_dir);
    for command in that_only_look() {
        let shown = run(&mut command.on(&data_dir, Path::new("c")), "").expect_quiet_success();
        assert_ne!(shown, "", "{}", command.name());
        assert_eq!(Snapshot::of(&data_dir), before, "{}", command.name());
    }
    let dumped = dump_of(&data_dir, &[]);
    for arguments in [&["compact"][..], &["compact", "--undo"], &["run", "-q"]] {
        let on = |arguments: &[&str]| on_directory(arguments[0], &data_dir, &arguments[1..]);
        fs::remove_file(data_dir.join("lock")).unwrap_or_default();
        let done = run(&mut on(arguments), "");
        assert!(done.status.success(), "{arguments:?}: {}", done.stderr);
        assert_eq!(dump_of(&data_dir, &[]), dumped);
    }
}

/// Several users may share a file system, so an old copy may belong to another user.
#[test]
fn what_another_users_command_left_disturbs_nothing() {
    let (home, data_dir) = home_and_data_dir();
    made(&data_dir);
    let rest = home.path().join(".exactly-once-abcdefgh");
    fs::create_dir(&rest).expect("there is room");
    fs::write(rest.join("db"), "not ours").expect("there is room");
    if rustix::process::getuid().is_root() {
        chown(&rest, Some(OTHER_USER), Some(OTHER_USER)).expect("root may");
    }
    set_mode(&rest, 0o000);
    let dumped = dump_of(&data_dir, &[]);
    assert!(dumped.contains("\"digest\""), "{dumped}");
    set_mode(&rest, 0o755);
    assert_eq!(
        Files::of(&rest).0.len(),
        1,
        "read-only commands leave it as it is"
    );
}
