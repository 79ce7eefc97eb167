//! On a terminal the program redraws figures, uses colours unless `NO_COLOR` is set, and escapes
//! all that could steer it.

use crate::kit::{
    Node, OnTerminal, binary, checkpoint, event, event_line, line, numbered_input, on_directory,
    records_in, restore, run, scratch_dir, shell, text,
};
use crate::oracle::Request;
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use tempfile::TempDir;

use std::path::PathBuf;

/// The sequences that clear a line, and that begin a change of colour.
const CLEAR: &str = "\u{1b}[2K";
const COLOUR: &str = "\u{1b}[";

fn event_of(number: u64) -> String {
    event_line(number, &format!("e{number}"), "w")
}

#[test]
fn watched_figures_are_drawn_over_those_before() {
    let home = scratch_dir();
    let data_dir = home.path().join("state");
    let node = Node::start(Some(&data_dir), &[]);
    let ask = |number| node.ask(&event_of(number));
    ask(1);
    let arguments = ["--watch", "--every", "1"];
    let mut watcher = OnTerminal::start(&mut on_directory("stats", &data_dir, &arguments));
    let events = |count: u64| {
        move |text: &str| {
            let last = text.rsplit(CLEAR).next().unwrap_or_default();
            let lines = || last.lines().map(str::trim);
            // This is the last line, so all others have come.
            let is_whole = last.ends_with('\n') && lines().any(|line| line.starts_with("clients"));
            is_whole
                && lines().any(|line| {
                    line.strip_prefix("durable position")
                        .is_some_and(|shown| shown.trim() == count.to_string())
                })
        }
    };
    let first = watcher.shown(events(1)).to_owned();
    assert!(!first.contains('\u{1b}'), "nothing to draw over: {first:?}");
    ask(2);
    let both = watcher.shown(events(2));
    let lines = first.trim_end().lines().count();
    assert!(both.contains(&format!("\u{1b}[{lines}A")), "{both:?}");
    let cleared = both.matches(CLEAR).count();
    assert!(
        cleared >= lines && cleared.is_multiple_of(lines),
        "{cleared} of {lines}: {both:?}"
    );
}

#[test]
fn a_terminal_has_colours_unless_it_is_to_have_none() {
    let help = |set: Option<&str>| {
        let mut command = binary();
        command.arg("--help");
        if let Some(value) = set {
            command.env("NO_COLOR", value);
        }
        let is_whole = |text: &str| text.contains("--version") && text.ends_with('\n');
        OnTerminal::start(&mut command).shown(is_whole).to_owned()
    };
    assert!(help(None).contains(COLOUR));
    let plain = help(Some("1"));
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn what_a_run_says_on_a_terminal_has_colours_unless_it_is_to_have_none() {
    let said = |set: bool| {
        let home = scratch_dir();
        let mut command = on_directory("run", &home.path().join("state"), &["-v"]);
        if set {
            command.env("NO_COLOR", "1");
        }
        let says_all = |text: &str| text.contains("events") && text.ends_with('\n');
        OnTerminal::start(&mut command).shown(says_all).to_owned()
    };
    let coloured = said(false);
    assert!(coloured.contains(COLOUR), "{coloured:?}");
    let plain = said(true);
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
}

/// Characters that must not reach a terminal unchanged: both kinds of controls, characters that
/// reverse text or have no width, and a line separator.
const STEERING: &str =
    "\u{1b}[2J\u{9b}1m\u{7f}\u{200b}\u{200f}\u{202e}\u{2028}\u{2063}\u{2069}\u{feff}\u{61c}";
/// Characters that must reach it unchanged.
const PLAIN: &str = "\u{e9}\u{20ac}";

#[track_caller]
fn assert_harmless(shown: &str, what: &str) {
    let shown = shown.replace(['\r', '\n'], "");
    // The program itself sends escape characters, for its colours.
    let steering = STEERING.chars().filter(|&c| c != '\u{1b}' && c > '~');
    for character in steering {
        assert!(!shown.contains(character), "{what}: {shown:?}");
    }
    assert!(!shown.contains("\u{1b}[2J"), "{what}: {shown:?}");
    assert!(shown.contains(PLAIN), "{what}: {shown:?}");
}

/// A state in which everything is named by a text that must not steer a terminal.
struct Foreign {
    home: TempDir,
    data_dir: PathBuf,
    text: String,
    quoted: String,
}

impl Foreign {
    fn new() -> Self {
        let home = scratch_dir();
        let data_dir = home.path().join("state");
        let text = format!("{PLAIN}{STEERING}");
        let requests = [
            event(&text, &text),
            checkpoint(&text),
            Request::Commit,
            restore(&text),
            event("another", &text),
        ];
        let input = numbered_input(1, &requests);
        run(&mut on_directory("run", &data_dir, &[]), &input).expect_quiet_success();
        Self {
            home,
            data_dir,
            quoted: serde_json::to_string(&text).expect("it is text"),
            text,
        }
    }

    /// Writes a file beside the state, and returns its path as an argument.
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).expect("there is room");
        text(&path).to_owned()
    }

    /// A command on the state, unless the arguments name another directory.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binary();
        command.env("EXACTLY_ONCE_DATA_DIR", &self.data_dir);
        command.current_dir(self.home.path()).args(arguments);
        command
    }
}

#[test]
fn nothing_foreign_in_a_state_or_an_argument_steers_a_terminal_or_hides_on_it() {
    let foreign = Foreign::new();
    let (text, quoted) = (&*foreign.text, &foreign.quoted);
    let book = foreign.file("book", text);
    let missing = format!("missing {text}");
    let last = format!(r#"{{"offset":9,"event_id":{quoted},"word":"w","count":1}}"#);
    for arguments in [
        &["dump"][..],
        &["dump", "--format", "jsonl"],
        &["counts"],
        &["counts", "--format", "jsonl"],
        &["outputs"],
        &["outputs", "--format", "jsonl"],
        &["get", text],
        &["get", text, "--format", "jsonl"],
        &["get", "--word", text],
        &["checkpoints", "list"],
        &["checkpoints", "list", "--format", "jsonl"],
        &["checkpoints", "show", text],
        &["checkpoints", "diff", text],
        &["checkpoints", "save", text],
        &["checkpoints", "graph"],
        &["checkpoints", "graph", "--svg", "-"],
        &["checkpoints", "restore", text, "--yes"],
        &["checkpoints", "delete", text, "--dry-run"],
        &["checkpoints", "show", &missing],
        &["outputs", "--after", &last],
        &["dump", "--only", &missing],
        &["import", "--input-format", "words", &missing],
        &["import", "--print", "--input-format", "words", &book],
        &["send", &missing],
        &["load", &missing, "--data-dir", "new"],
    ] {
        let shown = OnTerminal::start(&mut foreign.command(arguments)).shown_until_its_end();
        assert_harmless(&shown, &format!("{arguments:?}"));
    }
}

#[test]
fn nothing_foreign_in_an_input_or_a_path_steers_a_terminal_or_hides_on_it() {
    let foreign = Foreign::new();
    let bad_dump = format!("{{\"type\":\"meta\" {}\n", foreign.text);
    let bad_dump = foreign.file("bad", &bad_dump);
    let mut load = foreign.command(&["load", &bad_dump, "--data-dir", "load"]);
    let shown = OnTerminal::start(&mut load).shown_until_its_end();
    assert_harmless(&shown, "a bad line of a dump");
    let nowhere = foreign
        .home
        .path()
        .join(format!("missing {}", foreign.text));
    let shown = OnTerminal::start(&mut on_directory("verify", &nowhere, &[]));
    assert_harmless(&shown.shown_until_its_end(), "the name of a directory");
    let request = event_line(1, &foreign.text, &foreign.text) + "\n";
    let request = foreign.file("requests", &request);
    let mut shell = shell(r#"exec "$0" run -v --data-dir "$1" < "$2""#);
    shell
        .arg(foreign.home.path().join(&foreign.text))
        .arg(request);
    let shown = OnTerminal::start(&mut shell).shown_until_its_end();
    assert!(shown.contains("processed"), "{shown:?}");
    assert_harmless(&shown, "a reply and a log");
}

#[test]
fn json_on_a_terminal_says_the_same_as_in_a_file() {
    let home = scratch_dir();
    let data_dir = home.path().join("state");
    let word = format!("{STEERING}{PLAIN}\u{e0041}");
    let input = event("e", &word).line(1) + "\n";
    run(&mut on_directory("run", &data_dir, &[]), &input).expect_quiet_success();
    let mut command = on_directory("dump", &data_dir, &["--format", "jsonl"]);
    let in_file = run(&mut command, "").expect_quiet_success();
    assert!(
        in_file.contains(r"\u001b[2J") && in_file.contains('\u{202e}'),
        "a file gets only the escapes of JSON"
    );
    let shown = OnTerminal::start(&mut command).shown_until_its_end();
    assert_eq!(records_in::<Value>(&shown), records_in::<Value>(&in_file));
}

#[test]
fn a_progress_line_fits_on_a_terminal_of_80_columns() {
    const EVENTS: u64 = 12_000;
    let home = scratch_dir();
    let requests = home.path().join("requests");
    let lines: String = (0..EVENTS).map(|number| event_of(number) + "\n").collect();
    std::fs::write(&requests, lines).expect("there is room");
    let mut shell = shell(r#"exec "$0" run --data-dir "$1" < "$2" > /dev/null"#);
    shell.arg(home.path().join("state")).arg(requests);
    let shown = OnTerminal::start(&mut shell).shown_until_its_end();
    assert!(shown.contains("12,000 events"), "{shown:?}");
    for line in console::strip_ansi_codes(&shown).split(['\r', '\n']) {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
}

#[test]
fn a_query_before_a_restore_fits_on_a_terminal_however_much_it_would_change() {
    const WORDS: u64 = 1_000;
    let home = scratch_dir();
    let data_dir = home.path().join("state");
    let word = |number: u64| event(format!("e{number}"), format!("w{number:04}"));
    let mut input = line("checkpoint", 1, r#""checkpoint_id":"a""#) + "\n";
    input.extend((0..WORDS).map(|number| word(number).line(number) + "\n"));
    run(&mut on_directory("run", &data_dir, &[]), &input).expect_quiet_success();
    let restore = |arguments: &[&str]| {
        let restore = ["restore", "a"];
        on_directory("checkpoints", &data_dir, &[&restore, arguments].concat())
    };
    let changes = run(&mut restore(&["--dry-run"]), "").expect_quiet_success();
    assert_eq!(changes.lines().count() as u64, 1 + WORDS);
    let from_terminal = |terminal: &File| Stdio::from(terminal.try_clone().expect("there are"));
    let mut asked = OnTerminal::start_with(&mut restore(&[]), from_terminal);
    let prompt = asked.shown(|text| text.ends_with("[y/N] ")).to_owned();
    for told in [
        "events: 1000 leave the state, 0 come back, 0 stay",
        "words whose counts change: 1000 (w0000 from 1 to 0, ",
        "w0004 from 1 to 0, ...; --dry-run shows all)",
        "Make the state that of checkpoint \"a\"? [y/N] ",
    ] {
        assert!(prompt.contains(told), "{prompt}");
    }
    assert!(prompt.lines().count() <= 3, "{prompt}");
    asked.keyboard.write_all(b"y\n").expect("it is there");
    let shown = asked.shown_until_its_end();
    assert!(
        shown.contains("the state is that of checkpoint \"a\""),
        "{shown}"
    );
    let unchanged = run(&mut restore(&["--dry-run"]), "").expect_quiet_success();
    assert_eq!(unchanged.lines().count(), 1, "{unchanged}");
}

/// What commands print for people, on a terminal or if it is asked for, and otherwise for programs.
#[test]
fn a_terminal_gets_tables_and_sentences_and_a_pipe_gets_json() {
    let home = scratch_dir();
    let data_dir = home.path().join("state");
    let word = |number: u64| event(format!("e{number}"), format!("w{}", number % 9));
    let mut requests: Vec<Request> = (0..30).map(word).collect();
    requests.extend([checkpoint("a"), Request::Commit]);
    requests.extend((30..60).map(word));
    let input = numbered_input(1, &requests);
    run(&mut on_directory("run", &data_dir, &[]), &input).expect_quiet_success();
    for (command, arguments, told) in [
        ("stats", &[][..], " pending outputs         30"),
        ("stats", &["--trees"], " tree         entries  bytes"),
        ("counts", &[], " word  count \n w0        7 \n w1        7 "),
        (
            "get",
            &["e9"],
            "e9 is number 2 of w0, at position 10; its output is released",
        ),
        ("get", &["--word", "w1"], "w1: 7 events"),
        ("outputs", &[], "\n      0       1  e0        w0        1 "),
        ("dump", &[], " event id"),
        (
            "verify",
            &[],
            "nothing is wrong; 60 events, 9 words, 30 outputs and 30 pending, ",
        ),
        ("checkpoints", &["list"], "\n a    "),
        ("checkpoints", &["show", "a"], "\n events      30"),
        ("checkpoints", &["diff", "a"], "\n only in second  30"),
        ("checkpoints", &["save", "b"], "saved checkpoint \"b\""),
        ("checkpoints", &["delete", "b"], "deleted checkpoint \"b\""),
        ("commit", &[], "released 30 outputs"),
        ("rollback", &["--yes"], "dropped 0 events"),
        ("compact", &["--dry-run"], "; nothing was changed"),
    ] {
        let with =
            |format: &[&str]| on_directory(command, &data_dir, &[arguments, format].concat());
        let shown = OnTerminal::start(&mut with(&[])).shown_until_its_end();
        let shown = shown.replace("\r\n", "\n");
        let shown = console::strip_ansi_codes(&shown);
        assert!(shown.contains(told), "{command}: {shown}");
        for line in shown.split(['\n', '\r']) {
            assert!(
                !line.starts_with('{') && !line.contains('\u{2500}'),
                "{line}"
            );
            assert!(line.chars().count() <= 80, "{command}: {line}");
        }
        if ["stats", "counts"].contains(&command) {
            assert!(shown.lines().count() < 24, "{command}: {shown}");
        }
        for as_json in [&[][..], &["--format", "jsonl"]] {
            // A checkpoint that was deleted is made again.
            let input = checkpoint("b").line(1) + "\n";
            run(&mut on_directory("run", &data_dir, &["-q"]), &input).expect_quiet_success();
            let printed = run(&mut with(as_json), "").expect_quiet_success();
            assert!(!records_in::<Value>(&printed).is_empty(), "{command}");
        }
        let input = checkpoint("b").line(1) + "\n";
        run(&mut on_directory("run", &data_dir, &["-q"]), &input).expect_quiet_success();
        let asked = run(&mut with(&["--format", "table"]), "").expect_quiet_success();
        assert!(
            !asked.starts_with('{') && !asked.is_empty(),
            "{command}: {asked}"
        );
    }
}

#[test]
fn a_row_of_a_table_takes_one_line_of_a_terminal_however_long_its_texts_are() {
    let home = scratch_dir();
    let data_dir = home.path().join("state");
    let long = |what: &str| format!("{what} {}", "long ".repeat(60));
    let input = numbered_input(
        1,
        &[
            event(long("id"), long("word")),
            event("e2", "w2"),
            checkpoint("a long name ".repeat(9)),
            Request::Commit,
        ],
    );
    run(&mut on_directory("run", &data_dir, &[]), &input).expect_quiet_success();
    for (command, arguments, rows) in [
        ("counts", &[][..], 3),
        ("outputs", &[], 3),
        ("checkpoints", &["list"], 2),
        ("dump", &["--only", "events"], 3),
    ] {
        let mut table = on_directory(command, &data_dir, arguments);
        let shown = OnTerminal::start(&mut table).shown_until_its_end();
        assert_eq!(shown.lines().count(), rows, "{command}: {shown}");
        assert!(
            shown.contains('\u{2026}'),
            "{command}: what is cut shows so: {shown}"
        );
        for line in shown.lines() {
            assert!(line.chars().count() <= 80, "{command}: {line}");
        }
    }
}

#[test]
fn a_node_at_a_terminal_says_what_to_type_and_how_to_end() {
    let from_terminal = |terminal: &File| Stdio::from(terminal.try_clone().expect("there are"));
    let mut node = OnTerminal::start_with(&mut binary(), from_terminal);
    let told = node
        .shown(|text| text.contains("lists all commands"))
        .to_owned();
    for part in [
        r#"type requests"#,
        "end with Ctrl-D",
        "the state is temporary",
    ] {
        assert!(told.contains(part), "{told}");
    }
    // The request that it tells, and the end of input.
    let start = told.find("{\"type\"").expect("an example");
    let example = told[start..].split(';').next().expect("its end");
    let typed = format!("{}\n\u{4}", example.replace("\r\n", ""));
    node.keyboard
        .write_all(typed.as_bytes())
        .expect("it is there");
    let shown = node.shown_until_its_end();
    assert!(shown.contains(r#""type": "processed""#), "{shown}");
}

#[test]
fn the_list_of_commands_fits_on_80_columns() {
    let help = run(binary().arg("help"), "").expect_quiet_success();
    let list = help.split("Usage:").nth(1).expect("it has a usage");
    let list = list.split("\nOptions:").next().unwrap_or_default();
    for heading in ["Put in:", "Look:", "Checkpoints:", "Keep:", "Measure:"] {
        assert!(list.lines().any(|line| line == heading), "{list}");
    }
    for line in list.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
