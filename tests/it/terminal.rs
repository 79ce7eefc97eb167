//! What the binary shows on a terminal: figures that are drawn anew, and colours unless `NO_COLOR`
//! is set.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::client::{Node, PATIENCE, scratch_dir};
use crate::command::{binary, on_directory, run};
use crate::control::asked::{event_request, line};

/// How a terminal is told to clear a line, and to change the colour.
const CLEAR: &str = "\u{1b}[2K";
const COLOUR: &str = "\u{1b}[";

/// A command whose standard output and standard error are one terminal.
struct OnTerminal {
    child: Child,
    /// Kept, so that the terminal is there when the command has ended.
    terminal: File,
    /// What is written here has been typed.
    keyboard: File,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl OnTerminal {
    fn start(command: &mut Command) -> Self {
        Self::start_with(command, |_| Stdio::null())
    }

    /// Starts a command whose standard input may be the terminal too.
    fn start_with(command: &mut Command, stdin: impl FnOnce(&File) -> Stdio) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let name = OsStr::from_bytes(name.as_bytes());
        let terminal = OpenOptions::new().read(true).write(true).open(name);
        let terminal = terminal.expect("it is unlocked");
        let end = || Stdio::from(terminal.try_clone().expect("there are descriptors"));
        for variable in [
            "NO_COLOR",
            "CLICOLOR",
            "CLICOLOR_FORCE",
            "FORCE_COLOR",
            "COLUMNS",
        ] {
            if !command.get_envs().any(|(name, _)| name == variable) {
                command.env_remove(variable);
            }
        }
        command
            .env("TERM", "xterm-256color")
            .stdin(stdin(&terminal));
        let child = command.stdout(end()).stderr(end()).spawn();
        let (sender, shown) = channel();
        let mut master = File::from(master);
        let keyboard = master.try_clone().expect("there are descriptors");
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = master.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child: child.expect("the binary can be started"),
            terminal,
            keyboard,
            shown,
            text: String::new(),
        }
    }

    /// All that has been shown, once it is as wanted.
    fn shown(&mut self, wanted: impl Fn(&str) -> bool) -> &str {
        let deadline = Instant::now() + PATIENCE;
        while !wanted(&self.text) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("only this was shown: {:?}", self.text),
            }
        }
        &self.text
    }
}

impl OnTerminal {
    /// All that a command has shown, once it has ended.
    fn shown_until_its_end(mut self) -> String {
        const END: &str = "(it has ended)";
        self.child.wait().expect("the child is ours");
        self.terminal
            .write_all(END.as_bytes())
            .expect("it is there");
        let shown = self.shown(|text| text.ends_with(END));
        shown.trim_end_matches(END).to_owned()
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        self.child.kill().expect("the child is ours");
        self.child.wait().expect("the child is ours");
    }
}

fn event(number: u64) -> String {
    format!(
        r#"{{"body":{{"type":"process","msg_id":{number},"event_id":"e{number}","word":"w"}}}}"#
    )
}

#[test]
fn watched_figures_are_drawn_over_those_before() {
    let home = scratch_dir();
    let data_dir = home.path().join("state");
    let node = Node::start(Some(&data_dir), &[]);
    let ask = |number| {
        node.send(&event(number));
        node.read_line()
    };
    ask(1);
    let arguments = ["--watch", "--every", "1"];
    let mut watcher = OnTerminal::start(&mut on_directory("stats", &data_dir, &arguments));
    let events = |count: u64| {
        move |text: &str| {
            let last = text.rsplit(CLEAR).next().unwrap_or_default();
            let lines = || last.lines().map(str::trim);
            // The last line of all, so that none is on its way any more.
            let is_whole = last.ends_with('\n') && lines().any(|line| line.starts_with("moves"));
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

/// What must not reach a terminal as it is: controls of both kinds, characters that turn text
/// around or have no width, and a separator of lines; and what must.
const STEERING: &str =
    "\u{1b}[2J\u{9b}1m\u{7f}\u{200b}\u{200f}\u{202e}\u{2028}\u{2063}\u{2069}\u{feff}\u{61c}";
const PLAIN: &str = "\u{e9}\u{20ac}";

#[track_caller]
fn assert_harmless(shown: &str, what: &str) {
    // Colours that this program chose are none of it.
    let shown = shown.replace(['\r', '\n'], "");
    let steering = STEERING.chars().filter(|&c| c != '\u{1b}' && c > '~');
    for character in steering {
        assert!(!shown.contains(character), "{what}: {shown:?}");
    }
    assert!(!shown.contains("\u{1b}[2J"), "{what}: {shown:?}");
    assert!(shown.contains(PLAIN), "{what}: {shown:?}");
}

#[test]
fn nothing_foreign_steers_a_terminal_or_hides_on_it_whatever_shows_it() {
    let home = scratch_dir();
    let data_dir = home.path().join("state");
    let foreign = format!("{PLAIN}{STEERING}");
    let quoted = serde_json::to_string(&foreign).expect("it is text");
    let event = event_request(&foreign, &foreign).line(1) + "\n";
    let mut input = event.clone();
    for (kind, members) in [
        ("checkpoint", format!(r#""checkpoint_id":{quoted}"#)),
        ("commit", String::new()),
        ("restore", format!(r#""checkpoint_id":{quoted}"#)),
    ] {
        input += &(line(kind, 2, &members) + "\n");
    }
    input += &(event_request("another", &foreign).line(3) + "\n");
    run(&mut on_directory("run", &data_dir, &[]), &input).expect_quiet_success();
    let text = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).expect("there is room");
        path.to_str().expect("it is UTF-8").to_owned()
    };
    // As a word has no control characters here, which end it.
    let book = text("book", &foreign);
    let bad_dump = text("bad", &format!("{{\"type\":\"meta\" {foreign}\n"));
    let requests = text("requests", &event);
    let missing = format!("missing {foreign}");
    let last = format!(r#"{{"offset":9,"event_id":{quoted},"word":"w","count":1}}"#);
    for arguments in [
        &["dump"][..],
        &["dump", "--format", "table"],
        &["outputs"],
        &["get", &foreign],
        &["get", "--word", &foreign],
        &["checkpoints", "list"],
        &["checkpoints", "list", "--format", "table"],
        &["checkpoints", "show", &foreign],
        &["checkpoints", "diff", &foreign, "--format", "table"],
        &["checkpoints", "save", &foreign],
        &["checkpoints", "graph"],
        &["checkpoints", "graph", "--svg", "-"],
        &["checkpoints", "restore", &foreign, "--yes"],
        &["checkpoints", "delete", &foreign, "--dry-run"],
        &["checkpoints", "show", &missing],
        &["outputs", "--after", &last],
        &["dump", "--only", &missing],
        &["events", &book],
        &["events", &missing],
        &["load", &missing],
    ] {
        let mut command = binary();
        command
            .env("EXACTLY_ONCE_DATA_DIR", &data_dir)
            .args(arguments);
        if arguments.first() == Some(&"load") {
            command.args(["--data-dir", "new"]).current_dir(home.path());
        }
        let shown = OnTerminal::start(&mut command).shown_until_its_end();
        assert_harmless(&shown, &format!("{arguments:?}"));
    }
    let on_new = |name: &str| {
        let mut command = binary();
        command
            .arg(name)
            .env("EXACTLY_ONCE_DATA_DIR", home.path().join(name));
        command
    };
    let shown = OnTerminal::start(on_new("load").arg(&bad_dump)).shown_until_its_end();
    assert_harmless(&shown, "a bad line of a dump");
    let nowhere = home.path().join(&missing);
    let shown = OnTerminal::start(&mut on_directory("verify", &nowhere, &[]));
    assert_harmless(&shown.shown_until_its_end(), "the name of a directory");
    let mut shell = Command::new("sh");
    let script = r#"exec "$0" run -v --data-dir "$1" < "$2""#;
    shell.args(["-c", script, env!("CARGO_BIN_EXE_exactly-once")]);
    shell.arg(home.path().join(&foreign)).arg(requests);
    let shown = OnTerminal::start(&mut shell).shown_until_its_end();
    assert!(shown.contains("processed"), "{shown:?}");
    assert_harmless(&shown, "a reply and a log");
}

#[test]
fn json_on_a_terminal_says_the_same_as_in_a_file() {
    let home = scratch_dir();
    let data_dir = home.path().join("state");
    let word = format!("{STEERING}{PLAIN}\u{e0041}");
    let input = event_request("e", &word).line(1) + "\n";
    run(&mut on_directory("run", &data_dir, &[]), &input).expect_quiet_success();
    let mut command = on_directory("dump", &data_dir, &[]);
    let in_file = run(&mut command, "").expect_quiet_success();
    assert!(
        in_file.contains(r"\u001b[2J") && in_file.contains('\u{202e}'),
        "as it always was"
    );
    let shown = OnTerminal::start(&mut command).shown_until_its_end();
    let records = |text: &str| -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).expect("it is JSON");
        text.lines().map(parse).collect()
    };
    assert_eq!(records(&shown), records(&in_file));
}

#[test]
fn a_progress_line_fits_on_a_terminal_of_80_columns() {
    const EVENTS: u64 = 12_000;
    let home = scratch_dir();
    let requests = home.path().join("requests");
    let lines: String = (0..EVENTS).map(|number| event(number) + "\n").collect();
    std::fs::write(&requests, lines).expect("there is room");
    let mut shell = Command::new("sh");
    let script = r#"exec "$0" run --data-dir "$1" < "$2" > /dev/null"#;
    shell.args(["-c", script, env!("CARGO_BIN_EXE_exactly-once")]);
    shell.arg(home.path().join("state")).arg(requests);
    let shown = OnTerminal::start(&mut shell).shown_until_its_end();
    assert!(shown.contains("12,000 events"), "{shown:?}");
    for line in console::strip_ansi_codes(&shown).split(['\r', '\n']) {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
}

#[test]
fn a_question_before_a_restore_fits_on_a_terminal_however_much_it_would_change() {
    const WORDS: u64 = 1_000;
    let home = scratch_dir();
    let data_dir = home.path().join("state");
    let word = |number: u64| event_request(&format!("e{number}"), &format!("w{number:04}"));
    let mut input = line("checkpoint", 1, r#""checkpoint_id":"a""#) + "\n";
    input.extend((0..WORDS).map(|number| word(number).line(number) + "\n"));
    run(&mut on_directory("run", &data_dir, &[]), &input).expect_quiet_success();
    let restore = |arguments: &[&str]| {
        let mut command = binary();
        command
            .args(["checkpoints", "restore", "a"])
            .args(arguments);
        command.arg("--data-dir").arg(&data_dir);
        command
    };
    let changes = run(&mut restore(&["--dry-run"]), "").expect_quiet_success();
    assert_eq!(changes.lines().count() as u64, 1 + WORDS);
    let from_terminal = |terminal: &File| Stdio::from(terminal.try_clone().expect("there are"));
    let mut asked = OnTerminal::start_with(&mut restore(&[]), from_terminal);
    let question = asked.shown(|text| text.ends_with("[y/N] ")).to_owned();
    for told in [
        "events: 1000 leave the state, 0 come back, 0 stay",
        "words whose counts change: 1000 (w0000 from 1 to 0, ",
        "w0004 from 1 to 0, ...; --dry-run shows all)",
        "Make the state that of checkpoint \"a\"? [y/N] ",
    ] {
        assert!(question.contains(told), "{question}");
    }
    assert!(question.lines().count() <= 3, "{question}");
    asked.keyboard.write_all(b"y\n").expect("it is there");
    let shown = asked.shown_until_its_end();
    let done = r#"{"type":"restored","checkpoint_id":"a"}"#;
    assert!(shown.contains(done), "{shown}");
    let unchanged = run(&mut restore(&["--dry-run"]), "").expect_quiet_success();
    assert_eq!(unchanged.lines().count(), 1, "{unchanged}");
}
