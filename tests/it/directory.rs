//! State directories and exit statuses: which directories are refused, and what stays in them.

mod held;
mod incomplete;
mod loss;
mod temporary;

use crate::kit::{
    Finished, Snapshot, accepted, binary, duplicate, event, exit, home_and_data_dir,
    numbered_input, on_directory, run, scratch_dir, text,
};
use crate::oracle::Request;
use std::fs;
use std::path::Path;

#[test]
fn a_foreign_directory_is_refused_and_stays_as_it_is() {
    let home = scratch_dir();
    for name in [
        "notes.txt",
        "db",
        "conf",
        "snap.0000000000000001.generating",
        ".hidden",
    ] {
        let foreign = home.path().join(format!("with-{name}"));
        fs::create_dir(&foreign).expect("it can be made");
        fs::write(foreign.join(name), "mine").expect("it can be written");
        let before = Snapshot::of(&foreign);
        for command in ["run", "dump"] {
            let line = on(command, &foreign, "").expect_refusal(exit::UNUSABLE);
            assert!(line.contains(name), "it must name what it found: {line}");
        }
        assert_eq!(Snapshot::of(&foreign), before);
    }
    let with_folder = home.path().join("with-folder");
    fs::create_dir_all(with_folder.join("folder")).expect("it can be made");
    let before = Snapshot::of(&with_folder);
    on("run", &with_folder, "").expect_refusal(exit::UNUSABLE);
    assert_eq!(Snapshot::of(&with_folder), before);
}

#[test]
fn a_database_of_sled_that_another_program_made_is_refused() {
    let (_home, data_dir) = home_and_data_dir();
    answer(&data_dir, &[event_of("e1")]);
    for own in ["sentinel", "lock"] {
        fs::remove_file(data_dir.join(own)).expect("it is there");
    }
    let before = Snapshot::of(&data_dir);
    on("run", &data_dir, "").expect_refusal(exit::UNUSABLE);
    assert_eq!(Snapshot::of(&data_dir), before);
}

#[test]
fn a_path_where_no_directory_can_be_is_refused() {
    let home = scratch_dir();
    let file = home.path().join("file");
    fs::write(&file, "mine").expect("it can be written");
    let before = Snapshot::of(home.path());
    let impossible = Path::new("/proc/exactly-once");
    for (path, culprit) in [
        (&*file, &*file),
        (&file.join("below/it"), &file),
        (impossible, impossible),
    ] {
        for command in ["run", "dump"] {
            let line = on(command, path, "").expect_refusal(exit::UNUSABLE);
            let culprit = text(culprit);
            assert!(
                line.contains(culprit),
                "what is in the way must be named: {line}"
            );
        }
    }
    assert_eq!(Snapshot::of(home.path()), before);
}

#[test]
fn the_reason_of_the_operating_system_is_named_once() {
    let line = on("run", Path::new("/proc/exactly-once"), "").expect_refusal(exit::UNUSABLE);
    assert_eq!(line.matches("os error").count(), 1, "{line}");
}

#[test]
fn parent_directories_are_created_and_a_directory_may_be_relative() {
    let home = scratch_dir();
    let start = |path: &str, input: &str| {
        let mut command = binary();
        command.current_dir(home.path()).args(["--data-dir", path]);
        run(&mut command, input).expect_quiet_success()
    };
    for path in ["single", "one/two/three", "./dotted/", "single/../beside"] {
        assert_eq!(
            start(path, &numbered_input(1, &[event_of("e1")])),
            reply(1, false),
            "{path}"
        );
        assert!(home.path().join(path).join("db").is_file());
    }
    let absolute = home.path().join("one/two/three");
    assert_eq!(answer(&absolute, &[event_of("e1")]), reply(1, true));
    assert_eq!(
        start("one/../single", &numbered_input(1, &[event_of("e1")])),
        reply(1, true)
    );
}

#[test]
fn the_environment_names_the_directory_and_the_option_wins() {
    let home = scratch_dir();
    let [of_environment, of_option] = ["environment", "option"].map(|name| home.path().join(name));
    let with_environment = |arguments: &[&str]| {
        let mut command = binary();
        command.env("EXACTLY_ONCE_DATA_DIR", &of_environment);
        command.args(arguments);
        command
    };
    let input = numbered_input(1, &[event_of("e1")]);
    for expected in [reply(1, false), reply(1, true)] {
        for arguments in [&[][..], &["run"]] {
            let finished = run(&mut with_environment(arguments), &input);
            let is_first = arguments.is_empty() && expected == reply(1, false);
            let found = finished.expect_quiet_success();
            assert_eq!(found, reply(1, !is_first));
        }
    }
    let before = Snapshot::of(&of_environment);
    let mut both = with_environment(&["run", "--data-dir"]);
    let finished = run(both.arg(&of_option), &input);
    assert_eq!(finished.expect_quiet_success(), reply(1, false));
    assert_eq!(Snapshot::of(&of_environment), before);

    let mut dump = with_environment(&["dump", "--only", "events"]);
    let seen = run(&mut dump, "").expect_quiet_success();
    assert_eq!(seen.lines().count(), 1);
    let missing = home.path().join("missing");
    run(dump.arg("--data-dir").arg(missing), "").expect_refusal(exit::UNUSABLE);
}

#[test]
fn the_statuses_that_these_tests_expect_are_those_of_the_help() {
    let help = run(binary().arg("--help"), "").expect_quiet_success();
    for (status, meaning) in [
        (exit::SUCCESS, "refused, and answered"),
        (exit::INPUT_OR_OUTPUT, "could not be read"),
        (exit::USAGE, "arguments are wrong"),
        (exit::UNUSABLE, "directory cannot be used"),
        (exit::HELD, "holds the directory"),
        (exit::STORAGE, "storage failed"),
    ] {
        let start = format!("  {status}  ");
        let mut lines = help.lines().filter_map(|line| line.strip_prefix(&start));
        let is_there = lines.any(|line| line.contains(meaning));
        assert!(is_there, "{status}, {meaning}, is not in {help}");
    }
}

fn on(command: &str, data_dir: &Path, input: &str) -> Finished {
    run(&mut on_directory(command, data_dir, &[]), input)
}

/// The replies to these requests, numbered from 1; the process must print nothing else.
fn answer(data_dir: &Path, requests: &[Request]) -> String {
    on("run", data_dir, &numbered_input(1, requests)).expect_quiet_success()
}

/// An event with the word that all events have here.
fn event_of(event_id: &str) -> Request {
    event(event_id, "a")
}

/// The reply to the first request of a process, if that is an event.
fn reply(count: u64, was_duplicate: bool) -> String {
    match was_duplicate {
        true => duplicate(1, "a", count) + "\n",
        false => accepted(1, "a", count) + "\n",
    }
}
