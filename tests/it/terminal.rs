//! What the binary shows on a terminal: figures that are drawn anew, and colours unless `NO_COLOR`
//! is set.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::client::{Node, PATIENCE, scratch_dir};
use crate::command::{binary, on_directory};

/// How a terminal is told to clear a line, and to change the colour.
const CLEAR: &str = "\u{1b}[2K";
const COLOUR: &str = "\u{1b}[";

/// A command whose standard output and standard error are one terminal.
struct OnTerminal {
    child: Child,
    /// Kept, so that the terminal is there when the command has ended.
    _terminal: File,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl OnTerminal {
    fn start(command: &mut Command) -> Self {
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
        command.env("TERM", "xterm-256color").stdin(Stdio::null());
        let child = command.stdout(end()).stderr(end()).spawn();
        let (sender, shown) = channel();
        let mut master = File::from(master);
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
            _terminal: terminal,
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
