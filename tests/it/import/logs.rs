//! Logs: lines without ids, files that grow, files that are replaced.

use super::{counts_of, forms, import, imported};
use crate::kit::{Node, eventually, exit, finish, on_directory, run_on, scratch_dir, spawn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn equal_lines_are_one_event_by_content_and_each_line_is_one_by_offset() {
    let home = scratch_dir();
    let log = "GET /a 200\nGET /b 404\nGET /a 200\n";
    fs::write(home.path().join("access.log"), log).expect("there is room");
    let by = |way: &'static str| ["--id-by", way, "--word", "field:3", "access.log"];
    assert_eq!(imported(home.path(), &by("content"), "", 0).new, 2);
    assert_eq!(imported(home.path(), &by("content"), "", 0).new, 0);
    assert_eq!(imported(home.path(), &by("offset"), "", 0).new, 3);
    let ids: Vec<String> = ["access.log:0", "access.log:11", "access.log:22"]
        .map(|id| {
            let found = run_on("get", &home.path().join("state"), &[id]).expect_record();
            format!("{} {}", found["in_state"], found["word"])
        })
        .into();
    assert_eq!(ids, ["true \"200\"", "true \"404\"", "true \"200\""]);
}

#[test]
fn a_log_that_grows_is_counted_once_however_it_is_cut() {
    let home = scratch_dir();
    let log: String = (0..300)
        .map(|n| format!("line {n} {}\r\n", n % 7))
        .collect();
    let arguments = [
        "--id-by",
        "offset",
        "--word",
        "field:3",
        "--growing",
        "access.log",
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut end, mut left) = (0, 0);
    while end < log.len() {
        end = log.len().min(end + rng.random_range(1..400));
        fs::write(home.path().join("access.log"), &log[..end]).expect("there is room");
        let summary = imported(home.path(), &arguments, "", 0);
        left += summary.unfinished;
        let lines = log[..end].matches('\n').count() as u64;
        assert_eq!(summary.new + summary.seen_before, lines);
    }
    assert!(left > 5, "some cuts are within a line");
    let counts = counts_of(&home.path().join("state"));
    assert_eq!(counts.values().sum::<u64>(), 300);
    assert!(counts.values().all(|&count| count >= 300 / 7));
}

#[test]
fn another_file_under_an_old_name_is_noticed_and_has_a_way_in() {
    let home = scratch_dir();
    let path = home.path().join("access.log");
    let log = |words: &[&str]| -> String { words.iter().map(|w| format!("x {w}\n")).collect() };
    let arguments = ["--id-by", "offset", "--word", "field:2", "access.log"];
    fs::write(&path, log(&["200", "404", "200"])).expect("there is room");
    assert_eq!(imported(home.path(), &arguments, "", 0).new, 3);
    fs::write(&path, log(&["200", "500", "200", "200"])).expect("there is room");
    let told = import(home.path(), &arguments, "")
        .expect_status(exit::ROTATED)
        .stderr;
    assert!(told.contains("line 2 has another word"), "{told}");
    assert!(told.contains("a log that is rotated (0 of"), "{told}");
    let named = [&arguments[..], &["--source", "access.log.2"]].concat();
    assert_eq!(imported(home.path(), &named, "", 0).new, 4);
    let counts = counts_of(&home.path().join("state"));
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [
            ("200".to_owned(), 5),
            ("404".to_owned(), 1),
            ("500".to_owned(), 1),
        ]
    );
}

#[test]
fn a_shorter_file_under_an_old_name_is_noticed_though_its_lines_look_the_same() {
    for form in [
        &["--word", "field:2"][..],
        &["--word", "/w", "--input-format", "jsonl"],
        &["--word", "column:w", "--input-format", "csv"],
    ] {
        let home = scratch_dir();
        let path = home.path().join("access.log");
        let log = |of: char, lines: usize| -> String {
            let line = match form {
                [.., "jsonl"] => format!("{{\"of\":\"{of}\",\"w\":\"200\"}}\r\n"),
                [.., "csv"] => format!("{of},200\r\n"),
                _ => format!("{of} 200\n"),
            };
            let header = match form {
                [.., "csv"] => "of,w\n",
                _ => "",
            };
            header.to_owned() + &line.repeat(lines)
        };
        let arguments = [&["--id-by", "offset", "access.log"], form].concat();
        fs::write(&path, log('a', 5)).expect("there is room");
        assert_eq!(imported(home.path(), &arguments, "", 0).new, 5);
        assert_eq!(imported(home.path(), &arguments, "", 0).new, 0);
        fs::write(&path, log('b', 3)).expect("there is room");
        let told = import(home.path(), &arguments, "");
        let told = told.expect_status(exit::ROTATED).stderr;
        assert!(told.contains("access.log: it ends at byte"), "{told}");
        let named = [&arguments[..], &["--source", "second"]].concat();
        assert_eq!(imported(home.path(), &named, "", 0).new, 3);
    }
}

/// A log that is rotated at any moment, as logrotate does it: renamed, and later compressed.
#[test]
fn every_line_of_a_rotated_log_is_counted_once() {
    let home = scratch_dir();
    let path = |name: &str| home.path().join(name);
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let (mut number, mut files) = (0, 0);
    // Two files may begin alike.
    const BANNER: &str = "#Fields: word\n\n";
    let mut current = BANNER.to_owned();
    let mut expected = BTreeMap::from([("word".to_owned(), 1)]);
    for _ in 0..40 {
        if rng.random_bool(0.2) && current.len() > BANNER.len() {
            files += 1;
            let old = format!("access.log.{files}");
            if rng.random_bool(0.5) {
                fs::write(path(&old), &current).expect("there is room");
            } else {
                let packed = forms::gzip(current.as_bytes());
                fs::write(path(&format!("{old}.gz")), packed).expect("there is room");
            }
            current.clone_from(&BANNER.to_owned());
        }
        for _ in 0..rng.random_range(0..6) {
            // All lines have equal lengths, words are often equal, and lines come again.
            let word = format!("w{}", rng.random_range(0..2));
            let time = if current.len() == BANNER.len() {
                number
            } else {
                number % 3
            };
            current += &format!("{time:06} {word}\n");
            *expected.entry(word).or_insert(0) += 1;
            number += 1;
        }
        let cut = rng.random_range(0..8).min(current.len());
        fs::write(path("access.log"), &current[..current.len() - cut]).expect("there is room");
        if rng.random_bool(0.6) {
            rotated(home.path());
        }
    }
    fs::write(path("access.log"), &current).expect("there is room");
    rotated(home.path());
    assert!(files > 3, "it is rotated");
    assert_eq!(counts_of(&home.path().join("state")), expected);
}

/// Imports `access.log` and its rotated files.
fn rotated(home: &Path) {
    let names = fs::read_dir(home).expect("it is a directory");
    let mut names: Vec<String> = names
        .map(|entry| entry.expect("it can be read").file_name())
        .map(|name| name.to_str().expect("it is UTF-8").to_owned())
        .filter(|name| name.starts_with("access.log"))
        .collect();
    names.sort();
    let options = "--id-by prefix --word field:2".split(' ');
    let arguments: Vec<&str> = options.chain(names.iter().map(String::as_str)).collect();
    import(home, &arguments, "").expect_status(0);
}

#[test]
fn a_log_that_grows_while_two_imports_read_it_is_not_taken_for_another_one() {
    let home = scratch_dir();
    let path = home.path().join("access.log");
    fs::write(&path, "").expect("there is room");
    let growing = || {
        let mut log = fs::File::options().append(true).open(&path)?;
        for _ in 0..400 {
            log.write_all(b"x 200\n")?;
            std::thread::sleep(Duration::from_millis(1));
        }
        std::io::Result::Ok(())
    };
    let arguments = [
        "--id-by",
        "offset",
        "--word",
        "field:2",
        "--growing",
        "access.log",
    ];
    std::thread::scope(|scope| {
        let growing = scope.spawn(growing);
        let imports = || {
            let mut all = 0;
            while fs::metadata(&path).expect("it is there").len() < 400 * 6 {
                import(home.path(), &arguments, "").expect_status(0);
                all += 1;
            }
            all
        };
        let imports = [scope.spawn(imports), scope.spawn(imports)];
        growing.join().expect("no panic").expect("there is room");
        for imports in imports {
            assert!(imports.join().expect("no panic") > 0);
        }
    });
    assert_eq!(imported(home.path(), &arguments, "", 0).records, 400);
    let counts = counts_of(&home.path().join("state"));
    assert_eq!(counts, BTreeMap::from([("200".to_owned(), 400)]));
}

#[test]
fn the_last_line_of_a_compressed_log_is_counted_though_it_has_no_newline() {
    let home = scratch_dir();
    let path = |name: &str| home.path().join(name);
    fs::write(path("f.log"), "a b\nc d").expect("there is room");
    let arguments = |name| ["--id-by", "prefix", "--word", "field:2", name];
    let first = imported(home.path(), &arguments("f.log"), "", 0);
    assert_eq!((first.new, first.unfinished), (1, 1));
    fs::write(path("f.log.1.gz"), forms::gzip(b"a b\nc d")).expect("there is room");
    let packed = imported(home.path(), &arguments("f.log.1.gz"), "", 0);
    assert_eq!(
        (packed.new, packed.seen_before, packed.unfinished),
        (1, 1, 0)
    );
    // A text whose last word is not finished is as good.
    let text = ["--input-format", "words", "--source", "t", "--growing", "-"];
    assert_eq!(imported(home.path(), &text, "one two thr", 0).new, 2);
    assert_eq!(imported(home.path(), &text, "one two three\n", 0).new, 1);
}

/// However a table is cut while it grows, also inside a quoted field of several lines, each row is
/// counted once with its own word.
#[test]
fn a_table_that_grows_is_counted_once_however_it_is_cut() {
    let home = scratch_dir();
    let rows: String = (0..60)
        .map(|n| format!("{n},\"word\r\n{} \"\"q\"\"\n\"\r\n", n % 3))
        .collect();
    let table = format!("id,w\r\n{rows}");
    let arguments = "--id column:id --word column:w --growing t.csv".split(' ');
    let arguments: Vec<&str> = arguments.collect();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let (mut end, mut left) = (7, 0);
    while end < table.len() {
        end = table.len().min(end + rng.random_range(1..60));
        fs::write(home.path().join("t.csv"), &table[..end]).expect("there is room");
        let summary = imported(home.path(), &arguments, "", 0);
        assert_eq!(summary.conflicts, 0);
        left += summary.unfinished;
    }
    assert!(left > 20, "most cuts are within a row");
    let counts = counts_of(&home.path().join("state"));
    let word = |n: u64| (format!("word\r\n{n} \"q\"\n"), 20);
    assert_eq!(counts, BTreeMap::from([word(0), word(1), word(2)]));
}

#[test]
fn what_comes_slowly_is_counted_as_it_comes() {
    let home = scratch_dir();
    let data_dir = home.path().join("state");
    let arguments = ["--input-format", "words", "--source", "s", "-q"];
    let mut import = spawn(on_directory("import", &data_dir, &arguments).stdin(Stdio::piped()));
    let mut input = import.stdin.take().expect("it is piped");
    for number in 1..4 {
        input.write_all(b"word ").expect("it reads");
        eventually("it is counted", || {
            let found = run_on("get", &data_dir, &["--word", "word"]);
            found.stdout.contains(&format!("\"count\":{number}}}"))
        });
    }
    drop(input);
    finish(import).expect_quiet_success();
}

/// An import that has waited for its own input for longer than it waits for a node goes on when
/// another process has become the node meanwhile.
#[test]
fn an_import_that_was_idle_goes_on_after_the_node_has_ended() {
    let home = scratch_dir();
    let data_dir = home.path().join("state");
    let serve = || {
        let node = Node::start_as(&mut on_directory("serve", &data_dir, &[]));
        node.read_line();
        node
    };
    let node = serve();
    let arguments = [
        "--input-format",
        "words",
        "--source",
        "s",
        "-q",
        "--wait",
        "1s",
    ];
    let mut import = spawn(on_directory("import", &data_dir, &arguments).stdin(Stdio::piped()));
    let mut input = import.stdin.take().expect("it is piped");
    eventually("it has connected", || {
        run_on("stats", &data_dir, &[])
            .stdout
            .contains("\"clients\":2")
    });
    std::thread::sleep(Duration::from_millis(2500));
    node.signal(Signal::KILL);
    node.wait();
    let node = serve();
    input.write_all(b"w w w").expect("it reads");
    drop(input);
    finish(import).expect_quiet_success();
    drop(node);
    assert_eq!(counts_of(&data_dir), BTreeMap::from([("w".to_owned(), 3)]));
}
