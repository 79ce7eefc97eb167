//! A command on a terminal of 24 rows and 80 columns.

use super::process::Process;
use super::wait::PATIENCE;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

/// A command whose standard output and standard error are one terminal.
pub struct OnTerminal {
    process: Process,
    /// Kept open, so that the terminal is still there when the command has ended.
    terminal: File,
    /// Bytes written here count as typed.
    pub keyboard: File,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl OnTerminal {
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, |_| Stdio::null())
    }

    /// Starts a command whose standard input may be the terminal too.
    pub fn start_with(command: &mut Command, stdin: impl FnOnce(&File) -> Stdio) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).expect("it is ours");
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
        let process = Process::start(command.stdout(end()).stderr(end()));
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
            process,
            terminal,
            keyboard,
            shown,
            text: String::new(),
        }
    }

    /// Waits until the text is as wanted, and returns all that was shown.
    pub fn shown(&mut self, wanted: impl Fn(&str) -> bool) -> &str {
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

    /// Waits for the end of the command, and returns all that it has shown.
    pub fn shown_until_its_end(mut self) -> String {
        const END: &str = "(it has ended)";
        self.process.ended();
        self.terminal
            .write_all(END.as_bytes())
            .expect("it is there");
        let shown = self.shown(|text| text.ends_with(END));
        shown.trim_end_matches(END).to_owned()
    }
}
