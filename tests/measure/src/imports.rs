//! `imports`: data in its own form, counted by `import`, and by the shell of SQLite.
//!
//! Every job is a process, from its start to its end, and leaves its counts on the disk.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use uuid::Builder;

use crate::chart::grouped;
use crate::harness::table;
use crate::node::Binary;
use crate::rounds::{in_rounds, median};
use crate::{WORDS, directory_in};

/// What is measured.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// Number of records, each with an id of its own
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Number of rounds; every second one is in reverse order
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

/// What SQLite's shell is told: the settings are those that make each transaction durable.
const SQL: &str = "\
PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-524288;
CREATE TABLE IF NOT EXISTS events(id TEXT PRIMARY KEY, word TEXT);
CREATE TEMP TABLE raw(time TEXT, id TEXT, level TEXT, word TEXT);
.mode csv
.import --skip 1 data.csv raw
INSERT OR IGNORE INTO events SELECT id, word FROM raw;
.output counts.csv
SELECT word, count(*) FROM events GROUP BY word;
";

/// A job: what it reads, and how.
struct Job {
    name: &'static str,
    arguments: &'static [&'static str],
    by: By,
}

/// Who does a job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Sqlite,
    /// `import`, which is the node itself.
    Import,
    /// `import` to a node that runs.
    ImportToNode,
    /// `run`, of requests.
    Run,
}

const JSON: &[&str] = &["data.jsonl", "--id", "/id", "--word", "/word"];
const TABLE: &[&str] = &["data.csv", "--id", "column:id", "--word", "column:word"];
const PATTERN: &str = r"^\S+ (?<id>\S+) \S+ (?<word>\S+)$";

const JOBS: [Job; 9] = [
    Job::new("sqlite3 .import of CSV", By::Sqlite, &[]),
    Job::new("CSV", By::Import, TABLE),
    Job::new("JSON lines", By::Import, JSON),
    Job::new(
        "fields",
        By::Import,
        &["data.log", "--input-format", "fields", "--id", "field:2", "--word", "field:4"],
    ),
    Job::new(
        "pattern",
        By::Import,
        &["data.log", "--regex", PATTERN, "--id", "group:id", "--word", "group:word"],
    ),
    Job::new("CSV, to a running node", By::ImportToNode, TABLE),
    Job::new("JSON lines, to a running node", By::ImportToNode, JSON),
    Job::new("requests in envelopes, by run", By::Run, &["enveloped.jsonl"]),
    Job::new("flat requests, by run", By::Run, &["flat.jsonl"]),
];

impl Job {
    const fn new(name: &'static str, by: By, arguments: &'static [&'static str]) -> Self {
        Self {
            name,
            arguments,
            by,
        }
    }
}

/// Seconds of a job on an empty state, and of the same again, when all has been seen.
struct Times {
    new: f64,
    again: f64,
}

/// Measures all jobs, and returns the table.
pub fn measure(plan: &Plan, binary: &Binary, parent: &Path) -> anyhow::Result<String> {
    let home = directory_in(parent, "imports-")?;
    let bytes = write_data(plan.records, home.path())?;
    let times = in_rounds(JOBS.len(), plan.runs, |job| {
        let job = &JOBS[job];
        eprintln!("{}", job.name);
        run(job, binary, &home, plan.records)
    })?;
    let header = ["job", "new, s", "ratio", "again, s", "ratio"];
    let mut shown = table(header.to_vec());
    let of = |job: &[Times], time: fn(&Times) -> f64| median(job.iter().map(time).collect());
    let ratio = |job: &[Times], time: fn(&Times) -> f64| {
        let pairs = times[0].iter().zip(job);
        median(pairs.map(|(sqlite, job)| time(sqlite) / time(job)).collect())
    };
    for (job, times) in JOBS.iter().zip(&times) {
        let (new, again): (fn(&Times) -> f64, fn(&Times) -> f64) = (|t| t.new, |t| t.again);
        shown.add_row([
            job.name.to_owned(),
            format!("{:.2}", of(times, new)),
            format!("{:.2}", ratio(times, new)),
            format!("{:.2}", of(times, again)),
            format!("{:.2}", ratio(times, again)),
        ]);
    }
    let mut text = String::new();
    writeln!(
        text,
        "{}, {}. {} records of {} MB as CSV; medians of {} rounds.\nRatios are those to SQLite in \
         the same round: how many times as fast.\n\n{shown}",
        binary.version()?,
        sqlite_version()?,
        grouped(plan.records as f64),
        bytes / 1_000_000,
        plan.runs
    )?;
    Ok(text)
}

fn sqlite_version() -> anyhow::Result<String> {
    let output = Command::new("sqlite3").arg("--version").output();
    let output = output.context("running sqlite3; install the package sqlite3")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split(' ').next().unwrap_or_default();
    Ok(format!("SQLite {version}"))
}

/// Writes the same records in each form. Returns the size of the CSV file.
fn write_data(records: u64, home: &Path) -> anyhow::Result<u64> {
    let file = |name: &str| Ok::<_, std::io::Error>(BufWriter::new(File::create(home.join(name))?));
    let mut csv = file("data.csv")?;
    let (mut json, mut log) = (file("data.jsonl")?, file("data.log")?);
    let (mut flat, mut enveloped) = (file("flat.jsonl")?, file("enveloped.jsonl")?);
    writeln!(csv, "time,id,level,word")?;
    let mut random = ChaCha8Rng::seed_from_u64(21);
    for number in 0..records {
        let id = Builder::from_random_bytes(random.random()).into_uuid();
        let word = format!("word{}", random.random_range(0..WORDS));
        let time = format!("2026-11-28T10:{:02}:{:02}Z", number / 60 % 60, number % 60);
        let level = ["info", "warning", "error"][(number % 3) as usize];
        writeln!(csv, "{time},{id},{level},{word}")?;
        writeln!(log, "{time} {id} {level} {word}")?;
        writeln!(
            json,
            r#"{{"time":"{time}","id":"{id}","level":"{level}","word":"{word}"}}"#
        )?;
        let body = format!(
            r#"{{"type":"process","msg_id":{number},"event_id":"{id}","word":"{word}"}}"#
        );
        writeln!(flat, "{body}")?;
        writeln!(enveloped, r#"{{"src":"c1","dest":"n1","body":{body}}}"#)?;
    }
    for mut file in [csv, json, log, flat, enveloped] {
        file.flush()?;
        // What is still being written back would slow the first job.
        file.get_ref().sync_all()?;
    }
    Ok(fs::metadata(home.join("data.csv"))?.len())
}

/// Runs a job on an empty state, and again.
fn run(job: &Job, binary: &Binary, home: &TempDir, records: u64) -> anyhow::Result<Times> {
    let state = home.path().join("state");
    for name in ["state", "events.db", "events.db-wal", "events.db-shm"] {
        let path = home.path().join(name);
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        } else if path.exists() {
            fs::remove_file(path)?;
        }
    }
    let node = match job.by {
        By::ImportToNode => Some(Serving::start(binary, &state)?),
        _ => None,
    };
    let times = Times {
        new: timed(job, binary, home.path(), &state)?,
        again: timed(job, binary, home.path(), &state)?,
    };
    drop(node);
    let counted = match job.by {
        By::Sqlite => counted_by_sqlite(&home.path().join("counts.csv"))?,
        _ => counted(binary, &state)?,
    };
    ensure!(counted == records, "{}: {counted} events", job.name);
    Ok(times)
}

fn timed(job: &Job, binary: &Binary, home: &Path, state: &Path) -> anyhow::Result<f64> {
    let mut command = match job.by {
        By::Sqlite => {
            fs::write(home.join("script.sql"), SQL)?;
            let mut command = Command::new("sqlite3");
            command.arg("events.db").stdin(File::open(home.join("script.sql"))?);
            command
        }
        By::Run => {
            let mut command = binary.command("run", state);
            command.arg("--quiet").stdin(File::open(home.join(job.arguments[0]))?);
            command
        }
        By::Import | By::ImportToNode => {
            let mut command = binary.command("import", state);
            command.args(job.arguments).arg("--quiet").stdin(Stdio::null());
            command
        }
    };
    command.current_dir(home).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status().with_context(|| format!("running {}", job.name))?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(status.success(), "{} ended with {status}", job.name);
    Ok(seconds)
}

/// The number of events that the state has counted.
fn counted(binary: &Binary, state: &Path) -> anyhow::Result<u64> {
    let output = binary.command("stats", state).output()?;
    let stats: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    stats["events"].as_u64().context("stats has no events")
}

fn counted_by_sqlite(counts: &PathBuf) -> anyhow::Result<u64> {
    let mut sum = 0;
    for line in BufReader::new(File::open(counts)?).lines() {
        let line = line?;
        let count = line.rsplit(',').next().unwrap_or_default();
        sum += count.parse::<u64>().with_context(|| line.clone())?;
    }
    Ok(sum)
}

/// A node that runs until this is dropped.
struct Serving(Child);

impl Serving {
    fn start(binary: &Binary, state: &Path) -> anyhow::Result<Self> {
        let mut command = binary.command("serve", state);
        let node = command.stdout(Stdio::null()).spawn().context("starting the node")?;
        let mut ping = binary.command("ping", state);
        let answers = ping.args(["--wait", "10s"]).stdout(Stdio::null()).status()?;
        let node = Self(node);
        ensure!(answers.success(), "the node does not answer");
        Ok(node)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        // It ends by itself if it cannot be told to.
        Command::new("kill").arg(pid).status().map(drop).unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}
