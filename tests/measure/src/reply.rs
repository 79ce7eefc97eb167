//! Replies as values: what a plain fold gives for events, and what a system gave.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::event::Decoded;

/// What an event is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// How often its word has been counted, this event included.
    pub count: u64,
    /// Whether its id had been there before, so that it was not counted.
    pub was_duplicate: bool,
}

/// A line of exactly-once, as far as it is checked.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    in_reply_to: u64,
    word: &'a str,
    count: u64,
    was_duplicate: bool,
}

/// The replies that events must get, in their order, from a set and a map of the standard library:
/// the only thing here that every system is held against, and shared with none of them.
#[must_use]
pub fn fold(events: &[Decoded<'_>]) -> Vec<Reply> {
    let (mut seen, mut counts) = (HashSet::new(), HashMap::new());
    let mut replies = Vec::with_capacity(events.len());
    for event in events {
        let was_duplicate = !seen.insert(event.id.as_str());
        let count: &mut u64 = counts.entry(event.word).or_default();
        if !was_duplicate {
            *count += 1;
        }
        replies.push(Reply {
            count: *count,
            was_duplicate,
        });
    }
    replies
}

/// How many of the replies are to events that were counted.
#[must_use]
pub fn counted(replies: &[Reply]) -> u64 {
    replies.iter().filter(|reply| !reply.was_duplicate).count() as u64
}

/// Holds all replies of a system against what they must be.
///
/// # Errors
///
/// If there are more or fewer, or one is another.
pub fn check(system: &str, replies: &[Reply], expected: &[Reply]) -> anyhow::Result<()> {
    let both = replies.iter().zip(expected);
    if let Some((number, (reply, expected))) = (1..).zip(both).find(|(_, (one, two))| one != two) {
        anyhow::bail!(
            "{system} answered event {number} with {reply:?} instead of {expected:?}; its figures \
             are worth nothing until that is mended"
        );
    }
    ensure!(
        replies.len() == expected.len(),
        "{system} gave {} replies to {} events",
        replies.len(),
        expected.len()
    );
    Ok(())
}

/// The replies of exactly-once in a file, which must be to requests 1, 2, 3 …, each with the word
/// of its event.
///
/// # Errors
///
/// If the file cannot be read, or a line is no such reply.
pub fn of_file(path: &Path, events: &[Decoded<'_>]) -> anyhow::Result<Vec<Reply>> {
    let file = File::open(path).context("opening the replies")?;
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let (mut replies, mut line) = (Vec::with_capacity(events.len()), String::new());
    while lines.read_line(&mut line).context("reading the replies")? > 0 {
        let number = replies.len() + 1;
        let reply = parse(&line, number, events.get(number - 1))
            .with_context(|| format!("line {number} of the replies: {line}"))?;
        replies.push(reply);
        line.clear();
    }
    Ok(replies)
}

fn parse(line: &str, number: usize, event: Option<&Decoded<'_>>) -> anyhow::Result<Reply> {
    let line: Line = serde_json::from_str(line).context("is not a reply to a `process`")?;
    let word = event.map(|event| event.word);
    ensure!(
        line.in_reply_to == number as u64 && Some(line.word) == word,
        "is not the reply to request {number} with the word {word:?}"
    );
    Ok(Reply {
        count: line.count,
        was_duplicate: line.was_duplicate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Decoded<'static>> {
        let events = [("a", "x"), ("b", "y"), ("a", "x"), ("c", "x"), ("a", "x")];
        let decoded = |(id, word): (&str, _)| Decoded {
            id: id.to_owned(),
            word,
        };
        events.into_iter().map(decoded).collect()
    }

    fn reply(count: u64, was_duplicate: bool) -> Reply {
        Reply {
            count,
            was_duplicate,
        }
    }

    #[test]
    fn a_duplicate_is_answered_with_the_count_as_it_is_then() {
        let expected = [
            reply(1, false),
            reply(1, false),
            reply(1, true),
            reply(2, false),
            reply(2, true),
        ];
        let replies = fold(&events());
        assert_eq!(replies, expected);
        assert_eq!(counted(&replies), 3);
    }

    #[test]
    fn another_reply_or_number_of_them_is_an_error() {
        let expected = fold(&events());
        assert!(check("store", &expected, &expected).is_ok());
        assert!(check("store", &expected[1..], &expected[1..]).is_ok());
        assert!(check("store", &expected[..4], &expected).is_err());
        assert!(check("store", &expected, &expected[..4]).is_err());
        let mut other = expected.clone();
        other[3].count += 1;
        let error = check("store", &other, &expected).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("event 4")));
    }

    #[test]
    fn replies_of_the_node_are_read_with_their_number_and_word() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("replies");
        let line = |number, word| {
            format!(
                "{{\"type\": \"processed\", \"in_reply_to\": {number}, \"word\": \"{word}\", \
                 \"count\": 1, \"was_duplicate\": false}}\n"
            )
        };
        let events = events();
        std::fs::write(&path, line(1, "x") + &line(2, "y"))?;
        assert_eq!(of_file(&path, &events)?, [reply(1, false), reply(1, false)]);
        let error = "{\"type\": \"error\", \"in_reply_to\": 1, \"code\": 11}\n".to_owned();
        for wrong in [line(2, "x"), line(1, "y"), error] {
            std::fs::write(&path, wrong)?;
            assert!(of_file(&path, &events).is_err());
        }
        Ok(())
    }
}
