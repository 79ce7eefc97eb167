//! A compaction, a load and a backup change what is in a directory, never the directory itself. No
//! command writes into, moves or removes what it did not make.

mod kills;
mod targets;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::kit::{
    Files, Finished, Node, binary, carry_out, checkpoint, commands, dump_of, exit, flip_a_bit,
    input_of, names, numbered_event, on_directory, run, run_node, run_on, scratch_dir, set_mode,
    shell, stats_of, verified,
};
use crate::oracle::Request;

fn event_of(number: u64) -> Request {
    numbered_event(number, 5)
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    input_of(numbers.map(|number| event_of(number).line(number)))
}

/// Makes a directory with this many events, half of the outputs released, and a checkpoint.
fn made(data_dir: &Path, events: u64) {
    let (before, after) = (0..events / 2, events / 2..events);
    let middle = [Request::Commit, checkpoint("c")];
    let requests = before.map(event_of).chain(middle);
    carry_out(data_dir, &[], requests.chain(after.map(event_of)));
}

fn compact(data_dir: &Path, arguments: &[&str]) -> Finished {
    run_on("compact", data_dir, arguments)
}

/// The number of events in the state, according to `stats`.
fn events(data_dir: &Path) -> u64 {
    stats_of(data_dir)["events"].as_u64().expect("a number")
}

#[test]
fn a_process_that_works_in_the_directory_loses_nothing_to_a_compaction() {
    let home = scratch_dir();
    let data_dir = home.path().join("st");
    made(&data_dir, 40);
    let inside = |arguments: &[&str], input: &str| {
        let mut command = binary();
        command
            .current_dir(&data_dir)
            .args(arguments)
            .args(["--data-dir", "."]);
        run(&mut command, input)
    };
    // A working directory that was opened before, as a shell's is.
    let script = "\"$0\" compact --data-dir . && \"$0\" run --data-dir . && \
                  \"$0\" compact --remove-old --data-dir . && \"$0\" stats --data-dir .";
    let finished = run(shell(script).current_dir(&data_dir), lines(40..60)).expect_quiet_success();
    assert!(finished.contains("\"events\":60"), "{finished}");
    inside(&["compact"], "").expect_quiet_success();
    inside(&["run"], &lines(60..80)).expect_quiet_success();
    assert_eq!(events(&data_dir), 80);
    let node = Node::start(Some(&data_dir), &[]);
    node.ask(&event_of(80).line(1));
    for arguments in [
        &["compact"][..],
        &["compact", "--remove-old"],
        &["compact", "--undo"],
    ] {
        inside(arguments, "").expect_refusal(exit::HELD);
    }
    node.finish().expect_all_read();
    inside(&["compact", "--remove-old"], "").expect_quiet_success();
    assert_eq!(events(&data_dir), 81);
    verified(&data_dir);
}

#[test]
fn the_folder_of_a_database_is_refused_by_every_command_and_stays_as_it_is() {
    let home = scratch_dir();
    let data_dir = home.path().join("st");
    made(&data_dir, 10);
    compact(&data_dir, &[]).expect_quiet_success();
    let folder = data_dir.join("generation-1");
    let before = Files::of(home.path());
    for command in commands::on_directories() {
        let other = home.path().join("other");
        let finished = run(&mut command.on(&folder, &other), lines(0..1));
        assert_eq!(
            finished.code(),
            Some(exit::UNUSABLE),
            "{}: {}",
            command.name(),
            finished.stderr
        );
        assert_eq!(Files::of(home.path()), before, "{}", command.name());
    }
}

#[test]
fn a_compaction_can_be_undone_until_something_is_carried_out() {
    let home = scratch_dir();
    let data_dir = home.path().join("st");
    made(&data_dir, 40);
    let (before, dumped) = (Files::of(&data_dir), dump_of(&data_dir, &[]));
    for _ in 0..2 {
        compact(&data_dir, &[]).expect_quiet_success();
        // A start without requests applies nothing.
        run_on("run", &data_dir, &["--quiet"]).expect_quiet_success();
        compact(&data_dir, &["--undo"]).expect_quiet_success();
        assert_eq!(Files::of(&data_dir), before);
        compact(&data_dir, &["--undo"]).expect_refusal(exit::USAGE);
    }
    for request in [event_of(40), checkpoint("d"), Request::Commit] {
        compact(&data_dir, &[]).expect_quiet_success();
        run_node(&data_dir, &[], request.line(1) + "\n");
        let after = dump_of(&data_dir, &[]);
        let refused = compact(&data_dir, &["--undo"]).expect_refusal(exit::USAGE);
        assert!(refused.contains("--remove-old"), "{refused}");
        assert_eq!(dump_of(&data_dir, &[]), after);
        compact(&data_dir, &["--remove-old"]).expect_quiet_success();
    }
    assert_ne!(dump_of(&data_dir, &[]), dumped);
    verified(&data_dir);
}

/// Accepting a loss rewrites the watermark, which must not make a database look unused.
#[test]
fn a_compaction_is_not_undone_after_a_loss_was_accepted() {
    let home = scratch_dir();
    let data_dir = home.path().join("st");
    made(&data_dir, 40);
    compact(&data_dir, &[]).expect_quiet_success();
    run_node(&data_dir, &[], lines(40..50));
    let watermark = data_dir.join("generation-1/watermark");
    flip_a_bit(&watermark, 4096);
    run(
        &mut on_directory("run", &data_dir, &["--accept-loss", "-q"]),
        lines(0..1),
    );
    compact(&data_dir, &["--undo"]).expect_refusal(exit::USAGE);
    assert_eq!(events(&data_dir), 50);
}

#[test]
fn files_that_the_program_did_not_make_stay_and_are_told_before() {
    let home = scratch_dir();
    let data_dir = home.path().join("st");
    made(&data_dir, 40);
    let mine = [
        "notes.txt",
        "snapshot",
        "blobs/mine",
        "generation-1/notes.txt",
        "generation-01/db",
        "generation-x/db",
        "generation-18446744073709551615/mine",
        "generation-7/conf",
        "folder/db",
    ];
    let keep = |names: &[&str]| {
        for name in names {
            let path = data_dir.join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
            fs::write(path, "mine").expect("there is room");
        }
    };
    keep(&mine);
    let are_there = |names: &[&str]| {
        for name in names {
            let read = fs::read_to_string(data_dir.join(name));
            assert_eq!(read.ok().as_deref(), Some("mine"), "{name}");
        }
    };
    let outside = home.path().join("outside");
    fs::create_dir(&outside).expect("there is room");
    fs::write(outside.join("db"), "mine").expect("there is room");
    symlink(&outside, data_dir.join("generation-8")).expect("there is room");
    // Folders with the next names exist, so the database gets another number.
    compact(&data_dir, &[]).expect_quiet_success();
    compact(&data_dir, &["--remove-old"]).expect_quiet_success();
    are_there(&mine);
    assert!(data_dir.join("generation-9/db").exists() && !data_dir.join("db").exists());
    compact(&data_dir, &[]).expect_quiet_success();
    keep(&["generation-9/more.txt"]);
    let told = compact(&data_dir, &["--remove-old", "--dry-run"]).expect_quiet_success();
    assert!(told.contains("more.txt"), "{told}");
    let removed = compact(&data_dir, &["--remove-old"]).expect_quiet_success();
    assert!(removed.contains("more.txt"), "{removed}");
    are_there(&[&mine[..], &["generation-9/more.txt"]].concat());
    compact(&data_dir, &[]).expect_quiet_success();
    compact(&data_dir, &["--undo"]).expect_quiet_success();
    are_there(&[&mine[..], &["generation-9/more.txt"]].concat());
    assert_eq!(events(&data_dir), 40);
    assert!(outside.join("db").exists());
}

/// The sentinel is the one file that says which database is the present one.
#[test]
fn an_older_sentinel_is_refused_and_nothing_is_removed() {
    for is_used_since in [true, false] {
        refuses_older_sentinels(is_used_since);
    }
}

/// Compacts twice, removes the older databases, and puts older sentinels back.
fn refuses_older_sentinels(is_used_since: bool) {
    let home = scratch_dir();
    let data_dir = home.path().join("st");
    made(&data_dir, 40);
    let sentinel = || fs::read(data_dir.join("sentinel")).expect("it is there");
    let first = sentinel();
    compact(&data_dir, &[]).expect_quiet_success();
    compact(&data_dir, &["--remove-old"]).expect_quiet_success();
    let second = sentinel();
    compact(&data_dir, &[]).expect_quiet_success();
    compact(&data_dir, &["--remove-old"]).expect_quiet_success();
    let added = if is_used_since { 10 } else { 0 };
    run(
        &mut on_directory("run", &data_dir, &["-q"]),
        lines(40..40 + added),
    );
    let creating = b"exactly-once 5 creating\n".to_vec();
    for older in [&first, &second, &creating] {
        let present = fs::read(data_dir.join("sentinel")).expect("it is there");
        fs::write(data_dir.join("sentinel"), older).expect("it can be written");
        let before = Files::of(home.path());
        for command in commands::on_directories() {
            let other = home.path().join("other");
            let finished = run(&mut command.on(&data_dir, &other), "");
            let name = command.name();
            assert_eq!(
                finished.code(),
                Some(exit::UNUSABLE),
                "{name}: {}",
                finished.stderr
            );
            let said = &finished.stderr;
            let is_load_into_it = name == "load" && said.contains("not empty");
            assert!(
                is_load_into_it || said.contains("sentinel"),
                "{name}: {said}"
            );
            assert_eq!(Files::of(home.path()), before, "{name}");
        }
        fs::write(data_dir.join("sentinel"), present).expect("it can be written");
    }
    assert_eq!(events(&data_dir), 40 + added);
}

#[test]
fn a_compaction_leads_through_a_link_and_keeps_the_directory_and_its_mode() {
    use std::os::unix::fs::MetadataExt;
    let home = scratch_dir();
    let (real, link) = (home.path().join("elsewhere/real"), home.path().join("link"));
    made(&real, 50);
    set_mode(&real, 0o700);
    symlink(&real, &link).expect("there is room");
    let dumped = dump_of(&link, &[]);
    let of_directory = || {
        let metadata = fs::metadata(&real).expect("it is there");
        (metadata.ino(), metadata.mode())
    };
    let before = of_directory();
    for arguments in [&[][..], &["--remove-old"], &[], &["--undo"]] {
        compact(&link, arguments).expect_quiet_success();
        assert_eq!(dump_of(&real, &[]), dumped);
        assert_eq!(of_directory(), before);
    }
    assert!(link.symlink_metadata().expect("it is there").is_symlink());
    assert_eq!(names(&home.path().join("elsewhere")).len(), 1);
}
