//! The search for an order in which the requests of many clients took effect.
//!
//! Replies do not show the order of the requests of different clients. So the search looks for an
//! order that explains everything that was seen:
//!
//! - The requests of each client keep their order.
//! - A request that was answered before another one was sent comes before it.
//! - Each reply is the oracle's at that place.
//! - Events, commits, restores and rollbacks come in the order of the dump.
//! - The state after all of them is the one that the dump shows.
//!
//! Of a client's unanswered requests, a first part of any length may have taken effect.
//!
//! The search is exact. It adds one request at a time and never visits a place twice. It takes at
//! once a request that changes nothing and whose reply is right: any order that explains the rest
//! still does with this request in front.

use super::client_life::Sent;
use super::full_dump::{Point, Shown};
use super::queries::{Asked, Due};
use crate::oracle::Request;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The searches of this test need about 20 places; one in a thousand needs a few thousand, and one
/// in several thousand more than 40,000. Each place takes about a millisecond.
const MAX_PLACES: usize = 300_000;

/// An order that explains everything that was seen.
#[derive(Debug)]
pub struct Witness {
    /// Each request as its sequence and its place there. A request that is not here took no effect.
    pub order: Vec<(usize, usize)>,
    pub end: Point,
    /// The number of places that the search visited.
    pub places: usize,
}

/// Finds an order that leads from a point to the end of the dump's history.
pub fn find(start: &Point, sequences: &[Vec<Sent>], shown: &Shown) -> Result<Witness, String> {
    let start = Place {
        taken: vec![0; sequences.len()],
        point: start.clone(),
    };
    let of_interest = |sequence: &Vec<Sent>| -> Vec<usize> {
        let numbers = 0..sequence.len();
        let is_of_interest = |number: &usize| {
            let sent = &sequence[*number];
            sent.answer.is_some() || may_change_something(&sent.asked, &start.point, shown)
        };
        numbers.filter(is_of_interest).collect()
    };
    let mut search = Search {
        sequences,
        numbers: sequences.iter().map(of_interest).collect(),
        shown,
        seen: HashSet::new(),
        order: Vec::new(),
        farthest: (Vec::new(), start.clone()),
    };
    let why = match search.from(start) {
        Ok(Some(end)) => {
            return Ok(Witness {
                order: search.order,
                end,
                places: search.seen.len(),
            });
        }
        Ok(None) => "no total order explains what was seen",
        Err(TooMany) => {
            "too many places were tried to tell whether an order explains what was seen"
        }
    };
    Err(format!("{why}\n{}", search.report()))
}

/// True if a request may have changed something after a point; an event must have been accepted.
fn may_change_something(asked: &Asked, start: &Point, shown: &Shown) -> bool {
    let Asked::Request(Request::Process { event_id, word }) = asked else {
        return true;
    };
    let mut accepted = shown.journal.iter().skip(start.accepted);
    accepted.any(|event| event.event_id == *event_id && event.word == *word)
}

/// The search was given up after [`MAX_PLACES`] places.
#[derive(Debug)]
struct TooMany;

/// A place of the search: how many requests are taken of each sequence, and where that led.
#[derive(Clone, Debug)]
struct Place {
    taken: Vec<usize>,
    point: Point,
}

impl Place {
    /// A hash of the place, which hardly any other place shares.
    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.taken.hash(&mut hasher);
        format!("{:?}", self.point).hash(&mut hasher);
        hasher.finish()
    }
}

struct Search<'a> {
    sequences: &'a [Vec<Sent>],
    /// For each sequence, the places of requests with a reply or a possible effect.
    numbers: Vec<Vec<usize>>,
    shown: &'a Shown,
    seen: HashSet<u64>,
    order: Vec<(usize, usize)>,
    /// The longest order so far, and the place where it led.
    farthest: (Vec<(usize, usize)>, Place),
}

impl Search<'_> {
    /// Searches on from a place. Returns the end if `order` leads there.
    fn from(&mut self, mut place: Place) -> Result<Option<Point>, TooMany> {
        let begin = self.order.len();
        while let Some(next) = self.take_one_that_changes_nothing(&place) {
            place = next;
        }
        if self.order.len() > self.farthest.0.len() {
            self.farthest = (self.order.clone(), place.clone());
        }
        if self.is_end(&place) {
            return Ok(Some(place.point));
        }
        if self.seen.insert(place.key()) {
            if self.seen.len() > MAX_PLACES {
                return Err(TooMany);
            }
            for sequence in self.heads(&place) {
                let Some((number, next, _)) = self.take(&place, sequence) else {
                    continue;
                };
                self.order.push((sequence, number));
                if let Some(end) = self.from(next)? {
                    return Ok(Some(end));
                }
                self.order.pop();
            }
        }
        self.order.truncate(begin);
        Ok(None)
    }

    /// The next request of a sequence, and its place there.
    fn head(&self, place: &Place, sequence: usize) -> Option<(usize, &Sent)> {
        let number = *self.numbers[sequence].get(place.taken[sequence])?;
        Some((number, &self.sequences[sequence][number]))
    }

    /// Sequences whose next request may be the next of all, ordered by reply, those without one
    /// last.
    fn heads(&self, place: &Place) -> Vec<usize> {
        let heads = (0..self.sequences.len())
            .filter_map(|sequence| Some((sequence, self.head(place, sequence)?.1)));
        let heads: Vec<(usize, &Sent)> = heads.collect();
        let first_answer = heads
            .iter()
            .filter_map(|(_, sent)| sent.answered_at())
            .min();
        let free = heads
            .iter()
            .filter(|(_, sent)| first_answer.is_none_or(|first| sent.at <= first));
        let mut free: Vec<_> = free
            .map(|(sequence, sent)| (sent.answer.is_none(), sent.answered_at(), *sequence))
            .collect();
        free.sort_unstable();
        free.into_iter().map(|(_, _, sequence)| sequence).collect()
    }

    /// Takes the next request of a sequence if everything that was seen allows it.
    fn take(&self, place: &Place, sequence: usize) -> Option<(usize, Place, Due)> {
        let (number, sent) = self.head(place, sequence)?;
        if self.is_out_of_turn(&sent.asked, &place.point) {
            return None;
        }
        let mut next = place.clone();
        next.taken[sequence] += 1;
        let due = sent.asked.apply(&mut next.point.oracle);
        let is_possible = match &sent.answer {
            Some(answer) => due.check(&answer.lines, number as u64).is_ok(),
            // If the last request of a sequence changes nothing, no later one needs it.
            None => {
                let is_last = next.taken[sequence] == self.numbers[sequence].len();
                !(is_last && due.changes_nothing())
            }
        };
        let is_possible =
            is_possible && self.shown.goes_on_with(&sent.asked, &due, &mut next.point);
        is_possible.then_some((number, next, due))
    }

    /// True if this event would be accepted, but another one was next. The oracle need not apply
    /// it.
    fn is_out_of_turn(&self, asked: &Asked, point: &Point) -> bool {
        let Asked::Request(Request::Process { event_id, word }) = asked else {
            return false;
        };
        point.oracle.word_of(event_id).is_none()
            && !self.shown.has_next(point, event_id, word, None)
    }

    fn take_one_that_changes_nothing(&mut self, place: &Place) -> Option<Place> {
        for sequence in self.heads(place) {
            let (_, sent) = self.head(place, sequence)?;
            if sent.answer.is_none() {
                continue;
            }
            let taken = self.take(place, sequence);
            if let Some((number, next, _)) = taken.filter(|(_, _, due)| due.changes_nothing()) {
                self.order.push((sequence, number));
                return Some(next);
            }
        }
        None
    }

    fn is_end(&self, place: &Place) -> bool {
        let mut sequences = 0..self.sequences.len();
        let is_answered = sequences.all(|sequence| {
            let head = self.head(place, sequence);
            head.is_none_or(|(_, sent)| sent.answer.is_none())
        });
        is_answered && self.shown.ends_at(&place.point)
    }

    /// Everything that a person needs to find the cause of a failure.
    fn report(&self) -> String {
        let mut report = String::new();
        for (sequence, all) in self.sequences.iter().enumerate() {
            for (number, sent) in all.iter().enumerate() {
                let lines = sent
                    .answer
                    .as_ref()
                    .map(|answer| answer.lines.join("\n    "));
                let lines = lines.unwrap_or_else(|| "no answer".to_owned());
                let asked = &sent.asked;
                writeln!(report, "  {:?} {asked:?}\n    {lines}", (sequence, number))
                    .expect("a write to a string cannot fail");
            }
        }
        let (order, place) = &self.farthest;
        let Point {
            oracle,
            accepted,
            moves,
        } = &place.point;
        let difference = self.shown.compare(oracle).err();
        let difference = difference.unwrap_or_else(|| "none".to_owned());
        let next = self.shown.journal.get(*accepted);
        let moved = self.shown.moves.get(*moves);
        write!(
            report,
            "{} places tried; the longest order that fits is\n  {order:?}\nafter it the oracle has \
             {oracle:?}\nthe next event should be {next:?}, the next switch {moved:?}; the first \
             difference from what the directory holds is {difference}",
            self.seen.len(),
        )
        .expect("a write to a string cannot fail");
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::client_life::Answer;
    use crate::kit::{accepted, duplicate, event};
    use crate::oracle::Output;
    use std::time::{Duration, Instant};

    /// Makes requests and replies with times in seconds since a start.
    struct Clock(Instant);

    impl Clock {
        fn at(&self, second: u64) -> Instant {
            self.0 + Duration::from_secs(second)
        }

        /// An event with the word `w`, and its reply.
        fn sent(&self, event_id: &str, second: u64, reply: Option<(u64, String)>) -> Sent {
            let answer = reply.map(|(second, line)| Answer {
                lines: vec![line],
                at: self.at(second),
            });
            Sent {
                asked: Asked::Request(event(event_id, "w")),
                at: self.at(second),
                answer,
            }
        }
    }

    /// The dump of a directory that has accepted these events, all with the word `w`.
    fn shown(ids: &[&str]) -> Shown {
        let mut shown = Shown::default();
        for (id, count) in ids.iter().zip(1..) {
            shown.journal.push(Output {
                event_id: (*id).to_owned(),
                word: "w".to_owned(),
                count,
            });
            shown.events.insert((*id).to_owned(), "w".to_owned());
            shown.dump.counts.insert("w".to_owned(), count);
        }
        shown.dump.pending.clone_from(&shown.journal);
        shown
    }

    fn order(sequences: &[Vec<Sent>], ids: &[&str]) -> Result<Vec<(usize, usize)>, String> {
        find(&Point::default(), sequences, &shown(ids)).map(|witness| witness.order)
    }

    #[test]
    fn the_client_whose_event_was_new_comes_before_the_one_whose_event_was_not() {
        let clock = Clock(Instant::now());
        let late = vec![clock.sent("e", 0, Some((2, duplicate(0, "w", 1))))];
        let first = vec![clock.sent("e", 1, Some((2, accepted(0, "w", 1))))];
        assert_eq!(order(&[late, first], &["e"]), Ok(vec![(1, 0), (0, 0)]));
    }

    #[test]
    fn an_event_that_was_new_to_two_clients_has_no_explanation() {
        let clock = Clock(Instant::now());
        let twice = [(); 2].map(|()| vec![clock.sent("e", 0, Some((2, accepted(0, "w", 1))))]);
        let reason = order(&twice, &["e"]).expect_err("it was counted once");
        assert!(reason.contains("no total order"), "{reason}");
    }

    #[test]
    fn a_request_that_was_answered_comes_before_what_was_sent_later() {
        let clock = Clock(Instant::now());
        let first = vec![clock.sent("e", 0, Some((1, duplicate(0, "w", 1))))];
        let later = vec![clock.sent("e", 2, Some((3, accepted(0, "w", 1))))];
        let reason = order(&[first, later], &["e"]).expect_err("it was no duplicate then");
        assert!(reason.contains("no total order"), "{reason}");
    }

    #[test]
    fn what_was_not_answered_took_effect_if_the_directory_shows_it() {
        let clock = Clock(Instant::now());
        let sent = || {
            let answered = clock.sent("e", 0, Some((1, accepted(0, "w", 1))));
            vec![answered, clock.sent("f", 0, None)]
        };
        assert_eq!(order(&[sent()], &["e"]), Ok(vec![(0, 0)]));
        assert_eq!(order(&[sent()], &["e", "f"]), Ok(vec![(0, 0), (0, 1)]));
        let reason = order(&[sent()], &["f", "e"]).expect_err("they were sent the other way round");
        assert!(reason.contains("no total order"), "{reason}");
    }
}
