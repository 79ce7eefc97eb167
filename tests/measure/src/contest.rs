//! One job, done by exactly-once and by its peers: which batch suits a peer best, and how fast it
//! then is. All replies are held against those of a plain fold.

mod node;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::disk;
use crate::event::{Decoded, Event};
use crate::node::Binary;
use crate::peer::{Peer, Store};
use crate::quantile::median_by_key;
use crate::reply::{self, Reply};

/// What everyone has to do, and how it is measured.
#[derive(Debug, Clone, Copy)]
pub struct Contest<'a> {
    /// All events in the order in which they come, at least as many as anyone gets.
    pub events: &'a [Event],
    /// The same as texts.
    pub decoded: &'a [Decoded<'a>],
    /// What each of them must be answered.
    pub expected: &'a [Reply],
    /// Where databases are put, each in a directory of its own, removed afterwards.
    pub directory: &'a Path,
    /// The sizes of batches to try, in events.
    pub batches: &'a [usize],
    /// How many events each size is tried with.
    pub trial_events: usize,
    /// How often it is measured.
    pub runs: u32,
    /// How many events exactly-once gets.
    pub node_events: usize,
    /// How many events a peer gets.
    pub peer_events: usize,
    /// A peer takes no further batch when it has worked for so long.
    pub peer_time: Duration,
    /// The cache of a peer.
    pub cache_bytes: u64,
}

/// How a system did.
#[derive(Debug, Clone)]
pub struct Score {
    /// The best size of batches, in events; none if it has no such choice.
    pub batch: Option<usize>,
    /// Every size that was tried.
    pub trials: Vec<Trial>,
    /// Every run with the best size.
    pub runs: Vec<Run>,
}

impl Score {
    /// The run with the median rate.
    ///
    /// # Errors
    ///
    /// If there was none.
    pub fn median(&self) -> anyhow::Result<Run> {
        let run = median_by_key(&self.runs, |run| run.rate);
        run.copied().context("nothing was run; ask for more --runs")
    }

    /// Tells of the last run.
    fn say(&self, name: &str, number: u32) {
        if let Some(Run { events, rate, .. }) = self.runs.last() {
            eprintln!("{name}, run {number}: {events} events, {rate:.0} events/s");
        }
    }
}

/// A size of batches that was tried.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Trial {
    /// Events in a transaction.
    pub batch: usize,
    /// How many events were answered.
    pub events: u64,
    /// Events a second.
    pub rate: f64,
}

/// Events that were answered, from before the database was opened until it was closed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Run {
    /// How many events were answered.
    pub events: u64,
    /// Events a second.
    pub rate: f64,
    /// What the closed database takes of the disk.
    pub disk_bytes: u64,
}

impl Contest<'_> {
    /// Tries all sizes of batches with everyone, then has everyone answer all its events with the
    /// best of them, in rounds: whatever slows the machine down for a while slows down all. Returns
    /// how exactly-once did, and each of the stores.
    ///
    /// # Errors
    ///
    /// If the node or a store fails, or has answered or counted wrong.
    pub fn measure(
        &self,
        binary: &Binary,
        stores: &[Store],
    ) -> anyhow::Result<(Score, Vec<(Store, Score)>)> {
        let mut node = self.try_node(binary)?;
        let peers = stores
            .iter()
            .map(|&store| Ok((store, self.try_peer(store)?)));
        let mut peers = peers.collect::<anyhow::Result<Vec<_>>>()?;
        let requests = self.write_requests()?;
        for number in 1..=self.runs {
            node.runs.push(self.run_node(binary, &requests)?);
            node.say("exactly-once", number);
            for (store, score) in &mut peers {
                let batch = score.batch.context("a peer has a best size of batches")?;
                score.runs.push(self.run(*store, self.peer_events, batch)?);
                score.say(&store.name(), number);
            }
        }
        Ok((node, peers))
    }

    /// How a peer does with each size of batches.
    fn try_peer(&self, store: Store) -> anyhow::Result<Score> {
        let trials = self.trials(store)?;
        let best = trials
            .iter()
            .max_by(|one, other| one.rate.total_cmp(&other.rate))
            .context("no size of batches to try; name some with --batches")?;
        Ok(Score {
            batch: Some(best.batch),
            runs: Vec::new(),
            trials,
        })
    }

    fn trials(&self, store: Store) -> anyhow::Result<Vec<Trial>> {
        let mut trials = Vec::new();
        for &batch in self.batches {
            let Run { events, rate, .. } = self.run(store, self.trial_events, batch)?;
            eprintln!("{store:?}, batches of {batch}: {events} events, {rate:.0} events/s");
            trials.push(Trial {
                batch,
                events,
                rate,
            });
        }
        Ok(trials)
    }

    /// Has a peer with a new database answer that many events, or as many as it can in its time,
    /// which is looked at after each batch. All replies are checked, and whether the counts are
    /// there when the database is opened again.
    fn run(&self, store: Store, events: usize, batch: usize) -> anyhow::Result<Run> {
        let directory = tempfile::tempdir_in(self.directory).context("making a directory")?;
        let events = &self.decoded[..events.min(self.decoded.len())];
        let mut replies = Vec::with_capacity(events.len());
        let started = Instant::now();
        let mut peer = store.open(directory.path(), self.cache_bytes)?;
        let done = self.answer(peer.as_mut(), events, batch, &mut replies)?;
        drop(peer);
        let seconds = started.elapsed().as_secs_f64();
        let disk_bytes = disk::allocated_bytes(directory.path())?;
        let expected = &self.expected[..done];
        reply::check(&store.name(), &replies, expected)?;
        let total = store.open(directory.path(), self.cache_bytes)?.total()?;
        let counted = reply::counted(expected);
        ensure!(
            total == counted,
            "{store:?} had counts of {total} events when it was opened again, not {counted}; its \
             figures are worth nothing until that is mended"
        );
        Ok(Run {
            events: done as u64,
            rate: done as f64 / seconds,
            disk_bytes,
        })
    }

    /// Tells how many events were given to the peer.
    fn answer(
        &self,
        peer: &mut dyn Peer,
        events: &[Decoded<'_>],
        batch: usize,
        replies: &mut Vec<Reply>,
    ) -> anyhow::Result<usize> {
        let (started, mut done) = (Instant::now(), 0);
        for batch in events.chunks(batch.max(1)) {
            peer.apply(batch, replies)?;
            done += batch.len();
            if started.elapsed() >= self.peer_time {
                break;
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Mixture, words};

    fn with_contest(
        test: impl FnOnce(Contest<'_>) -> anyhow::Result<()>,
        peer_time: Duration,
    ) -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let words = words(10);
        let events: Vec<Event> = Mixture::new(0.2, 10).take(2000).collect();
        let decoded: Vec<_> = events.iter().map(|event| event.decoded(&words)).collect();
        test(Contest {
            events: &events,
            decoded: &decoded,
            expected: &reply::fold(&decoded),
            directory: directory.path(),
            batches: &[100, 1000],
            trial_events: 1000,
            runs: 2,
            node_events: 2000,
            peer_events: 1990,
            peer_time,
            cache_bytes: 16 << 20,
        })
    }

    #[test]
    fn the_best_of_two_batches_answers_all_events() -> anyhow::Result<()> {
        let test = |contest: Contest<'_>| {
            let score = contest.try_peer(Store::Redb)?;
            let batch = score.batch.context("one is best")?;
            assert!([100, 1000].contains(&batch));
            assert!(score.trials.iter().all(|trial| trial.events == 1000));
            let run = contest.run(Store::Redb, contest.peer_events, batch)?;
            assert_eq!(run.events, 1990);
            assert!(run.disk_bytes > 0);
            Ok(())
        };
        with_contest(test, Duration::from_secs(60))
    }

    #[test]
    fn a_peer_stops_after_the_batch_in_which_its_time_is_over() -> anyhow::Result<()> {
        let test = |contest: Contest<'_>| {
            let run = contest.run(Store::Redb, 2000, 300)?;
            assert_eq!(run.events, 300);
            assert!(run.rate > 0.0);
            Ok(())
        };
        with_contest(test, Duration::ZERO)
    }

    #[test]
    fn a_wrong_reply_is_an_error() -> anyhow::Result<()> {
        let test = |contest: Contest<'_>| {
            let mut expected = contest.expected.to_vec();
            expected[1999].count += 1;
            let contest = Contest {
                expected: &expected,
                ..contest
            };
            assert!(contest.run(Store::Redb, 1999, 300).is_ok());
            assert!(contest.run(Store::Redb, 2000, 300).is_err());
            Ok(())
        };
        with_contest(test, Duration::from_secs(60))
    }
}
