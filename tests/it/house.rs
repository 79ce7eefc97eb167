//! The house: rules that hold for every file, the map and the glossary of the front page.

mod modules;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use modules::Modules;

const MAX_LINES: usize = 500;
const MAX_COLUMNS: usize = 100;

/// Words that the documentation does without, and what to write instead. A word is found whatever
/// its case, between characters that are no letters.
const FORBIDDEN: [(&str, &str); 12] = [
    ("anybody", "a client, a reader, a thread"),
    ("behind", "after"),
    ("everybody", "every client, every reader"),
    ("nobody", "no client, no reader"),
    ("somebody", "a client, a reader"),
    ("whoever", "the client, the caller, a reader"),
    ("so many", "this many"),
    ("so much", "this much"),
    ("twin", "the earlier position"),
    ("question", "query"),
    ("untold", "more_findings"),
    ("data directory", "state directory"),
];

/// Every file with this ending below a folder, but for what cargo builds.
fn files_below(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder} has no file .{ending}");
    found
}

fn rust_files() -> Vec<PathBuf> {
    let mut files = files_below("src", "rs");
    files.extend(files_below("tests", "rs"));
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn expect_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The rows of the table after a heading of the front page, each as its columns.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"));
    let lines = page
        .lines()
        .map(|line| line.trim_start_matches("//!").trim());
    let after = lines
        .skip_while(|line| *line != format!("# {heading}"))
        .skip(1);
    let section = after.take_while(|line| !line.starts_with('#'));
    let rows = section.filter(|line| line.starts_with('|')).skip(2);
    let columns = |row: &str| {
        let columns = row.trim_matches('|').split('|');
        columns.map(|column| column.trim().to_owned()).collect()
    };
    let rows: Vec<Vec<String>> = rows.map(columns).collect();
    assert!(!rows.is_empty(), "the front page has no table {heading:?}");
    rows
}

/// The name in a column, without the marks of code and links.
fn name(column: &str) -> String {
    column.trim_matches(['[', ']', '`']).to_owned()
}

#[test]
fn every_file_begins_with_what_it_owns() {
    let says_nothing = |path: &PathBuf| !read(path).starts_with("//! ");
    let faults = rust_files().into_iter().filter(says_nothing);
    expect_none(
        &faults
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_file_has_at_most_500_lines_of_at_most_100_columns() {
    let mut faults = Vec::new();
    for path in rust_files() {
        let text = read(&path);
        let lines = text.lines().count();
        if lines > MAX_LINES {
            faults.push(format!("{} has {lines} lines", path.display()));
        }
        // A row of a table in the documentation cannot be wrapped.
        let can_be_wrapped = |line: &&str| !line.trim_start().starts_with("//! |");
        for (number, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > MAX_COLUMNS && can_be_wrapped(&line) {
                faults.push(format!("{}:{} has {columns}", path.display(), number + 1));
            }
        }
    }
    expect_none(&faults);
}

#[test]
fn no_text_has_a_forbidden_word() {
    let own = Path::new(file!()).file_name().expect("it has a name");
    let mut files = rust_files();
    files.extend(files_below("src", "md"));
    files.extend(files_below("data", "md"));
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let mut faults = Vec::new();
    for path in files.iter().filter(|path| path.file_name() != Some(own)) {
        for (number, line) in read(path).lines().enumerate() {
            let line = line.to_lowercase();
            for (word, instead) in FORBIDDEN {
                if has_word(&line, word) {
                    let place = format!("{}:{}", path.display(), number + 1);
                    faults.push(format!("{place}: write {instead:?} instead of {word:?}"));
                }
            }
        }
    }
    expect_none(&faults);
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_letter = |character: Option<char>| character.is_some_and(char::is_alphabetic);
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !is_letter(before) && !is_letter(after)
    })
}

#[test]
fn the_glossary_names_each_word_once_and_only_words_that_are_used() {
    let sources: Vec<String> = files_below("src", "rs")
        .iter()
        .map(|path| read(path))
        .collect();
    let mut words = BTreeSet::new();
    let mut faults = Vec::new();
    for row in table("Glossary") {
        let [word, meaning] = &row[..] else {
            panic!("{row:?} does not have two columns");
        };
        if meaning.is_empty() || !words.insert(word.clone()) {
            faults.push(format!("{word:?} has no meaning, or is there twice"));
        }
        let is_row = |line: &&str| line.starts_with(&format!("//! | {word} |"));
        let uses = |text: &String| {
            let mut lines = text.lines().filter(|line| !is_row(line));
            lines.any(|line| has_word(&line.to_lowercase(), &word.to_lowercase()))
        };
        if !sources.iter().any(uses) {
            faults.push(format!("{word:?} is used nowhere"));
        }
    }
    expect_none(&faults);
}

#[test]
fn every_module_uses_only_those_below_it_in_the_map() {
    let modules = Modules::of_library();
    let rows = table("The map");
    let rooms: Vec<String> = rows.iter().map(|row| name(&row[0])).collect();
    let room_of = |module: &str| {
        let is_in = |room: &&String| modules::is_within(module, room);
        let room = rooms.iter().filter(is_in).max_by_key(|room| room.len());
        room.map(|room| rooms.iter().position(|other| other == room))
    };
    let mut faults = Vec::new();
    for module in modules.names().filter(|module| !module.is_empty()) {
        let Some(own) = room_of(module) else {
            faults.push(format!("{module} is not in the map"));
            continue;
        };
        for used in modules.used_by(module) {
            let room = room_of(used).flatten();
            let is_within_its_room =
                modules::is_within(used, module.split("::").next().unwrap_or_default());
            if !is_within_its_room && room <= own {
                faults.push(format!("{module} uses {used}, which is not below it"));
            }
        }
    }
    expect_none(&faults);
}

#[test]
fn no_module_knows_what_the_map_says_it_must_not_know() {
    let modules = Modules::of_library();
    let mut faults = Vec::new();
    for row in table("The map") {
        let room = name(&row[0]);
        for unknown in row[2].split(", ").map(name) {
            let within = modules
                .names()
                .filter(|module| modules::is_within(module, &room));
            for module in within.filter(|module| modules.mentions(module, &unknown)) {
                faults.push(format!("{module} must not know {unknown}"));
            }
        }
    }
    expect_none(&faults);
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    for modules in [Modules::of_library(), Modules::of_program()] {
        let circles = modules.circles();
        expect_none(
            &circles
                .iter()
                .map(|circle| circle.join(" -> "))
                .collect::<Vec<_>>(),
        );
    }
}
