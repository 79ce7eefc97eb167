//! The binary as one command among others: with an environment, arguments and pipe ends that the
//! nodes of `client` never have.
//!
//! As there, every wait ends in a panic after [`PATIENCE`].

use crate::client::PATIENCE;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// The binary, without the options that it would take from the caller's environment.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exactly-once"));
    command.env_remove("RUST_LOG");
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("EXACTLY_ONCE_")) {
        command.env_remove(name);
    }
    command
}

/// A command on a data directory.
pub fn on_directory(name: &str, data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = binary();
    command.arg(name).args(arguments);
    command.arg("--data-dir").arg(data_dir);
    command
}

/// All that `dump` says of a directory.
pub fn dump_of(data_dir: &Path, arguments: &[&str]) -> String {
    run(&mut on_directory("dump", data_dir, arguments), "").expect_quiet_success()
}

/// Makes a copy of a directory, at rest or not, in a new one.
pub fn backup(data_dir: &Path, copy: &Path) {
    let copy = copy.to_str().expect("it is UTF-8");
    run(&mut on_directory("backup", data_dir, &[copy]), "").expect_quiet_success();
}

/// Panics unless `verify` finds nothing wrong with a directory; gives its report.
pub fn verified(data_dir: &Path) -> Value {
    let report = run(&mut on_directory("verify", data_dir, &["-q"]), "").expect_quiet_success();
    let report: Value = serde_json::from_str(&report).expect("a report is JSON");
    assert_eq!(report["clean"], true, "{report}");
    report
}

/// Says what `verify` finds wrong with a directory that crashes and power cuts have left. It may
/// hold no state yet, and one slot of its watermark may be torn.
pub fn expect_no_damage(data_dir: &Path) -> Result<(), String> {
    let verified = run(&mut on_directory("verify", data_dir, &["-q"]), "");
    match verified.code {
        Some(0 | 3 | 20) => Ok(()),
        _ => Err(format!("verify: {verified:?}")),
    }
}

/// How a command ended, and all that nobody had read of it.
#[derive(Debug)]
pub struct Finished {
    /// The exit status; none after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Panics unless the command ended well and said nothing on stderr; gives its stdout.
    pub fn expect_quiet_success(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert_eq!(self.stderr, "", "nothing was to be said on stderr");
        self.stdout
    }

    /// Panics unless the command refused to work: this exit status, nothing on stdout, exactly
    /// one line on stderr. Gives the line.
    pub fn expect_refusal(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert_eq!(self.stdout, "", "a refusal answers nothing");
        let line = self.stderr.strip_suffix('\n');
        let line = line.unwrap_or_else(|| panic!("no whole line: {:?}", self.stderr));
        assert!(
            !line.is_empty() && !line.contains('\n'),
            "a refusal is one line on stderr: {line:?}"
        );
        line.to_owned()
    }
}

/// Runs a command over the whole of `input`.
pub fn run(command: &mut Command, input: &str) -> Finished {
    let mut child = spawn(command.stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();
    // A command that does not read its input to the end is judged by its exit status.
    thread::spawn(move || stdin.write_all(input.as_bytes()));
    finish(child)
}

/// Runs two commands as `producer | consumer`.
pub fn run_pipeline(producer: &mut Command, consumer: &mut Command) -> (Finished, Finished) {
    let mut producer = spawn(producer.stdin(Stdio::null()));
    let between = producer.stdout.take().expect("stdout is piped");
    let consumer = spawn(consumer.stdin(between));
    let consumed = finish(consumer);
    (finish(producer), consumed)
}

/// Starts a command with stdout and stderr piped, stdin as it is set.
pub fn spawn(command: &mut Command) -> Child {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    piped
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} can be started: {error}"))
}

/// Waits for the end of a command and collects what is left of its output.
pub fn finish(mut child: Child) -> Finished {
    let stdout = child.stdout.take().map(read_aside);
    let stderr = child.stderr.take().map(read_aside);
    let mut text = |reader: Option<Receiver<String>>| {
        let text = reader.map(|reader| reader.recv_timeout(PATIENCE));
        text.unwrap_or_else(|| Ok(String::new()))
            .unwrap_or_else(|_| {
                child.kill().expect("the child is ours");
                panic!("the command did not end within {PATIENCE:?}");
            })
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    let status = child.wait().expect("the child is ours");
    Finished {
        code: status.code(),
        stdout,
        stderr,
    }
}

fn read_aside(mut stream: impl Read + Send + 'static) -> Receiver<String> {
    let (to_waiter, all) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        to_waiter.send(String::from_utf8_lossy(&bytes).into_owned())
    });
    all
}

/// A running command that is talked to line by line.
pub struct Live {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Receiver<String>,
}

impl Live {
    pub fn start(command: &mut Command) -> Self {
        let mut child = spawn(command.stdin(Stdio::piped()));
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = read_aside(child.stderr.take().expect("stderr is piped"));
        let (to_test, lines) = channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.all(|line| to_test.send(line).is_ok())
        });
        Self {
            child,
            stdin,
            lines,
            stderr,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes lines, each with its newline; at most a pipe's worth, as this blocks.
    pub fn send<'a>(&mut self, lines: impl IntoIterator<Item = &'a String>) {
        let text: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
        assert!(text.len() <= 1 << 16, "a pipe takes no more at once");
        let stdin = self.stdin.as_mut().expect("stdin is open until the end");
        stdin.write_all(text.as_bytes()).expect("it is being read");
    }

    /// The next line, without its newline.
    pub fn read_line(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.unwrap_or_else(|reason| panic!("no further line: {reason}"))
    }

    /// Sends a line and reads the one that answers it.
    pub fn ask(&mut self, line: &str) -> String {
        self.send([&line.to_owned()]);
        self.read_line()
    }

    /// Panics if a line comes, or stdout is closed, within `wait`.
    pub fn expect_silence(&self, wait: Duration) {
        assert_eq!(
            self.lines.recv_timeout(wait),
            Err(RecvTimeoutError::Timeout)
        );
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the process has not been waited for");
    }

    /// Closes stdin and waits for the end.
    pub fn finish(mut self) -> Finished {
        self.stdin = None;
        self.wait()
    }

    /// Waits for the end with stdin left open.
    pub fn wait(mut self) -> Finished {
        let stderr = self.stderr.recv_timeout(PATIENCE);
        let stderr = stderr.unwrap_or_else(|_| panic!("no end within {PATIENCE:?}"));
        let status = self.child.wait().expect("the child is ours");
        Finished {
            code: status.code(),
            stdout: self.lines.iter().map(|line| line + "\n").collect(),
            stderr,
        }
    }
}

impl Drop for Live {
    /// Kills the process, so that a failed test leaves none running.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
