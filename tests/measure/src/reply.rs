//! The reply that each event must get, from a plain fold of the events.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;

use anyhow::ensure;

use crate::harness::workload::Event;

/// The reply to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The count of its word, this event included.
    pub(crate) count: u64,
    /// True if its id had come before, so that it was not counted.
    pub(crate) was_duplicate: bool,
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

/// Returns the lines of exactly-once's replies to these events, sent as requests 1, 2, 3 …
pub(crate) fn lines(events: &[Event], replies: &[Reply]) -> impl Iterator<Item = String> {
    let answered = events.iter().zip(replies).zip(1..);
    answered.map(|((Event { word, .. }, reply), number): (_, u64)| {
        format!(
            "{{\"type\": \"processed\", \"in_reply_to\": {number}, \"word\": \"{word}\", \
             \"count\": {}, \"was_duplicate\": {}}}",
            reply.count, reply.was_duplicate
        )
    })
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
