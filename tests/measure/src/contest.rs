//! One job, done by exactly-once and by its peers. It finds the best batch size of a peer, and its
//! rate with that. All replies are compared with those of a plain fold.

use std::cmp::Ordering;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use tempfile::TempDir;

use crate::conversation::Conversation;
use crate::harness::latency::{BareFile, Percentiles};
use crate::harness::workload::{Event, numbers, write};
use crate::harness::{bytes, rank};
use crate::node::Binary;
use crate::peer::Store;
use crate::reply::{self, Reply};
use crate::{WORDS, directory_in};

/// The share of events that repeat an earlier one.
const DUPLICATES: f64 = 0.02;

/// The batch sizes that are tried, in events.
pub(crate) const BATCHES: [usize; 4] = [100, 1_000, 10_000, 100_000];

const BARE_WRITES: u64 = 1_000;

/// The cache of each peer for its pages or blocks.
const CACHE_MIB: u64 = 256;

/// The amount of work.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// Events for exactly-once
    #[arg(long, default_value_t = 5_000_000)]
    events: usize,
    /// Events for each other store: the first of the same events
    #[arg(long, default_value_t = 5_000_000)]
    peer_events: usize,
    /// Stop another store after the batch in which this much time has passed; its rate is that of
    /// the events it answered
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    peer_seconds: u64,
    /// Events for the trial of each batch size
    #[arg(long, value_name = "EVENTS", default_value_t = 300_000)]
    trial_events: usize,
    /// Rounds, in each of which every system is measured; the run with the median rate counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

impl Plan {
    /// Describes the job in two lines.
    #[must_use]
    pub fn job(&self) -> String {
        let duplicates = DUPLICATES * 100.0;
        format!(
            "{} events for exactly-once; for the others {} or {} s of them, whichever is less, and \
             a cache of {CACHE_MIB} MiB\nids of 36 bytes, {duplicates} % duplicates, {WORDS} \
             words; the median of {} rounds; {} events for each size of batches that was tried",
            self.events, self.peer_events, self.peer_seconds, self.runs, self.trial_events,
        )
    }
}

/// A participant.
#[derive(Debug, Clone)]
pub enum System {
    /// exactly-once.
    Node(Binary),
    /// Another store.
    Peer(Store),
}

/// The results of a system.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// Its name and version.
    pub system: String,
    /// A run with fewer events for each batch size.
    pub trials: Vec<Run>,
    /// Every run with all events and the best batch size, the slowest first.
    pub runs: Vec<Run>,
}

impl Standing {
    /// Returns the run with the median rate. There must be at least one run.
    pub fn median(&self) -> Run {
        self.runs[rank(self.runs.len(), 0.5)]
    }
}

/// A measured run, from before the database was opened until it was closed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Run {
    /// Events in a batch; `None` if the node groups them itself.
    pub batch: Option<usize>,
    /// Number of events that were answered.
    pub events: usize,
    /// Events a second.
    pub rate: f64,
    /// Bytes that the closed database occupies on the disk.
    pub disk_bytes: u64,
}

impl Run {
    fn new(
        batch: Option<usize>,
        events: usize,
        elapsed: Duration,
        state: &Path,
    ) -> anyhow::Result<Self> {
        // A file with unwritten parts occupies less than its size. The unit of `blocks` is always
        // 512 bytes.
        let disk_bytes = bytes(state, |file: &Metadata| file.blocks() * 512)?;
        let rate = events as f64 / elapsed.as_secs_f64();
        eprintln!("  {events} events, {rate:.0} events/s");
        Ok(Self {
            batch,
            events,
            rate,
            disk_bytes,
        })
    }
}

fn by_rate(one: &Run, other: &Run) -> Ordering {
    one.rate.total_cmp(&other.rate)
}

/// The events, and the reply that each must get.
pub struct Contest {
    plan: Plan,
    events: Vec<Event>,
    expected: Vec<Reply>,
    /// The place of databases, requests and replies.
    directory: TempDir,
}

impl Contest {
    /// Makes the events, and a directory in `parent`.
    pub fn new(plan: Plan, parent: &Path) -> anyhow::Result<Self> {
        let most = plan.events.max(plan.peer_events).max(plan.trial_events);
        let numbers = numbers(DUPLICATES).take(most);
        let events: Vec<_> = numbers.map(|number| Event::new(number, WORDS)).collect();
        Ok(Self {
            plan,
            expected: reply::fold(&events),
            events,
            directory: directory_in(parent, "peers-")?,
        })
    }

    /// Measures bare writes of 4 KiB with fdatasync. Returns the median in microseconds.
    pub fn bare_p50_us(&self) -> anyhow::Result<f64> {
        let file = BareFile::new(&self.directory.path().join("bare"), BARE_WRITES)?;
        let writes = (0..BARE_WRITES).map(|place| file.write(place));
        let writes = Percentiles::of(writes.collect::<io::Result<_>>()?);
        Ok(writes.context("nothing was written")?.p50_us)
    }

    /// Tries all batch sizes with each system, then measures each with all its events and its best
    /// size. This is done in rounds, so that a slow phase of the machine affects all systems.
    pub fn measure(&self, systems: &[System]) -> anyhow::Result<Vec<Standing>> {
        let lines = self.lines(self.plan.events);
        write(&self.requests(), lines).context("writing the requests")?;
        let standings = systems.iter().map(|system| self.try_batches(system));
        let mut standings = standings.collect::<anyhow::Result<Vec<_>>>()?;
        for number in 1..=self.plan.runs {
            for (system, standing) in systems.iter().zip(&mut standings) {
                eprintln!("{}, run {number}", standing.system);
                standing.runs.push(match system {
                    System::Node(binary) => self.run_node(binary)?,
                    System::Peer(store) => {
                        let best = standing.trials.iter().max_by(|one, two| by_rate(one, two));
                        let batch = best.and_then(|best| best.batch).unwrap_or(1);
                        self.run_peer(*store, self.plan.peer_events, batch)?
                    }
                });
                standing.runs.sort_by(by_rate);
            }
        }
        Ok(standings)
    }

    fn requests(&self) -> PathBuf {
        self.directory.path().join("requests.jsonl")
    }

    /// Returns requests for the first events.
    fn lines(&self, count: usize) -> impl Iterator<Item = String> {
        let numbered = self.events[..count].iter().zip(1..);
        numbered.map(|(event, msg_id)| event.request(msg_id))
    }

    /// Measures a system with each batch size.
    fn try_batches(&self, system: &System) -> anyhow::Result<Standing> {
        let name = match system {
            System::Node(binary) => binary.version()?,
            System::Peer(store) => store.name(),
        };
        let (mut trials, runs) = (Vec::new(), Vec::new());
        for batch in BATCHES {
            eprintln!("{name}, batches of {batch}");
            trials.push(match system {
                System::Node(binary) => self.try_node(binary, batch)?,
                System::Peer(store) => self.run_peer(*store, self.plan.trial_events, batch)?,
            });
        }
        Ok(Standing {
            system: name,
            trials,
            runs,
        })
    }

    /// Sends a batch of requests on a pipe and waits for all their replies before it sends more.
    /// The node decides how to group them into transactions.
    fn try_node(&self, binary: &Binary, batch: usize) -> anyhow::Result<Run> {
        let directory = directory_in(self.directory.path(), "state-")?;
        let count = self.plan.trial_events;
        let requests: Vec<_> = self.lines(count).collect();
        let mut replies = String::new();
        let started = Instant::now();
        let mut node = Conversation::start(binary, directory.path())?;
        for batch in requests.chunks(batch) {
            replies += &node.stream(batch)?;
        }
        node.close()?;
        let run = Run::new(Some(batch), count, started.elapsed(), directory.path())?;
        self.check_node(replies.lines().map(str::to_owned), count)?;
        Ok(run)
    }

    /// Runs exactly-once with all its events from a file to a file.
    fn run_node(&self, binary: &Binary) -> anyhow::Result<Run> {
        let directory = directory_in(self.directory.path(), "state-")?;
        let [output, state] = ["replies.jsonl", "state"].map(|name| directory.path().join(name));
        let elapsed = binary.answer(&state, &self.requests(), &output)?.elapsed;
        let run = Run::new(None, self.plan.events, elapsed, &state)?;
        let replies = BufReader::new(File::open(&output).context("opening the replies")?);
        self.check_node(replies.lines().map_while(Result::ok), run.events)?;
        Ok(run)
    }

    fn check_node(&self, lines: impl Iterator<Item = String>, count: usize) -> anyhow::Result<()> {
        let expected = reply::lines(&self.events[..count], &self.expected);
        reply::check("exactly-once", lines, expected)
    }

    /// Runs a peer with a new database and this many events, or as many as it can answer in its
    /// time, which is checked after each batch. Checks all replies, and that the counts are there
    /// when the database is opened again.
    fn run_peer(&self, store: Store, events: usize, batch: usize) -> anyhow::Result<Run> {
        let directory = directory_in(self.directory.path(), "state-")?;
        let mut replies = Vec::with_capacity(events);
        let open = || store.open(directory.path(), CACHE_MIB << 20);
        let started = Instant::now();
        let (mut peer, mut done) = (open()?, 0);
        for batch in self.events[..events].chunks(batch) {
            peer.apply(batch, &mut replies)?;
            done += batch.len();
            if started.elapsed() >= Duration::from_secs(self.plan.peer_seconds) {
                break;
            }
        }
        drop(peer);
        let run = Run::new(Some(batch), done, started.elapsed(), directory.path())?;
        reply::check(&store.name(), &replies, &self.expected[..done])?;
        let (total, counted) = (open()?.total()?, reply::counted(&self.expected[..done]));
        ensure!(
            total == counted,
            "{store:?} had counts of {total} events when it was opened again, not {counted}; its \
             figures are worth nothing until that is mended"
        );
        Ok(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contest(peer_seconds: u64) -> anyhow::Result<Contest> {
        let plan = Plan {
            events: 0,
            peer_events: 1990,
            peer_seconds,
            trial_events: 1000,
            runs: 1,
        };
        Contest::new(plan, &std::env::temp_dir())
    }

    #[test]
    fn a_peer_answers_all_its_events_with_the_best_of_all_batches() -> anyhow::Result<()> {
        let standings = contest(60)?.measure(&[System::Peer(Store::Redb)])?;
        let Standing { trials, runs, .. } = standings.first().context("there is one")?;
        assert!(trials.iter().all(|trial| trial.events == 1000));
        assert!(BATCHES.map(Some).contains(&runs[0].batch));
        assert!(runs[0].events == 1990 && runs[0].disk_bytes > 0);
        Ok(())
    }

    #[test]
    fn a_peer_stops_after_the_batch_in_which_its_time_is_over() -> anyhow::Result<()> {
        assert_eq!(contest(0)?.run_peer(Store::Redb, 1990, 300)?.events, 300);
        Ok(())
    }

    #[test]
    fn a_wrong_reply_is_an_error() -> anyhow::Result<()> {
        let mut contest = contest(60)?;
        contest.expected[1900].count += 1;
        assert!(contest.run_peer(Store::Redb, 1900, 300).is_ok());
        assert!(contest.run_peer(Store::Redb, 1901, 300).is_err());
        Ok(())
    }
}
