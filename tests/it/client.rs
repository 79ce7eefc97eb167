//! The real binary as a client sees it: lines in, lines out, signals, an exit status.
//!
//! Nothing here can block for ever: threads of their own write, read replies and read stderr, and
//! every wait ends in a panic after [`PATIENCE`]. What a reply must say is the oracle's business.

pub mod dump;
pub mod memory;
pub mod reply;

use crate::command::binary;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// How long the slowest machine may take for anything before a test calls it a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A new empty directory, on the file system that `EXACTLY_ONCE_TEST_DIR` names if it is set.
pub fn scratch_dir() -> TempDir {
    let made = match std::env::var_os("EXACTLY_ONCE_TEST_DIR") {
        Some(parent) => TempDir::new_in(parent),
        None => TempDir::new(),
    };
    made.expect("a temporary directory can be made")
}

/// How a run ended and what nobody had read of it.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// The bytes of stdout after the last line that was read.
    pub unread: Vec<u8>,
    pub stderr: String,
    /// How many of the queued writes had gone into the pipe completely.
    pub written: usize,
}

impl Ended {
    /// The complete lines nobody had read; a last partial one does not count as a reply.
    pub fn unread_lines(&self) -> Vec<String> {
        let lines = self.unread.split_inclusive(|&byte| byte == b'\n');
        let complete = lines.filter_map(|line| line.strip_suffix(b"\n"));
        complete
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }

    /// Panics unless the process ended well and all it said was read.
    pub fn expect_quiet_success(self) {
        assert!(self.status.success(), "{}: {}", self.status, self.stderr);
        assert_eq!(
            String::from_utf8_lossy(&self.unread),
            "",
            "nothing more was expected"
        );
    }
}

/// A running process.
pub struct Node {
    child: Child,
    /// Towards the thread that writes stdin; dropping it closes stdin once all is written.
    input: Option<Sender<Vec<u8>>>,
    lines: Receiver<Vec<u8>>,
    /// All of stderr, sent when its last writer is gone, which is when the process has ended.
    stderr: Receiver<String>,
    written: Arc<AtomicUsize>,
    /// The working directory of a node without a data directory of ours.
    _home: Option<TempDir>,
}

impl Node {
    /// Starts a node on `data_dir`, or without arguments in an empty directory that it has alone.
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
        command.args(arguments);
        Self::spawn(command, max_lines, home)
    }

    /// Starts a node as a command of the test's own says.
    pub fn start_as(command: Command) -> Self {
        Self::spawn(command, usize::MAX, None)
    }

    fn spawn(command: Command, max_lines: usize, home: Option<TempDir>) -> Self {
        let (child, written, input, lines, stderr) = spawn(command, max_lines);
        Self {
            child,
            input: Some(input),
            lines,
            stderr,
            written,
            _home: home,
        }
    }

    /// Queues one line; the newline is added here.
    pub fn send(&self, line: &str) {
        self.send_raw(format!("{line}\n").into_bytes());
    }

    /// Queues bytes as they are.
    pub fn send_raw(&self, bytes: Vec<u8>) {
        let input = self.input.as_ref().expect("stdin is open until `finish`");
        // The writing thread ends when the process has closed its stdin: then nobody is there to
        // receive the bytes, and what the test waits for next will tell.
        let _ = input.send(bytes);
    }

    /// The next reply, without its newline.
    pub fn read_line(&self) -> String {
        let line = self
            .lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|reason| match reason {
                RecvTimeoutError::Timeout => panic!("no reply within {PATIENCE:?}"),
                RecvTimeoutError::Disconnected => panic!("stdout was closed before this reply"),
            });
        text_of(&line).expect("a reply line ends in a newline")
    }

    /// The next reply if one comes within `wait`; `Err` once stdout is closed.
    pub fn read_line_within(&self, wait: Duration) -> Result<Option<String>, StdoutClosed> {
        match self.lines.recv_timeout(wait) {
            Ok(line) => text_of(&line).map(Some).ok_or(StdoutClosed),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(StdoutClosed),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the process has not been waited for");
    }

    /// Closes stdin once all is written, and waits for the end.
    pub fn finish(mut self) -> Ended {
        self.input = None;
        self.wait()
    }

    /// Waits for the end with stdin left open.
    pub fn wait(mut self) -> Ended {
        let stderr = self.stderr.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!("the process did not end within {PATIENCE:?}");
        });
        let status = self.child.wait().expect("the child is ours");
        let unread = self.lines.iter().flatten().collect();
        Ended {
            status,
            unread,
            stderr,
            written: self.written.load(Ordering::SeqCst),
        }
    }

    /// Kills the process with SIGKILL and collects what it had still written.
    pub fn kill(mut self) -> Ended {
        self.child.kill().expect("the child is ours");
        self.wait()
    }
}

impl Drop for Node {
    /// Kills the process, so that a failed test leaves none running.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No further reply can come.
#[derive(Debug)]
pub struct StdoutClosed;

/// Runs a node on `dir` over the whole of `input`; stdout, stderr and the status at its end.
pub fn run_once(dir: &Path, input: &[u8]) -> (Vec<u8>, String, ExitStatus) {
    run_with(dir, &[], input)
}

/// As `run_once`, with further arguments.
pub fn run_with(dir: &Path, arguments: &[&str], input: &[u8]) -> (Vec<u8>, String, ExitStatus) {
    let node = Node::start(Some(dir), arguments);
    node.send_raw(input.to_vec());
    let Ended {
        status,
        unread,
        stderr,
        ..
    } = node.finish();
    (unread, stderr, status)
}

/// Keeps a node that is told no data directory from finding one that others use.
fn at_home<'a>(command: &'a mut Command, home: &Path) -> &'a mut Command {
    command
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_STATE_HOME");
    command.env("HOME", home).current_dir(home)
}

type Threads = (
    Child,
    Arc<AtomicUsize>,
    Sender<Vec<u8>>,
    Receiver<Vec<u8>>,
    Receiver<String>,
);

fn spawn(mut command: Command, max_lines: usize) -> Threads {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary can be started");
    let stdin = child.stdin.take().expect("stdin is piped");
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    let (input, queued) = channel();
    let (to_reader, lines) = channel();
    let (to_waiter, all_stderr) = channel();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    thread::spawn(move || write_all(stdin, &queued, &count));
    thread::spawn(move || read_lines(stdout, max_lines, &to_reader));
    thread::spawn(move || to_waiter.send(read_to_end(stderr)));
    (child, written, input, lines, all_stderr)
}

/// Ends, and so closes stdin, when the queue is closed or the process takes no more.
fn write_all(mut stdin: impl Write, queued: &Receiver<Vec<u8>>, written: &AtomicUsize) {
    for bytes in queued {
        if stdin.write_all(&bytes).is_err() {
            return;
        }
        written.fetch_add(1, Ordering::SeqCst);
    }
}

/// Sends each line with its newline, and a last partial one without.
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

fn read_to_end(mut stderr: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = stderr.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A complete line without its newline; replies are UTF-8 by the protocol.
fn text_of(line: &[u8]) -> Option<String> {
    let line = line.strip_suffix(b"\n")?;
    Some(String::from_utf8(line.to_vec()).expect("replies are UTF-8"))
}
