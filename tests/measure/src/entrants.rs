//! The systems that answer the same files of requests, and those files.
//!
//! The directory has one file of requests, one file of replies, and a state for each system.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::conversation::Conversation;
use crate::directory_in;
use crate::harness::workload::{Event, write};
use crate::node::{Answered, Binary};
use crate::peer::Store;
use crate::sqlite_node::{BATCH, CACHE_MIB};

/// The size of the buffer with which replies are read.
const BUFFER_BYTES: usize = 1 << 20;

/// A system that takes part.
struct Entrant {
    /// Its name in the results.
    name: String,
    binary: Binary,
}

/// All systems that take part. Each is known by its place among them.
pub struct Entrants {
    systems: Vec<Entrant>,
    /// The system to which the others are compared.
    base: usize,
    /// What the tables say about that system.
    base_note: String,
    directory: TempDir,
}

impl Entrants {
    /// Takes builds of exactly-once, and makes a directory in `parent`. Several builds have the
    /// names of their files too. The others are compared to the first one.
    pub fn new(nodes: Vec<Binary>, parent: &Path) -> anyhow::Result<Self> {
        let are_several = nodes.len() > 1;
        let entrant = |binary: Binary| {
            let mut name = binary.version()?;
            if are_several {
                name = format!("{name}, {}", binary.file_name());
            }
            Ok(Entrant { name, binary })
        };
        let systems = nodes.into_iter().map(entrant);
        let systems: Vec<Entrant> = systems.collect::<anyhow::Result<_>>()?;
        let first = systems.first().context("there is no system to measure")?;
        Ok(Self {
            base: 0,
            base_note: format!("Ratios are those to {}.", first.name),
            systems,
            directory: directory_in(parent, "duplicates-")?,
        })
    }

    /// Adds the node on SQLite. The others are compared to it.
    pub fn add_sqlite(&mut self) -> anyhow::Result<()> {
        let (name, binary) = (Store::Sqlite.name(), Binary::sqlite()?);
        self.base = self.systems.len();
        self.base_note = format!(
            "Ratios are those to {name}, whose node reads and writes the same lines. It stores up \
             to {BATCH}\nevents in a synced transaction, and has a cache of {CACHE_MIB} MiB."
        );
        self.systems.push(Entrant { name, binary });
        Ok(())
    }

    pub(crate) fn count(&self) -> usize {
        self.systems.len()
    }

    /// Returns the system to which the others are compared.
    pub(crate) fn base(&self) -> usize {
        self.base
    }

    pub(crate) fn base_note(&self) -> &str {
        &self.base_note
    }

    pub(crate) fn name(&self, system: usize) -> &str {
        &self.systems[system].name
    }

    /// Returns the names of all systems.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.systems.iter().map(|system| system.name.clone());
        names.collect()
    }

    /// Writes requests 1, 2, 3 … for these events in place of the earlier requests.
    pub(crate) fn write(&self, events: impl Iterator<Item = Event>) -> anyhow::Result<()> {
        let numbered = events.zip(1..);
        let lines = numbered.map(|(event, number)| event.request(number));
        write(&self.requests(), lines).context("writing the requests; is the disk full?")
    }

    /// Runs the process of a system from the requests to the replies.
    pub(crate) fn answer(&self, system: usize) -> anyhow::Result<Answered> {
        let Entrant { name, binary } = &self.systems[system];
        let answered = binary.answer(&self.state(system), &self.requests(), &self.replies());
        answered.with_context(|| format!("running {name}"))
    }

    /// Starts the process of a system on its state, on pipes.
    pub(crate) fn start(&self, system: usize) -> anyhow::Result<Conversation> {
        let Entrant { name, binary } = &self.systems[system];
        let started = Conversation::start(binary, &self.state(system));
        started.with_context(|| format!("starting {name}"))
    }

    /// Returns the path of the socket on which a running system listens.
    pub(crate) fn control_socket(&self, system: usize) -> PathBuf {
        self.state(system).join("control.sock")
    }

    /// Returns the lines of the replies.
    pub(crate) fn lines(&self) -> anyhow::Result<impl Iterator<Item = io::Result<String>>> {
        let replies = File::open(self.replies()).context("opening the replies")?;
        Ok(BufReader::with_capacity(BUFFER_BYTES, replies).lines())
    }

    pub(crate) fn remove_requests(&self) -> anyhow::Result<()> {
        fs::remove_file(self.requests()).context("removing the requests")
    }

    /// Removes the replies, so that they are not written to the disk while the next system runs.
    pub(crate) fn remove_replies(&self) -> anyhow::Result<()> {
        fs::remove_file(self.replies()).context("removing the replies")
    }

    pub(crate) fn remove_state(&self, system: usize) -> anyhow::Result<()> {
        fs::remove_dir_all(self.state(system)).context("removing a state")
    }

    fn requests(&self) -> PathBuf {
        self.directory.path().join("requests.jsonl")
    }

    fn replies(&self) -> PathBuf {
        self.directory.path().join("replies.jsonl")
    }

    fn state(&self, system: usize) -> PathBuf {
        self.directory.path().join(format!("state-{system}"))
    }
}
