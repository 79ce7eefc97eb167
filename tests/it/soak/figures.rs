//! The memory and disk that a long run has taken so far, and their bounds.

use crate::kit::{Life, Memory};
use crate::oracle::Request;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The shortest time between two printed lines of figures.
const BETWEEN_LINES: Duration = Duration::from_secs(60);
/// The number of observations in a run, at equal intervals.
const OBSERVATIONS: u32 = 4;

/// The memory that needs no events: code, buffers, 64 MB for recent events, and sled's cache of
/// 64 MB, for which sled takes up to four times as much.
const MEMORY_OF_ANY: u64 = 400 << 20;
/// An id takes up to 39 bytes of memory, and half as much again while its table doubles.
const MEMORY_AN_EVENT: u64 = 100;
/// sled's file grows by segments of 512 KiB. Some of them are always half empty, and every open
/// begins a new one.
const DISK_OF_ANY: u64 = 64 << 20;
/// An event of this test has less than twenty bytes, and its entry in the journal a few more. For a
/// journal that grows by single requests, sled takes up to five times as much.
const DISK_A_LIVE_BYTE: u64 = 10;
/// sled keeps about 13 KB of garbage, as measured, for each of many single commits.
const DISK_A_CONTROL: u64 = 16 << 10;
/// From this much live data on, segments and short histories no longer decide the ratio.
const MUCH_LIVE: u64 = 2 << 20;

/// In a shorter run all lives may end in the same way by chance.
const ENOUGH_FOR_EVERY_END: Duration = Duration::from_secs(600);

/// How the reply to a new event ends.
const ACCEPTED: &str = r#""was_duplicate": false}"#;

pub struct Figures {
    begin: Instant,
    time: Duration,
    pub kills: u64,
    pub clean_ends: u64,
    requests: u64,
    answered: u64,
    accepted: u64,
    /// Answered requests other than events.
    controls: u64,
    /// The bytes that must be kept for ever: id and word of each event answered as accepted, even
    /// if it was dropped later, because the journal keeps it. The bytes of commits and checkpoints
    /// are left out and count as cost.
    live: u64,
    memory: Memory,
    /// The time from a start to the first reply.
    last_start: Duration,
    longest_start: Duration,
    observations: Vec<Observation>,
    last_line: Instant,
}

/// The bytes on disk at one time, and the live ones among them.
#[derive(Clone, Copy)]
struct Observation {
    live: u64,
    disk: u64,
}

impl Observation {
    fn ratio(self) -> f64 {
        self.disk as f64 / self.live.max(1) as f64
    }
}

impl Figures {
    pub fn new(time: Duration) -> Self {
        let begin = Instant::now();
        Self {
            begin,
            time,
            kills: 0,
            clean_ends: 0,
            requests: 0,
            answered: 0,
            accepted: 0,
            controls: 0,
            live: 0,
            memory: Memory::default(),
            last_start: Duration::ZERO,
            longest_start: Duration::ZERO,
            observations: Vec::new(),
            last_line: begin,
        }
    }

    pub fn passed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// True if the time has passed and all observations are made.
    pub fn is_over(&self) -> bool {
        self.observations.len() >= OBSERVATIONS as usize
    }

    pub fn count(&mut self, life: &Life) {
        self.requests += life.sent.len() as u64;
        self.answered += life.replies.len() as u64;
        for (request, reply) in life.sent.iter().zip(&life.replies) {
            match request {
                Request::Process { event_id, word } if reply.ends_with(ACCEPTED) => {
                    self.accepted += 1;
                    self.live += (event_id.len() + word.len()) as u64;
                }
                Request::Process { .. } => {}
                _ => self.controls += 1,
            }
        }
    }

    pub fn started_within(&mut self, time: Duration) {
        self.last_start = time;
        self.longest_start = self.longest_start.max(time);
    }

    /// Keeps the last memory that was seen, and the peak of all processes.
    pub fn see_memory(&mut self, memory: Memory) {
        let peak = self.memory.peak.max(memory.peak);
        self.memory = Memory { peak, ..memory };
    }

    /// True if an observation or a printed line is due.
    pub fn is_due(&self) -> bool {
        self.is_time_to_observe() || self.last_line.elapsed() >= BETWEEN_LINES
    }

    fn is_time_to_observe(&self) -> bool {
        let next = u32::try_from(self.observations.len()).expect("there are few") + 1;
        self.passed() >= self.time * next / OBSERVATIONS
    }

    pub fn observe(&mut self, data_dir: &Path) {
        let database = data_dir.join("db");
        let disk = database.metadata().expect("the node has made it").len();
        let observation = Observation {
            live: self.live,
            disk,
        };
        if self.is_time_to_observe() {
            self.observations.push(observation);
        }
        if self.last_line.elapsed() >= BETWEEN_LINES {
            self.last_line = Instant::now();
            println!("{:.0?}: {self}, now {observation}", self.passed());
        }
    }

    /// Panics unless memory and disk are bounded by the events that were accepted.
    pub fn check(&self) {
        let most = MEMORY_OF_ANY + MEMORY_AN_EVENT * self.accepted;
        assert!(self.memory.peak <= most, "memory over {most}: {self}");
        for Observation { live, disk } in &self.observations {
            let most = DISK_OF_ANY + DISK_A_LIVE_BYTE * live + DISK_A_CONTROL * self.controls;
            assert!(*disk <= most, "disk over {most}: {self}");
        }
        self.check_growth();
        assert!(self.answered > 0 && self.accepted > 0, "{self}");
        let is_long = self.time >= ENOUGH_FOR_EVERY_END;
        let both = self.kills > 0 && self.clean_ends > 0;
        assert!(both || !is_long, "all lives ended in one way: {self}");
    }

    /// Panics if the disk that a live byte takes grows with time.
    fn check_growth(&self) {
        let [.., half, _, end] = self.observations[..] else {
            panic!("fewer than three observations: {self}");
        };
        let grows = end.ratio() > 2.0 * half.ratio();
        assert!(half.live < MUCH_LIVE || !grows, "the ratio grows: {self}");
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { live, disk } = self;
        write!(f, "{disk} for {live} live ({:.1})", self.ratio())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            answered,
            accepted,
            controls,
            kills,
            clean_ends,
            ..
        } = self;
        write!(
            f,
            "{requests} requests, {answered} answered, {accepted} accepted, {controls} no events, \
             {kills} kills, {clean_ends} clean ends; memory: peak {} KiB, last {} KiB; \
             first reply: last after {:.1?}, at most {:.1?}; bytes on disk:",
            self.memory.peak >> 10,
            self.memory.now >> 10,
            self.last_start,
            self.longest_start,
        )?;
        let mut separator = " ";
        for observation in &self.observations {
            write!(f, "{separator}{observation}")?;
            separator = ", ";
        }
        Ok(())
    }
}
