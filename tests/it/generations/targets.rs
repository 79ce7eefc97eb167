//! Where a state may be made, and where it may not.

use crate::kit::{
    Files, Finished, Listed, binary, commands, dump_of, exit, home_and_data_dir, on_directory, run,
    run_on, scratch_dir, text, verified,
};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use super::{compact, events, lines, made, names};

#[test]
fn nothing_is_made_inside_a_state_directory() {
    let home = scratch_dir();
    let data_dir = home.path().join("st");
    made(&data_dir, 10);
    let dumped = dump_of(&data_dir, &[]);
    fs::create_dir(data_dir.join("empty")).expect("there is room");
    symlink(&data_dir, home.path().join("link")).expect("there is room");
    let before = Files::of(home.path());
    let refused = |finished: Finished, what: &str| {
        assert!(
            matches!(finished.code(), Some(exit::USAGE | exit::UNUSABLE)),
            "{what}: {}",
            finished.stderr
        );
        assert!(
            finished.stderr.contains("inside the state"),
            "{what}: {}",
            finished.stderr
        );
        assert_eq!(Files::of(home.path()), before, "{what}");
    };
    for inside in [
        "st/new",
        "st/new/deep",
        "st/empty",
        "link/new",
        "st/../st/new",
    ] {
        let target = home.path().join(inside);
        for command in commands::on_directories() {
            let name = command.name();
            if ["run", "send", "import", "load"].contains(&&*name) {
                refused(
                    run(&mut command.on(&target, Path::new("-")), &dumped),
                    &name,
                );
            }
            if name == "backup" {
                refused(run(&mut command.on(&data_dir, &target), ""), &name);
            }
            for option in ["--metrics-file", "--svg"] {
                if command.has(option) {
                    let mut call = command.on(&data_dir, Path::new("-"));
                    refused(run(call.arg(option).arg(&target), ""), option);
                }
            }
        }
        let mut bench = binary();
        bench.args(["bench", "-q", "--directory"]).arg(&target);
        refused(run(&mut bench, ""), "bench");
    }
    let inside = data_dir.join("empty");
    refused(run(binary().env("TMPDIR", &inside), ""), "TMPDIR of a node");
    // An earlier version allowed a state inside another one. Nothing is made next to it.
    let nested = data_dir.join("nested");
    fs::rename(home.path().join("st"), home.path().join("moved")).expect("the test owns it");
    made(&data_dir, 3);
    fs::rename(home.path().join("moved"), &nested).expect("the test owns it");
    let before = Files::of(home.path());
    let looked = run(
        on_directory("get", &nested, &["e1"]).env("TMPDIR", &data_dir),
        "",
    );
    looked.expect_refusal(exit::UNUSABLE);
    assert_eq!(Files::of(home.path()), before);
    assert_eq!(events(&nested), 10);
}

/// Runs `load`, `backup` and `compact` on the directory `at` under the unusual name `empty`.
fn load_backup_compact(start: impl Fn(&mut Command), empty: &str, at: &Path, source: &Path) {
    let dumped = dump_of(source, &[]);
    let (device, inode) = identity(at);
    let run_on_it = |arguments: &[&str], input: &str| {
        let mut command = binary();
        start(&mut command);
        run(command.args(arguments), input)
    };
    for round in 0..2 {
        match round {
            0 => run_on_it(&["load", "--data-dir", empty], &dumped),
            _ => run_on_it(&["backup", empty, "--data-dir", text(source)], ""),
        }
        .expect_quiet_success();
        assert_eq!(dump_of(at, &[]), dumped);
        run_on_it(&["compact", "--data-dir", empty], "").expect_quiet_success();
        run_on_it(&["compact", "--data-dir", empty, "--remove-old"], "").expect_quiet_success();
        assert_eq!(dump_of(at, &[]), dumped);
        verified(at);
        run_on_it(&["run", "--data-dir", empty], &lines(100..101)).expect_quiet_success();
        assert_eq!(events(at), events(source) + 1);
        assert_eq!(identity(at), (device, inode));
        for name in names(at) {
            let path = at.join(name);
            match path.is_dir() {
                true => fs::remove_dir_all(path),
                false => fs::remove_file(path),
            }
            .expect("the test owns it");
        }
    }
}

fn identity(directory: &Path) -> (u64, u64) {
    let metadata = fs::metadata(directory).expect("it is there");
    (metadata.dev(), metadata.ino())
}

#[test]
fn an_empty_directory_takes_a_state_however_it_is_named() {
    let home = scratch_dir();
    let [source, empty, link] = ["source", "empty", "link"].map(|name| home.path().join(name));
    made(&source, 20);
    fs::create_dir(&empty).expect("there is room");
    symlink(&empty, &link).expect("there is room");
    let in_empty = |command: &mut Command| {
        command.current_dir(&empty);
    };
    load_backup_compact(in_empty, ".", &empty, &source);
    load_backup_compact(|_| {}, text(&empty.join(".")), &empty, &source);
    load_backup_compact(|_| {}, &format!("{}/", text(&empty)), &empty, &source);
    load_backup_compact(|_| {}, text(&link), &empty, &source);
    assert_eq!(names(home.path()).len(), 3);
}

/// A mount point can neither be renamed nor replaced. Without the right to mount, the test takes a
/// directory with a read-only parent, which cannot be either.
#[test]
fn a_mount_point_takes_a_state() {
    let home = scratch_dir();
    let [source, mounted] = ["source", "parent/mounted"].map(|name| home.path().join(name));
    made(&source, 20);
    fs::create_dir_all(&mounted).expect("there is room");
    let script = "mount -t tmpfs none \"$1/parent/mounted\" && cd / && \
        \"$0\" dump --data-dir \"$1/source\" > \"$1/dump\" && \
        \"$0\" load \"$1/dump\" --data-dir \"$1/parent/mounted\" && \
        \"$0\" compact --dry-run --data-dir \"$1/parent/mounted\" && \
        \"$0\" compact --data-dir \"$1/parent/mounted\" && \
        \"$0\" compact --remove-old --data-dir \"$1/parent/mounted\" && \
        \"$0\" dump --data-dir \"$1/parent/mounted\" | cmp - \"$1/dump\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", script]);
    unshare.arg(binary().get_program()).arg(home.path());
    let finished = run(&mut unshare, "");
    if finished.stderr.contains("unshare failed") || finished.stderr.contains("mount:") {
        let parent = home.path().join("parent");
        let mut mode = fs::metadata(&parent).expect("it is there").permissions();
        mode.set_readonly(true);
        fs::set_permissions(&parent, mode).expect("the test owns it");
        load_backup_compact(|_| {}, text(&mounted), &mounted, &source);
        return;
    }
    assert!(finished.status.success(), "{}", finished.stderr);
    assert_eq!(finished.stdout.lines().count(), 4, "{}", finished.stdout);
}

#[test]
fn a_command_that_is_refused_leaves_no_directory() {
    let home = scratch_dir();
    let target = home.path().join("a/b/c");
    let refused = run(&mut on_directory("load", &target, &[]), "{}\n");
    assert_eq!(
        refused.code(),
        Some(exit::INPUT_OR_OUTPUT),
        "{}",
        refused.stderr
    );
    assert!(names(home.path()).is_empty());
    let data_dir = home.path().join("st");
    made(&data_dir, 10);
    let before = Files::of(&data_dir);
    let floor = u64::MAX.to_string();
    for arguments in [
        &["compact", "--min-free-bytes", &floor][..],
        &["backup", text(&target), "--min-free-bytes", &floor],
    ] {
        let refused = run_on(arguments[0], &data_dir, &arguments[1..]);
        let line = refused.expect_refusal(exit::STORAGE);
        assert!(line.contains("free"), "{line}");
        assert_eq!(Files::of(&data_dir), before);
        assert_eq!(names(home.path()).len(), 1);
    }
    compact(&data_dir, &["--min-free-bytes", "1"]).expect_quiet_success();
}

/// A call of a command for the tests below, and its input.
fn call_of(command: &Listed, data_dir: &Path, other: &Path, dumped: &str) -> (Command, String) {
    match &*command.name() {
        "load" => (command.on(other, Path::new("-")), dumped.to_owned()),
        "backup" => (command.on(data_dir, other), lines(90..91)),
        _ => (command.on(data_dir, Path::new("c")), lines(90..91)),
    }
}

#[test]
fn every_command_that_writes_has_an_option_for_the_space_it_leaves_free() {
    let (home, data_dir) = home_and_data_dir();
    made(&data_dir, 10);
    let dumped = dump_of(&data_dir, &[]);
    let other = home.path().join("other");
    let floor = u64::MAX.to_string();
    let (mut with_option, mut refused) = (Vec::new(), Vec::new());
    for command in commands::on_directories() {
        if !command.has("--min-free-bytes") {
            continue;
        }
        let (mut call, input) = call_of(&command, &data_dir, &other, &dumped);
        let finished = run(call.args(["--min-free-bytes", &floor]), &input);
        if finished.code() == Some(exit::STORAGE) || finished.stdout.contains("\"code\": 11") {
            refused.push(command.name());
        }
        with_option.push(command.name());
    }
    let expected = [
        "run",
        "send",
        "import",
        "commit",
        "rollback",
        "checkpoints save",
        "checkpoints restore",
        "checkpoints delete",
        "backup",
        "load",
        "compact",
    ];
    // This directory has the present format; the tests of `format4` have another one.
    assert_eq!(with_option.pop().as_deref(), Some("upgrade"));
    assert_eq!(with_option, expected);
    // A deletion writes little, and is still refused like the others.
    assert_eq!(refused, expected);
    assert_eq!(dump_of(&data_dir, &[]), dumped);
    assert_eq!(commands_that_write(), expected);
}

/// The commands that change any file.
fn commands_that_write() -> Vec<String> {
    let changes = |command: &Listed| {
        let (home, data_dir) = home_and_data_dir();
        made(&data_dir, 10);
        let dumped = dump_of(&data_dir, &[]);
        let before = Files::of(home.path());
        let other = home.path().join("other");
        let (mut call, input) = call_of(command, &data_dir, &other, &dumped);
        run(&mut call, &input);
        Files::of(home.path()) != before
    };
    let listed = commands::on_directories().into_iter();
    let writing = listed.filter(changes);
    writing.map(|command| command.name()).collect()
}
