//! The reply that each event must get, from a plain fold of the events, and checks of the replies
//! that it got.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::io;

use anyhow::{Context, ensure};

use crate::harness::latency::NEW;
use crate::harness::workload::Event;

/// The reply to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The count of its word, this event included.
    pub(crate) count: u64,
    /// True if its id had come before, so that it was not counted.
    pub(crate) was_duplicate: bool,
}

impl Reply {
    /// Returns the line of this reply to a request, without its end. The word must need no escape
    /// in JSON.
    pub(crate) fn line(&self, request: u64, word: &str) -> String {
        format!(
            "{{\"type\": \"processed\", \"in_reply_to\": {request}, \"word\": \"{word}\", \
             \"count\": {}, \"was_duplicate\": {}}}",
            self.count, self.was_duplicate
        )
    }
}

/// Returns the replies that events must get, in their order. It uses only a set and a map of the
/// standard library, so it shares no code with the systems that are compared with it.
pub(crate) fn fold(events: &[Event]) -> Vec<Reply> {
    let (mut seen, mut counts) = (HashSet::new(), HashMap::new());
    let mut replies = Vec::with_capacity(events.len());
    for event in events {
        let was_duplicate = !seen.insert(&event.id);
        let count: &mut u64 = counts.entry(&event.word).or_default();
        *count += u64::from(!was_duplicate);
        replies.push(Reply {
            count: *count,
            was_duplicate,
        });
    }
    replies
}

/// Returns the number of replies to events that were counted.
pub(crate) fn counted(replies: &[Reply]) -> u64 {
    replies.iter().filter(|reply| !reply.was_duplicate).count() as u64
}

/// Returns the lines of the replies to these events, sent as requests 1, 2, 3 …
pub(crate) fn lines(events: &[Event], replies: &[Reply]) -> impl Iterator<Item = String> {
    let answered = events.iter().zip(replies).zip(1..);
    answered.map(|((event, reply), number)| reply.line(number, &event.word))
}

/// Compares all replies of a system with the expected ones.
pub(crate) fn check<T: PartialEq + Debug>(
    system: &str,
    replies: impl IntoIterator<Item = T>,
    expected: impl IntoIterator<Item = T>,
) -> anyhow::Result<()> {
    let (mut replies, mut expected) = (replies.into_iter(), expected.into_iter());
    for number in 1_u64.. {
        let (reply, expected) = (replies.next(), expected.next());
        ensure!(
            reply == expected,
            "{system} answered event {number} with {reply:?} instead of {expected:?}; its figures \
             are worth nothing until that is mended"
        );
        if reply.is_none() {
            break;
        }
    }
    Ok(())
}

/// Returns the number of replies that call their event a duplicate. There must be `count` replies,
/// each of which calls its event new or a duplicate, and `duplicates` duplicates if that is given.
pub(crate) fn expect(
    replies: impl Iterator<Item = io::Result<String>>,
    count: usize,
    duplicates: Option<usize>,
    phase: &str,
) -> anyhow::Result<usize> {
    let (mut new, mut again) = (0, 0);
    for line in replies {
        let line = line.context("reading the replies")?;
        let is_new = line.contains(NEW);
        let is_reply = is_new || line.contains(r#""was_duplicate": true"#);
        ensure!(is_reply, "{phase}: an event was answered with {line}");
        new += usize::from(is_new);
        again += usize::from(!is_new);
    }
    ensure!(
        new + again == count && duplicates.is_none_or(|duplicates| duplicates == again),
        "{phase}: {new} events were new and {again} were not, but of {count} {duplicates:?} should \
         not be; a figure of wrong replies is worth nothing"
    );
    Ok(again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead;

    #[test]
    fn a_duplicate_is_answered_with_the_count_as_it_is_then() {
        let events = [("a", "x"), ("b", "y"), ("a", "x"), ("c", "x"), ("a", "x")];
        let events = events.map(|(id, word)| Event {
            id: id.to_owned(),
            word: word.to_owned(),
        });
        let replies = fold(&events);
        let found = replies
            .iter()
            .map(|reply| (reply.count, reply.was_duplicate));
        let expected = [(1, false), (1, false), (1, true), (2, false), (2, true)];
        assert!(found.eq(expected), "{replies:?}");
        assert_eq!(counted(&replies), 3);
    }

    #[test]
    fn another_reply_or_number_of_them_is_an_error() {
        assert!(check("store", [1, 2], [1, 2]).is_ok());
        assert!(check("store", vec![1], vec![1, 2]).is_err());
        assert!(check("store", vec![1, 2], vec![1]).is_err());
        let error = check("store", [1, 3], [1, 2]).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("event 2")));
    }

    #[test]
    fn replies_are_held_against_what_was_sent() {
        let new = format!("{{{NEW}}}\n");
        let lines = format!("{new}{{\"was_duplicate\": true}}\n{new}");
        let found =
            |count, duplicates| expect(lines.as_bytes().lines(), count, duplicates, "a phase").ok();
        assert_eq!(found(3, None), Some(1));
        assert_eq!(found(3, Some(1)), Some(1));
        assert_eq!(found(3, Some(0)), None);
        assert_eq!(found(2, Some(1)), None);
        let error = lines.clone() + "{\"type\": \"error\"}\n";
        assert!(expect(error.as_bytes().lines(), 4, None, "a phase").is_err());
    }
}
