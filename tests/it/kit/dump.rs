//! Reads `exactly-once dump`, and compares it with an oracle.

use super::process::run_on;
use crate::oracle::{Oracle, Output};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What a dump shows of a state directory that no node has open.
#[derive(Debug, Default)]
pub struct Dump {
    pub counts: BTreeMap<String, u64>,
    /// The released outputs in offset order.
    pub log: Vec<Output>,
    /// The number of outputs of each commit, without commits that released none.
    pub commit_sizes: Vec<usize>,
    /// The offsets of released outputs without a commit.
    pub without_commit: Vec<usize>,
    pub pending: Vec<Output>,
    /// For each checkpoint, the numbers of its events and of its pending outputs.
    pub checkpoints: BTreeMap<String, (usize, usize)>,
    last_commit: Option<u64>,
}

/// A line of a dump. Other members and other types of lines are ignored.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Output(OutputLine),
    Count {
        word: String,
        count: u64,
    },
    Checkpoint {
        name: String,
        events: usize,
        pending: usize,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct OutputLine {
    status: Status,
    offset: Option<usize>,
    commit: Option<u64>,
    event_id: String,
    word: String,
    count: u64,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Status {
    Released,
    Pending,
}

/// The lines of `exactly-once dump` on `dir`, of one section or of all.
pub fn lines(dir: &Path, only: Option<&str>) -> Result<Vec<String>, String> {
    let arguments: Vec<&str> = only.iter().flat_map(|kind| ["--only", *kind]).collect();
    let finished = run_on("dump", dir, &arguments);
    if !finished.status.success() {
        return Err(format!("dump failed: {finished:?}"));
    }
    let lines = finished.complete_lines();
    if lines.len() == finished.stdout.split_terminator('\n').count() {
        return Ok(lines);
    }
    Err("dump ended in a partial line".to_owned())
}

impl Dump {
    /// Dumps `dir` as `read` does, and panics with the error.
    #[track_caller]
    pub fn of(dir: &Path) -> Self {
        Self::read(dir).unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// Dumps `dir`, and checks what holds for every dump of any state.
    pub fn read(dir: &Path) -> Result<Self, String> {
        let mut dump = Self::default();
        for line in lines(dir, None)? {
            let parsed = serde_json::from_str(&line).map_err(|e| format!("{e}: {line}"))?;
            dump.take(parsed)
                .map_err(|reason| format!("{reason}: {line}"))?;
        }
        Ok(dump)
    }

    fn take(&mut self, line: Line) -> Result<(), &'static str> {
        match line {
            Line::Output(output) => self.take_output(output),
            Line::Count { word, count } => {
                let is_after = self
                    .counts
                    .last_key_value()
                    .is_none_or(|(last, _)| *last < word);
                self.counts.insert(word, count);
                if is_after {
                    Ok(())
                } else {
                    Err("the words are not in byte order")
                }
            }
            Line::Checkpoint {
                name,
                events,
                pending,
            } => match self.checkpoints.insert(name, (events, pending)) {
                None => Ok(()),
                Some(_) => Err("the checkpoint is there twice"),
            },
            Line::Other => Ok(()),
        }
    }

    fn take_output(&mut self, line: OutputLine) -> Result<(), &'static str> {
        let OutputLine {
            status,
            offset,
            commit,
            event_id,
            word,
            count,
        } = line;
        let output = Output {
            event_id,
            word,
            count,
        };
        if status == Status::Pending {
            self.pending.push(output);
            return if offset.is_none() {
                Ok(())
            } else {
                Err("a pending output has no offset")
            };
        }
        if !self.pending.is_empty() {
            return Err("released outputs come before pending ones");
        }
        if offset != Some(self.log.len()) {
            return Err("offsets run from 0 without a gap");
        }
        let offset = self.log.len();
        self.log.push(output);
        match commit {
            Some(commit) => self.take_commit(commit),
            None => {
                self.without_commit.push(offset);
                Ok(())
            }
        }
    }

    fn take_commit(&mut self, commit: u64) -> Result<(), &'static str> {
        let former = self.last_commit.replace(commit);
        match self.commit_sizes.last_mut() {
            Some(size) if former == Some(commit) => *size += 1,
            _ => self.commit_sizes.push(1),
        }
        let grows = former.is_none_or(|former| former <= commit);
        if grows {
            Ok(())
        } else {
            Err("commit numbers never fall")
        }
    }

    /// True if `compare` would find no difference. The cheap comparisons come first, because a
    /// crash test calls this for thousands of oracles.
    pub fn matches(&self, oracle: &Oracle) -> bool {
        self.log.len() == oracle.log().len()
            && self.pending.len() == oracle.pending().len()
            && self.counts == *oracle.counts()
            && self.compare(oracle).is_ok()
    }

    /// Fails if this dump differs from the oracle; the error says where.
    pub fn compare(&self, oracle: &Oracle) -> Result<(), String> {
        same("released outputs", &self.log.len(), &oracle.log().len())?;
        same(
            "pending outputs",
            &self.pending.len(),
            &oracle.pending().len(),
        )?;
        same("counts", &self.counts, oracle.counts())?;
        same("pending", &*self.pending, oracle.pending())?;
        same(
            "sizes of commits",
            &*self.commit_sizes,
            oracle.commit_sizes(),
        )?;
        same(
            "outputs without a commit",
            &*self.without_commit,
            oracle.autocommit_offsets(),
        )?;
        self.compare_checkpoints(oracle)?;
        same("log", &*self.log, oracle.log())
    }

    /// A dump may not know yet that an output pending in a checkpoint was released on another path.
    /// A restore finds that out, so both figures are right until then.
    fn compare_checkpoints(&self, oracle: &Oracle) -> Result<(), String> {
        let mut names = 0;
        for expected in oracle.checkpoints() {
            names += 1;
            let (events, pending) = self
                .checkpoints
                .get(&expected.name)
                .copied()
                .unwrap_or_default();
            let range = expected.pending_unreleased..=expected.pending_saved;
            let is_there = self.checkpoints.contains_key(&expected.name);
            if !is_there || events != expected.events || !range.contains(&pending) {
                let found = self.checkpoints.get(&expected.name);
                return Err(format!(
                    "checkpoints: expected {expected:?}, found {found:?}"
                ));
            }
        }
        same("checkpoints", &self.checkpoints.len(), &names)
    }
}

/// Fails if two values differ; the error shows both.
pub fn same<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: expected {expected:?}, found {found:?}"))
}

/// Dumps `dir` and compares all of it with the oracle.
pub fn check(dir: &Path, oracle: &Oracle) -> Result<(), String> {
    Dump::read(dir)?.compare(oracle)
}

/// Panics unless a dump of `dir` shows the state of the oracle.
#[track_caller]
pub fn assert_is(dir: &Path, oracle: &Oracle) {
    check(dir, oracle).unwrap_or_else(|reason| panic!("{reason}"));
}
