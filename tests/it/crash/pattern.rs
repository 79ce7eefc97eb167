//! When the kill of a life comes, and what the process is given to do before it.

use crate::kit::{Aim, Beginning, Deed, Moment, Source, checkpoint};
use crate::oracle::Request;
use rand::{Rng, RngExt};
use std::time::Duration;

/// The moment of the kill.
#[derive(Clone, Copy, Debug)]
pub enum Pattern {
    /// At a system call; the process ends well if it makes fewer calls.
    AtCall(Shot),
    /// At any time, from outside.
    AtTime(Timed),
}

/// The moment of a kill from outside, and how many requests may be unanswered before the source
/// waits.
#[derive(Clone, Copy, Debug)]
pub enum Timed {
    /// This long after the start, with this many requests written at once.
    DuringOpen { requests: usize, delay: Duration },
    /// As soon as this many replies have been read.
    AfterReplies { replies: usize, window: usize },
    /// This long after the first reply.
    AfterDelay { delay: Duration, window: usize },
}

/// A kill at a system call, and the requests around it.
#[derive(Clone, Copy, Debug)]
pub struct Shot {
    pub phase: Phase,
    /// The number of the call, counted from the beginning of the phase.
    pub number: u64,
    pub moment: Moment,
    /// The number of requests before the one that begins the phase, and of all.
    pub before: usize,
    pub total: usize,
    pub window: usize,
}

/// What the process does when the kill comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Starting on a directory where no start has got as far as a reply.
    Creation,
    Opening,
    Work,
    /// Work in which a counts snapshot becomes due.
    Snapshot,
    /// Saving a checkpoint over one of the same name.
    Checkpoint,
    Restore,
    Commit,
    Rollback,
    Closing,
}

impl Phase {
    /// All phases, first the one that comes before a directory has a state.
    pub const ALL: [Self; 9] = [
        Self::Creation,
        Self::Opening,
        Self::Work,
        Self::Snapshot,
        Self::Checkpoint,
        Self::Restore,
        Self::Commit,
        Self::Rollback,
        Self::Closing,
    ];

    /// The usual number of calls in the phase, as measured, so that most kills are reached.
    fn calls(self) -> u64 {
        match self {
            Self::Creation => 38,
            Self::Opening => 16,
            Self::Work => 40,
            Self::Snapshot => 30,
            Self::Checkpoint | Self::Restore | Self::Commit | Self::Rollback => 14,
            Self::Closing => 8,
        }
    }
}

impl Pattern {
    /// Draws a kill of a process that has a state to work on: mostly at a call.
    pub fn draw(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..16) {
            0 => Self::AtTime(Timed::during_open(some_at_once(rng), rng)),
            1..3 => Self::AtTime(Timed::busy(rng)),
            _ => {
                let phase = Phase::ALL[rng.random_range(1..Phase::ALL.len())];
                Self::AtCall(Shot::draw(phase, rng))
            }
        }
    }

    /// Draws a kill of a process that only opens, as it gets no requests.
    pub fn bare(phase: Phase, rng: &mut impl Rng) -> Self {
        if rng.random_bool(0.1) {
            return Self::AtTime(Timed::during_open(0, rng));
        }
        Self::AtCall(Shot {
            total: 0,
            ..Shot::draw(phase, rng)
        })
    }

    pub fn is_during_open(self) -> bool {
        match self {
            Self::AtCall(shot) => matches!(shot.phase, Phase::Creation | Phase::Opening),
            Self::AtTime(timed) => matches!(timed, Timed::DuringOpen { .. }),
        }
    }
}

impl Timed {
    /// Draws a time from the start of the process to well after the open of a small state.
    fn during_open(requests: usize, rng: &mut impl Rng) -> Self {
        Self::DuringOpen {
            requests,
            delay: Duration::from_micros(rng.random_range(0..30_000)),
        }
    }

    fn busy(rng: &mut impl Rng) -> Self {
        let window = window(rng);
        if rng.random_bool(0.5) {
            let most = if window < 4 { 20 } else { 300 };
            return Self::AfterReplies {
                replies: rng.random_range(1..most),
                window,
            };
        }
        Self::AfterDelay {
            delay: Duration::from_micros(rng.random_range(0..8_000)),
            window,
        }
    }
}

/// Draws a window for single requests, for small groups, or as large as the pipes hold.
fn window(rng: &mut impl Rng) -> usize {
    match rng.random_range(0..4) {
        0 => rng.random_range(1..4),
        1 => rng.random_range(4..100),
        _ => rng.random_range(100..1500),
    }
}

fn some_at_once(rng: &mut impl Rng) -> usize {
    if rng.random_bool(0.5) {
        rng.random_range(1..50)
    } else {
        0
    }
}

impl Shot {
    /// Draws a kill in this phase, at any of its usual calls.
    pub fn draw(phase: Phase, rng: &mut impl Rng) -> Self {
        let (before, after, window) = match phase {
            Phase::Creation | Phase::Opening => (0, some_at_once(rng), usize::MAX),
            // At least twice as many as make a snapshot due, in small groups.
            Phase::Snapshot => (rng.random_range(40..80), 60, rng.random_range(5..30)),
            Phase::Closing => (rng.random_range(0..60), 0, usize::MAX),
            _ => match window(rng) {
                few @ ..4 => (rng.random_range(1..10), 12, few),
                window => (
                    rng.random_range(1..window.min(200)),
                    window.min(300),
                    window,
                ),
            },
        };
        let moments = [Moment::Before, Moment::Half, Moment::After];
        Self {
            phase,
            number: rng.random_range(1..=phase.calls()),
            moment: moments[rng.random_range(0..moments.len())],
            before,
            total: before + after,
            window,
        }
    }

    pub fn aim(self) -> Aim {
        Aim {
            beginning: match self.phase {
                Phase::Creation | Phase::Opening => Beginning::Start,
                Phase::Closing => Beginning::EndOfInput,
                _ => Beginning::Request(self.before),
            },
            number: self.number,
            deed: Deed::Kill(self.moment),
        }
    }

    /// The request to send after `sent` others.
    pub fn request(self, sent: usize, source: &mut Source) -> Request {
        let overwritten = || checkpoint("c0");
        match self.phase {
            Phase::Checkpoint if sent == 0 || sent == self.before => overwritten(),
            Phase::Restore if sent == self.before => source.restore(),
            Phase::Commit if sent == self.before => Request::Commit,
            Phase::Rollback if sent == self.before => Request::Rollback,
            _ => source.next(),
        }
    }
}
