//! The program as a process: how it is called, how it ends, and what it prints.
//!
//! Every wait ends in a panic after [`PATIENCE`].

use super::exit;
use super::node::Node;
use super::wait::{PATIENCE, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::{Read, Write};
use std::ops::{Deref, DerefMut};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// The program, without the options that it would take from the caller's environment.
pub fn binary() -> Command {
    without_options(Command::new(env!("CARGO_BIN_EXE_exactly-once")))
}

/// A shell that runs a script, in which `$0` is the program.
pub fn shell(script: &str) -> Command {
    let mut shell = without_options(Command::new("sh"));
    shell.args(["-c", script, env!("CARGO_BIN_EXE_exactly-once")]);
    shell
}

/// A command without the options that the program would take from the caller's environment.
pub fn without_options(mut command: Command) -> Command {
    command.env_remove("RUST_LOG");
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("EXACTLY_ONCE_")) {
        command.env_remove(name);
    }
    command
}

/// A command on a state directory.
pub fn on_directory(name: &str, data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = binary();
    command.arg(name).args(arguments);
    command.arg("--data-dir").arg(data_dir);
    command
}

/// Runs a command on a state directory to its end, without input.
pub fn run_on(name: &str, data_dir: &Path, arguments: &[&str]) -> Finished {
    run(&mut on_directory(name, data_dir, arguments), "")
}

/// Runs a node on a directory to its end, with all of `input`.
pub fn run_node(data_dir: &Path, arguments: &[&str], input: impl AsRef<[u8]>) -> Finished {
    let node = Node::start(Some(data_dir), arguments);
    node.send_raw(input.as_ref().to_vec());
    node.finish()
}

/// The end of a process, and all of its output that was not read before.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// The number of queued writes of a [`Node`] that the pipe had taken completely.
    pub written: usize,
}

impl Finished {
    /// The exit status; `None` after a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The complete lines of stdout; a partial last line is no reply.
    pub fn complete_lines(&self) -> Vec<String> {
        let lines = self.stdout.split_inclusive('\n');
        let complete = lines.filter_map(|line| line.strip_suffix('\n'));
        complete.map(str::to_owned).collect()
    }

    /// Panics unless the process ended with this status.
    #[track_caller]
    pub fn expect_status(self, status: i32) -> Self {
        assert_eq!(self.code(), Some(status), "{}", self.stderr);
        self
    }

    /// Panics unless the process ended with one of these statuses.
    #[track_caller]
    pub fn expect_one_of(self, statuses: &[i32]) -> Self {
        let is_one = self.code().is_some_and(|code| statuses.contains(&code));
        assert!(is_one, "{}: {}", self.status, self.stderr);
        self
    }

    /// Panics unless the process ended well; returns its stdout.
    #[track_caller]
    pub fn expect_success(self) -> String {
        assert!(self.status.success(), "{}: {}", self.status, self.stderr);
        self.stdout
    }

    /// Panics unless the process ended well and all of its stdout was read.
    #[track_caller]
    pub fn expect_all_read(self) {
        assert_eq!(self.expect_success(), "", "nothing more was expected");
    }

    /// Panics unless the process ended well and printed nothing on stderr; returns its stdout.
    #[track_caller]
    pub fn expect_quiet_success(self) -> String {
        assert_eq!(self.code(), Some(exit::SUCCESS), "{}", self.stderr);
        assert_eq!(self.stderr, "", "nothing was to be said on stderr");
        self.stdout
    }

    /// The same for a command that prints one record; returns the record.
    #[track_caller]
    pub fn expect_record(self) -> Value {
        record_in(&self.expect_quiet_success())
    }

    /// The same for a command that prints a record in each line; returns them.
    #[track_caller]
    pub fn expect_records(self) -> Vec<Value> {
        records_in(&self.expect_quiet_success())
    }

    /// Panics unless the process refused to work: with this exit status, nothing on stdout, and
    /// exactly one line on stderr. Returns the line.
    #[track_caller]
    pub fn expect_refusal(self, code: i32) -> String {
        assert_eq!(self.code(), Some(code), "{}", self.stderr);
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

/// Returns the records in a text, one from each line.
#[track_caller]
pub fn records_in<T: DeserializeOwned>(text: &str) -> Vec<T> {
    text.lines().map(record_in).collect()
}

/// The record in a line.
#[track_caller]
pub fn record_in<T: DeserializeOwned>(line: &str) -> T {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

/// A process that is killed when it is dropped, so that a failed test leaves none running.
pub struct Process(Child);

impl Process {
    /// Starts a command with its standard streams as they are set.
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?} can be started: {error}")))
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).expect("the process has not been waited for");
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("the child is ours").is_some()
    }

    /// Waits for the end of a process whose output is not read here.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        wait_for("the process ends", || {
            self.0.try_wait().expect("the child is ours")
        })
    }

    /// Kills the process, if it has not ended yet.
    pub fn end(&mut self) -> ExitStatus {
        // The kill fails if the process has ended, which is not an error.
        self.0.kill().unwrap_or_default();
        self.0.wait().expect("the child is ours")
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a command with all of `input`.
pub fn run(command: &mut Command, input: impl AsRef<[u8]>) -> Finished {
    let mut child = spawn(command.stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.as_ref().to_vec();
    // The exit status judges a command that does not read all of its input.
    thread::spawn(move || stdin.write_all(&input));
    finish(child)
}

/// Makes an end of a pipe wait while the pipe is full or empty, or not wait.
pub fn set_waiting(end: impl AsFd, is_waiting: bool) {
    let set = rustix::io::ioctl_fionbio(end, !is_waiting);
    set.expect("a pipe can be set");
}

/// Runs two commands as `producer | consumer`.
pub fn run_pipeline(producer: &mut Command, consumer: &mut Command) -> (Finished, Finished) {
    let mut producer = spawn(producer.stdin(Stdio::null()));
    let between = producer.stdout.take().expect("stdout is piped");
    let consumer = spawn(consumer.stdin(between));
    let consumed = finish(consumer);
    (finish(producer), consumed)
}

/// Starts a command with piped stdout and stderr, and with stdin as it is set.
pub fn spawn(command: &mut Command) -> Process {
    Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// Waits for the end of a process and collects the rest of its output.
#[track_caller]
pub fn finish(mut process: Process) -> Finished {
    let stdout = process.stdout.take().map(read_aside);
    let stderr = process.stderr.take().map(read_aside);
    let bytes = |reader: Option<Receiver<Vec<u8>>>| {
        let bytes = reader.map_or(Ok(Vec::new()), |reader| reader.recv_timeout(PATIENCE));
        bytes.unwrap_or_else(|_| panic!("the process did not end within {PATIENCE:?}"))
    };
    let (stdout, stderr) = (bytes(stdout), bytes(stderr));
    let status = process.wait().expect("the child is ours");
    Finished {
        status,
        stdout: text_of(stdout, status),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        written: 0,
    }
}

/// The output of a process as text. Only a signal may cut it off in the middle of a character.
#[track_caller]
pub fn text_of(stdout: Vec<u8>, status: ExitStatus) -> String {
    match status.code() {
        Some(_) => String::from_utf8(stdout).expect("what is printed is UTF-8"),
        None => String::from_utf8_lossy(&stdout).into_owned(),
    }
}

/// Reads a stream to its end on a separate thread.
pub fn read_aside(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (to_waiter, all) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        to_waiter.send(bytes)
    });
    all
}
