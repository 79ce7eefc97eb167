//! A running process with which tests exchange lines: lines in, lines out, signals, its end.
//!
//! Nothing here can block forever: separate threads write, read replies and read stderr, and every
//! wait ends in a panic after [`PATIENCE`]. The oracle says what a reply must be.

use super::directory::scratch_dir;
use super::process::{Finished, Process, binary, read_aside, spawn, text_of};
use super::requests::input_of;
use super::wait::PATIENCE;
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub struct Node {
    process: Process,
    /// Leads to the thread that writes stdin. When this is dropped, the thread writes what is
    /// queued and closes stdin.
    input: Option<Sender<Vec<u8>>>,
    lines: Receiver<Vec<u8>>,
    /// All of stderr, sent when its last writer is gone, which is when the process has ended.
    stderr: Receiver<Vec<u8>>,
    queued: AtomicUsize,
    written: Arc<AtomicUsize>,
    /// The working directory of a node that gets no state directory.
    _home: Option<TempDir>,
}

impl Node {
    /// Starts a node on `data_dir`, or without one, in an empty directory of its own.
    pub fn start(data_dir: Option<&Path>, arguments: &[&str]) -> Self {
        Self::start_reading(data_dir, arguments, usize::MAX)
    }

    /// As `start`, but closes the reading end of stdout after `max_lines` lines.
    pub fn start_reading(data_dir: Option<&Path>, arguments: &[&str], max_lines: usize) -> Self {
        let mut command = binary();
        let home = data_dir.is_none().then(scratch_dir);
        match data_dir {
            Some(dir) => command.arg("--data-dir").arg(dir),
            None => at_home(&mut command, home.as_ref().expect("just made").path()),
        };
        Self::spawn(command.args(arguments), max_lines, home)
    }

    /// Starts a process with a command of the test's own.
    pub fn start_as(command: &mut Command) -> Self {
        Self::spawn(command, usize::MAX, None)
    }

    fn spawn(command: &mut Command, max_lines: usize, home: Option<TempDir>) -> Self {
        let mut process = spawn(command.stdin(Stdio::piped()));
        let stdin = process.stdin.take().expect("stdin is piped");
        let stdout = process.stdout.take().expect("stdout is piped");
        let stderr = process.stderr.take().expect("stderr is piped");
        let (input, queue) = channel();
        let (to_reader, lines) = channel();
        let written = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&written);
        thread::spawn(move || write_all(stdin, &queue, &count));
        thread::spawn(move || read_lines(stdout, max_lines, &to_reader));
        Self {
            process,
            input: Some(input),
            lines,
            stderr: read_aside(stderr),
            queued: AtomicUsize::new(0),
            written,
            _home: home,
        }
    }

    /// Queues one line, and adds its newline.
    pub fn send(&self, line: &str) {
        self.send_raw(format!("{line}\n").into_bytes());
    }

    /// Writes lines, each with its newline, in one write, and waits until the pipe has taken it.
    pub fn send_all<'a>(&self, lines: impl IntoIterator<Item = &'a String>) {
        self.send_raw(input_of(lines).into_bytes());
        let queued = self.queued.load(Ordering::SeqCst);
        let deadline = Instant::now() + PATIENCE;
        while self.written.load(Ordering::SeqCst) < queued {
            assert!(Instant::now() < deadline, "the process does not read");
            thread::sleep(Duration::from_micros(50));
        }
    }

    /// Queues bytes as they are.
    pub fn send_raw(&self, bytes: Vec<u8>) {
        let input = self.input.as_ref().expect("stdin is open until `finish`");
        self.queued.fetch_add(1, Ordering::SeqCst);
        // The writing thread ends when the process has closed its stdin. The bytes are then lost,
        // which the next wait of the test shows.
        let _ = input.send(bytes);
    }

    /// Sends a line and reads its reply.
    pub fn ask(&self, line: &str) -> String {
        self.send(line);
        self.read_line()
    }

    /// The next reply, without its newline; panics if none comes.
    #[track_caller]
    pub fn read_line(&self) -> String {
        match self.read_line_within(PATIENCE) {
            Ok(line) => line.unwrap_or_else(|| panic!("no reply within {PATIENCE:?}")),
            Err(StdoutClosed) => panic!("stdout was closed before this reply"),
        }
    }

    /// The next reply if one comes within `wait`; `Err` once stdout is closed.
    pub fn read_line_within(&self, wait: Duration) -> Result<Option<String>, StdoutClosed> {
        match self.lines.recv_timeout(wait) {
            Ok(line) => complete(&line).map(Some).ok_or(StdoutClosed),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(StdoutClosed),
        }
    }

    /// Panics if a line comes, or stdout is closed, within `wait`.
    #[track_caller]
    pub fn expect_silence(&self, wait: Duration) {
        assert_eq!(self.read_line_within(wait), Ok(None));
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Closes stdin once all is written, and waits for the end.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        self.input = None;
        self.wait()
    }

    /// Waits for the end with stdin left open.
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        let stderr = self.stderr.recv_timeout(PATIENCE);
        let stderr = stderr.unwrap_or_else(|_| panic!("no end within {PATIENCE:?}"));
        let status = self.process.wait().expect("the child is ours");
        Finished {
            status,
            stdout: text_of(self.lines.iter().flatten().collect(), status),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            written: self.written.load(Ordering::SeqCst),
        }
    }

    /// Kills the process with SIGKILL and collects the rest of its output.
    pub fn kill(mut self) -> Finished {
        self.process.kill().expect("the child is ours");
        self.wait()
    }
}

/// Stdout is closed, so no further reply can come.
#[derive(Debug, PartialEq, Eq)]
pub struct StdoutClosed;

/// Keeps a node without a state directory from finding one that others use.
fn at_home<'a>(command: &'a mut Command, home: &Path) -> &'a mut Command {
    command
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_STATE_HOME");
    command.env("HOME", home).current_dir(home)
}

/// Writes what is queued. Returns, and so closes stdin, when the queue is closed or the process
/// reads no more.
fn write_all(mut stdin: impl Write, queue: &Receiver<Vec<u8>>, written: &AtomicUsize) {
    for bytes in queue {
        if stdin.write_all(&bytes).is_err() {
            return;
        }
        written.fetch_add(1, Ordering::SeqCst);
    }
}

/// Sends each line with its newline, and a partial last line without one.
fn read_lines(stdout: impl Read, max_lines: usize, lines: &Sender<Vec<u8>>) {
    let mut reader = BufReader::new(stdout);
    for _ in 0..max_lines {
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if lines.send(line).is_err() => return,
            Ok(_) => {}
        }
    }
}

/// Returns a complete line without its newline. Replies are UTF-8 by the protocol.
fn complete(line: &[u8]) -> Option<String> {
    let line = line.strip_suffix(b"\n")?;
    Some(String::from_utf8(line.to_vec()).expect("replies are UTF-8"))
}
