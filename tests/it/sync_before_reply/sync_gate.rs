//! A node whose calls on its database file are traced, delayed or made to fail.

use super::trace::{Stage, Step};
use crate::kit::{Node, binary, eventually, preload, scratch_dir};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The state directory of one test, and the files that control the traced calls.
pub struct Bench {
    home: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            home: scratch_dir(),
        }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Starts a node and waits for its first reply, to a line that changes nothing: then its start
    /// is over. Returns that reply too.
    pub fn start(&self) -> (Node, String) {
        self.start_with(&[])
    }

    /// Like `start`, with further arguments.
    pub fn start_with(&self, arguments: &[&str]) -> (Node, String) {
        let mut command = binary();
        // The streams have conflicts, which would otherwise be logged on stderr.
        command.args(["--quiet", "--data-dir"]).arg(self.data_dir());
        command.args(arguments);
        self.watch(&mut command);
        let node = Node::start_as(&mut command);
        let greeting = node.ask("no JSON");
        assert!(greeting.contains(r#""code": 12"#), "{greeting}");
        (node, greeting)
    }

    /// Makes a command trace its calls.
    pub fn watch(&self, command: &mut Command) {
        let library = preload::library("shim", "sync_before_reply/library.rs");
        command.env("LD_PRELOAD", library);
        command.env("SHIM_TRACE", self.trace_file());
        command.env("SHIM_GATE", self.gate());
        command.env("SHIM_FAIL", self.failure());
    }

    /// Makes every fdatasync of the database wait from now on.
    pub fn close_gate(&self) {
        fs::write(self.gate(), "").expect("the gate can be closed");
    }

    pub fn open_gate(&self) {
        fs::remove_file(self.gate()).expect("the gate was closed");
    }

    /// Makes the next fdatasync of the database fail, or the one that waits at the gate.
    pub fn fail_one_sync(&self) {
        fs::write(self.failure(), "").expect("the failure can be ordered");
    }

    /// True if the ordered failure has not happened yet.
    pub fn failure_is_due(&self) -> bool {
        self.failure().exists()
    }

    pub fn trace(&self) -> Vec<Step> {
        let text = fs::read_to_string(self.trace_file()).expect("the shim writes a trace");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(Step::read).collect()
    }

    /// The number of fdatasyncs of the database that have begun.
    pub fn syncs_begun(&self) -> usize {
        let is_one = |step: &&Step| **step == Step::Sync(Stage::Enter);
        self.trace().iter().filter(is_one).count()
    }

    /// Waits until this many fdatasyncs of the database have begun.
    pub fn wait_for_syncs(&self, wanted: usize) {
        eventually("an fdatasync comes", || self.syncs_begun() >= wanted);
    }

    fn trace_file(&self) -> PathBuf {
        self.home.path().join("trace")
    }

    fn gate(&self) -> PathBuf {
        self.home.path().join("gate")
    }

    fn failure(&self) -> PathBuf {
        self.home.path().join("failure")
    }
}
