//! Measures one state directory that grows. At each size it measures opens, replays, lone requests,
//! checkpoints, memory and disk.
//!
//! Each phase uses its own process, so that each has its own peak memory. All replies are checked.
//! An event is a number: main events count up from 0, and the other events, which are sent between
//! them, count down from the largest number.

use std::fs::{self, File, Metadata};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::WORDS;
use crate::conversation::Conversation;
use crate::harness::bytes;
use crate::harness::latency::{NEW, Percentiles};
use crate::harness::workload::{Event, write};
use crate::machine::Machine;
use crate::node::Binary;
use crate::reply::expect;

/// Events sent around a SIGKILL: more than pipes and buffers hold, so that the node is still busy.
const SENT: usize = 50_000;

/// Replies before the SIGKILL. Some groups are durable by then.
const ANSWERED: usize = 5_000;

const SAVES: u64 = 200;

/// Number of checkpoints that are kept at a time.
const NAMES: u64 = 4;

/// The amount of work at each size.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// Prepare at most this many events in a file at a time (150 bytes each), and replay as many
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    slice: u64,
    /// Old ids to send again in any order
    #[arg(long, default_value_t = 200_000)]
    random: u64,
    /// Requests to send one at a time
    #[arg(long, default_value_t = 2_000)]
    lone: usize,
    /// Restore to before this many events, or half of the size if that is less
    #[arg(long, default_value_t = 1_000_000, value_name = "EVENTS")]
    restore_back: u64,
}

/// A state directory, and the numbers of events of both kinds that were sent to it.
pub struct Growth {
    binary: Binary,
    /// The place of the state and, one at a time, of the files of requests and replies.
    directory: PathBuf,
    plan: Plan,
    main: u64,
    beside: u64,
}

impl Growth {
    /// Starts with an empty directory.
    #[must_use]
    pub fn new(binary: Binary, directory: &Path, plan: Plan) -> Self {
        Self {
            binary,
            directory: directory.to_owned(),
            plan,
            main: 0,
            beside: 0,
        }
    }

    /// Grows the directory to this many main ids, measures it, and returns one record.
    pub fn measure(&mut self, ids: u64) -> anyhow::Result<Value> {
        let ingest = self.ingest(ids)?;
        let ids_ingested = self.ids();
        let disk_bytes_ingested = self.disk_bytes()?;
        let [after_kill, after_clean_end] = self.openings()?;
        let count = self.plan.slice.min(self.main);
        let replay = self.answer(self.main - count..self.main, true, "replay")?;
        let mut random = ChaCha8Rng::seed_from_u64(self.main);
        let old = (0..self.plan.random).map(|_| random.random_range(0..self.main));
        let random = self.answer(old, true, "random duplicates")?;
        let lone = self.lone()?;
        let checkpoints = self.checkpoints()?;
        let openings = [&after_kill, &after_clean_end];
        let phases = [&ingest, &replay, &random, &lone, &checkpoints];
        let phases = phases.into_iter().chain(openings);
        let peaks = phases.filter_map(|phase| phase["peak_memory_bytes"].as_u64());
        let peak_memory_bytes = peaks.max();
        Ok(json!({
            "ids": ids,
            "ids_ingested": ids_ingested,
            "disk_bytes_ingested": disk_bytes_ingested,
            "bytes_an_id": disk_bytes_ingested as f64 / ids_ingested as f64,
            "ingest": ingest,
            "after_kill": after_kill,
            "after_clean_end": after_clean_end,
            "replay": replay,
            "random": random,
            "lone": lone,
            "checkpoints": checkpoints,
            "ids_at_end": self.ids(),
            "disk_bytes_at_end": self.disk_bytes()?,
            "peak_memory_bytes": peak_memory_bytes,
            "version": self.binary.version()?,
            "machine": Machine::of(&self.directory),
        }))
    }

    /// Sends new events until there are this many main ids. The figures are those of the last
    /// slice, but the peak memory is that of all slices. The first slice takes the remainder, so
    /// that the last one is as large as it can be.
    fn ingest(&mut self, ids: u64) -> anyhow::Result<Value> {
        let (mut peak, slice) = (None, self.plan.slice);
        let mut last = None;
        while self.main < ids {
            let rest = (ids - self.main) % slice;
            let to = self.main + if rest > 0 { rest } else { slice };
            let mut answering = self.answer(self.main..to, false, "ingest")?;
            self.main = to;
            peak = answering["peak_memory_bytes"].as_u64().max(peak);
            answering["peak_memory_bytes"] = json!(peak);
            last = Some(answering);
        }
        last.context("each of the --ids must be larger than the one before")
    }

    /// Runs a node with main events from a file to a file.
    fn answer(
        &self,
        numbers: impl Iterator<Item = u64>,
        are_duplicates: bool,
        phase: &str,
    ) -> anyhow::Result<Value> {
        let [input, output] = ["requests.jsonl", "replies.jsonl"].map(|name| self.path(name));
        let mut count = 0;
        let numbers = numbers.inspect(|_| count += 1).zip(1..);
        let lines = numbers.map(|(number, msg_id)| Event::new(number, WORDS).request(msg_id));
        write(&input, lines).context("writing the requests")?;
        self.say(&format!("{phase} of {count} events"));
        let answered = self.binary.answer(&self.path("state"), &input, &output)?;
        let replies = BufReader::new(File::open(&output).context("opening the replies")?);
        let expected = if are_duplicates { count } else { 0 };
        expect(replies.lines(), count, Some(expected), phase)?;
        for file in [&input, &output] {
            fs::remove_file(file).context("removing requests and replies")?;
        }
        let shares = answered.shares_a_second;
        Ok(json!({
            "events": count,
            // Events a second from the first reply to the last; null if all came at once.
            "rate": shares.map(|shares| shares * count as f64),
            "start_seconds": answered.start.as_secs_f64(),
            "end_seconds": answered.end.as_secs_f64(),
            "peak_memory_bytes": answered.peak_memory_bytes,
        }))
    }

    /// Measures an open after a kill, then after a clean end. All events that were sent to the
    /// killed process are sent again to the next one, so the state has all of them at the end. The
    /// answered ones must be duplicates.
    fn openings(&mut self) -> anyhow::Result<[Value; 2]> {
        self.say("SIGKILL in the middle of work");
        let lines = self.lines_beside(SENT as u64);
        let (replies, peak_of_killed) = self.start()?.kill(&lines, ANSWERED)?;
        let answered = replies.lines().count();
        expect(
            replies.as_bytes().lines(),
            answered,
            Some(0),
            "before the kill",
        )?;
        ensure!(answered < SENT, "all was answered before the kill");
        self.say("first reply after SIGKILL");
        let (mut node, first_reply_seconds) = self.open()?;
        let (had, rest) = lines.split_at(answered);
        stream(
            &mut node,
            had,
            Some(answered),
            "what was answered before a kill",
        )?;
        let survived = stream(&mut node, rest, None, "what was not")?;
        let after_kill = json!({
            "first_reply_seconds": first_reply_seconds,
            "unanswered": rest.len(),
            "survived": survived,
            "peak_memory_bytes": node.close()?.max(peak_of_killed),
        });
        self.say("first reply after a clean end");
        let (node, first_reply_seconds) = self.open()?;
        let after_clean_end = json!({
            "first_reply_seconds": first_reply_seconds,
            "peak_memory_bytes": node.close()?,
        });
        Ok([after_kill, after_clean_end])
    }

    /// Starts a node with one new event. Returns the seconds until its reply.
    fn open(&mut self) -> anyhow::Result<(Conversation, f64)> {
        let mut node = self.start()?;
        self.ask_new(&mut node)?;
        let seconds = node.age().as_secs_f64();
        Ok((node, seconds))
    }

    /// Measures lone requests, and bare writes between them.
    fn lone(&mut self) -> anyhow::Result<Value> {
        self.say(&format!("{} lone requests", self.plan.lone));
        // The time of the open is not part of a request's latency.
        let (mut node, _) = self.open()?;
        let events = self.beside(self.plan.lone as u64);
        let [lone, bare] = node.lone(events.into_iter(), &self.path("bare"))?;
        let bare_p50_us = bare.map(|bare| bare.p50_us);
        let ratio = lone.zip(bare_p50_us).map(|(lone, bare)| lone.p50_us / bare);
        Ok(json!({
            "latency": lone,
            "bare_p50_us": bare_p50_us,
            "ratio": ratio,
            "peak_memory_bytes": node.close()?,
        }))
    }

    /// Measures checkpoints and a restore. A new event before each checkpoint gives it something to
    /// save.
    fn checkpoints(&mut self) -> anyhow::Result<Value> {
        self.say(&format!("{SAVES} checkpoints"));
        let mut node = self.start()?;
        let mut saves = Vec::new();
        for number in 0..SAVES {
            self.ask_new(&mut node)?;
            let save = with_checkpoint("checkpoint", &format!("checkpoint-{}", number % NAMES));
            saves.push(node.ask(&save, "checkpoint_saved")?.1);
        }
        Ok(json!({
            "latency": Percentiles::of(saves),
            "restore": self.restore(&mut node)?,
            "peak_memory_bytes": node.close()?,
        }))
    }

    /// Saves a checkpoint, sends new events, restores the checkpoint, and sends the events again,
    /// which must be new again. The restored counts must add up to the events at the save.
    fn restore(&mut self, node: &mut Conversation) -> anyhow::Result<Value> {
        let (count, before) = (self.plan.restore_back.min(self.main / 2), self.ids());
        self.say(&format!("restore to before {count} events"));
        node.ask(&with_checkpoint("checkpoint", "back"), "checkpoint_saved")?;
        let lines = self.lines_beside(count);
        stream(node, &lines, Some(0), "after a checkpoint")?;
        let (reply, elapsed) = node.ask(&with_checkpoint("restore", "back"), "restored")?;
        let restored: Value = serde_json::from_str(&reply).context("reading all counts")?;
        let counts = restored["counts"].as_object();
        let counts = counts.context("there are no counts")?;
        let total: u64 = counts.values().filter_map(Value::as_u64).sum();
        ensure!(total == before, "of {before} events, {total} are restored");
        stream(node, &lines, Some(0), "after a restore")?;
        Ok(json!({"events_back": count, "seconds": elapsed.as_secs_f64()}))
    }

    fn start(&self) -> anyhow::Result<Conversation> {
        Conversation::start(&self.binary, &self.path("state"))
    }

    /// Sends one new event and waits for its reply.
    fn ask_new(&mut self, node: &mut Conversation) -> anyhow::Result<()> {
        node.ask(&self.lines_beside(1).concat(), NEW).map(drop)
    }

    /// Makes requests for new events that are not main events.
    fn lines_beside(&mut self, count: u64) -> Vec<String> {
        let numbered = self.beside(count).into_iter().zip(1..);
        let lines = numbered.map(|(event, msg_id)| event.request(msg_id));
        lines.collect()
    }

    fn beside(&mut self, count: u64) -> Vec<Event> {
        let numbers = self.beside..self.beside + count;
        self.beside += count;
        numbers.map(|number| Event::new(!number, WORDS)).collect()
    }

    /// Returns the number of ids in the state, if it has every event that was sent.
    fn ids(&self) -> u64 {
        self.main + self.beside
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn disk_bytes(&self) -> anyhow::Result<u64> {
        bytes(&self.path("state"), Metadata::len).context("measuring the state")
    }

    /// Reports progress on standard error.
    fn say(&self, what: &str) {
        eprintln!("{} ids: {what}", self.ids());
    }
}

/// Returns the line of a request of this type that names a checkpoint.
fn with_checkpoint(kind: &str, name: &str) -> String {
    let body = json!({"type": kind, "msg_id": 1, "checkpoint_id": name});
    json!({ "body": body }).to_string() + "\n"
}

/// Sends requests as a stream, and counts the duplicates as [`expect`] does.
fn stream(
    node: &mut Conversation,
    lines: &[String],
    duplicates: Option<usize>,
    phase: &str,
) -> anyhow::Result<usize> {
    let replies = node.stream(lines)?;
    expect(replies.as_bytes().lines(), lines.len(), duplicates, phase)
}
