//! Data directories and exit statuses: which directories are refused, and what is kept in them.

mod damaged;
mod held;
mod loss;
mod temporary;

use crate::client::scratch_dir;
use crate::command::{Finished, binary, run};
use crate::oracle::Request;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// What the program says of itself about exit statuses.
const UNUSABLE: i32 = 3;
const HELD: i32 = 4;
const STORAGE: i32 = 5;

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
            let line = on(command, &foreign, "").expect_refusal(UNUSABLE);
            assert!(line.contains(name), "what was found is named: {line}");
        }
        assert_eq!(Snapshot::of(&foreign), before);
    }
    let with_folder = home.path().join("with-folder");
    fs::create_dir_all(with_folder.join("folder")).expect("it can be made");
    let before = Snapshot::of(&with_folder);
    on("run", &with_folder, "").expect_refusal(UNUSABLE);
    assert_eq!(Snapshot::of(&with_folder), before);
}

#[test]
fn a_database_of_sled_that_another_program_made_is_refused() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    answer(&data_dir, &[event("e1")]);
    for own in ["sentinel", "lock"] {
        fs::remove_file(data_dir.join(own)).expect("it is there");
    }
    let before = Snapshot::of(&data_dir);
    on("run", &data_dir, "").expect_refusal(UNUSABLE);
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
            let line = on(command, path, "").expect_refusal(UNUSABLE);
            let culprit = culprit.to_str().expect("it is UTF-8");
            assert!(
                line.contains(culprit),
                "what is in the way is named: {line}"
            );
        }
    }
    assert_eq!(Snapshot::of(home.path()), before);
}

#[test]
fn the_reason_of_the_operating_system_is_named_once() {
    let line = on("run", Path::new("/proc/exactly-once"), "").expect_refusal(UNUSABLE);
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
            start(path, &lines(&[event("e1")])),
            reply(1, false),
            "{path}"
        );
        assert!(home.path().join(path).join("db").is_file());
    }
    let absolute = home.path().join("one/two/three");
    assert_eq!(answer(&absolute, &[event("e1")]), reply(1, true));
    assert_eq!(
        start("one/../single", &lines(&[event("e1")])),
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
    let input = lines(&[event("e1")]);
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

    let mut dump = with_environment(&["dump", "--only", "seen"]);
    let seen = run(&mut dump, "").expect_quiet_success();
    assert_eq!(seen.lines().count(), 1);
    let missing = home.path().join("missing");
    run(dump.arg("--data-dir").arg(missing), "").expect_refusal(UNUSABLE);
}

#[test]
fn the_statuses_that_these_tests_expect_are_those_of_the_help() {
    let help = run(binary().arg("--help"), "").expect_quiet_success();
    for (status, meaning) in [
        (0, "durable and answered"),
        (1, "could not be read"),
        (2, "arguments are wrong"),
        (UNUSABLE, "directory cannot be used"),
        (HELD, "holds the directory"),
        (5, "storage failed"),
    ] {
        let start = format!("  {status}  ");
        let mut lines = help.lines().filter_map(|line| line.strip_prefix(&start));
        let is_there = lines.any(|line| line.contains(meaning));
        assert!(is_there, "{status}, {meaning}, is not in {help}");
    }
}

/// Everything in a directory, with the times at which it was changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, (SystemTime, Option<Vec<u8>>)>);

impl Snapshot {
    pub fn of(directory: &Path) -> Self {
        let mut entries = BTreeMap::new();
        Self::add(directory, &mut entries);
        Self(entries)
    }

    fn add(path: &Path, entries: &mut BTreeMap<String, (SystemTime, Option<Vec<u8>>)>) {
        let metadata = fs::symlink_metadata(path).expect("it can be looked at");
        let changed = metadata.modified().expect("the system knows it");
        let bytes = metadata
            .is_file()
            .then(|| fs::read(path).expect("it can be read"));
        entries.insert(path.display().to_string(), (changed, bytes));
        if metadata.is_dir() {
            for entry in fs::read_dir(path).expect("it can be read") {
                Self::add(&entry.expect("it can be read").path(), entries);
            }
        }
    }
}

/// The bytes of every file in a directory, by its path there, but of what says who holds it.
#[derive(PartialEq, Eq)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

/// Names and lengths only.
impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lengths = self.0.iter().map(|(name, bytes)| (name, bytes.len()));
        f.debug_map().entries(lengths).finish()
    }
}

impl Files {
    pub fn of(directory: &Path) -> Self {
        let Snapshot(entries) = Snapshot::of(directory);
        let prefix = format!("{}/", directory.display());
        let files = entries.into_iter().filter_map(|(path, (_, bytes))| {
            let name = path.strip_prefix(&prefix)?.to_owned();
            bytes
                .filter(|_| Path::new(&name).file_name() != Some("lock".as_ref()))
                .map(|bytes| (name, bytes))
        });
        Self(files.collect())
    }
}

/// Copies the files of a state directory that nobody has open to a new one.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("it is new");
    for entry in fs::read_dir(from).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().expect("it has a name");
        if path.is_file() {
            fs::copy(&path, to.join(name)).expect("it can be copied");
        } else if name.to_string_lossy().starts_with("generation-") {
            copy(&path, &to.join(name));
        }
    }
}

/// Runs a subcommand on a directory.
fn on(command: &str, data_dir: &Path, input: &str) -> Finished {
    let mut process = binary();
    process.arg(command).arg("--data-dir").arg(data_dir);
    run(&mut process, input)
}

/// The replies to these requests, numbered from 1, by a process that says nothing else.
fn answer(data_dir: &Path, requests: &[Request]) -> String {
    on("run", data_dir, &lines(requests)).expect_quiet_success()
}

fn lines(requests: &[Request]) -> String {
    let numbered = (1..).zip(requests);
    numbered
        .map(|(msg_id, request)| request.line(msg_id) + "\n")
        .collect()
}

/// An event with the word that all have here.
fn event(event_id: &str) -> Request {
    Request::Process {
        event_id: event_id.to_owned(),
        word: "a".to_owned(),
    }
}

/// The reply line to the first request of a process, if it is an event.
fn reply(count: u64, was_duplicate: bool) -> String {
    let start = r#"{"type": "processed", "in_reply_to": 1, "word": "a", "count": "#;
    format!("{start}{count}, \"was_duplicate\": {was_duplicate}}}\n")
}
