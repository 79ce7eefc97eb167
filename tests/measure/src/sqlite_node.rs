//! A plain node on SQLite. It answers the same lines of requests as exactly-once, with the same
//! lines of replies. A batch of events is one transaction, and is on stable storage before its
//! replies are written.
//!
//! A batch begins when it is full or the input ends, so the input must be a file.

use std::io::{BufRead, Write};
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use crate::harness::workload::Event;
use crate::peer::{Peer, Store};
use crate::reply::Reply;

/// The most events of a batch.
pub(crate) const BATCH: usize = 4_000;

/// SQLite's cache for its pages, in MiB.
pub(crate) const CACHE_MIB: u64 = 512;

/// Answers all requests of an input from a database in a directory, which is made if it is absent.
pub fn serve(
    directory: &Path,
    mut input: impl BufRead,
    mut output: impl Write,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory).context("making the state directory")?;
    let mut database = Store::Sqlite.open(directory, CACHE_MIB << 20)?;
    let (mut batch, mut line) = (Batch::default(), String::new());
    while batch.read(&mut input, &mut line)? {
        batch.apply(&mut *database)?;
        batch.write(&mut output).context("writing the replies")?;
    }
    output.flush().context("writing the replies")
}

/// The parts of a request that are used.
#[derive(Deserialize)]
struct Request {
    body: Body,
}

#[derive(Deserialize)]
struct Body {
    msg_id: u64,
    event_id: String,
    word: String,
}

/// The events of one transaction, the numbers of their requests, and their replies.
#[derive(Default)]
struct Batch {
    requests: Vec<u64>,
    events: Vec<Event>,
    replies: Vec<Reply>,
}

impl Batch {
    /// Replaces this batch by the next requests, with a buffer for a line. Returns false at the end
    /// of the input.
    fn read(&mut self, input: &mut impl BufRead, line: &mut String) -> anyhow::Result<bool> {
        self.requests.clear();
        self.events.clear();
        while self.events.len() < BATCH {
            line.clear();
            let bytes = input.read_line(line).context("reading the requests")?;
            if bytes == 0 {
                break;
            }
            self.push(line)?;
        }
        Ok(!self.events.is_empty())
    }

    fn push(&mut self, line: &str) -> anyhow::Result<()> {
        let request = serde_json::from_str(line);
        let Request { body } = request
            .with_context(|| format!("a line is no `process` request; remove it: {line:?}"))?;
        self.requests.push(body.msg_id);
        self.events.push(Event {
            id: body.event_id,
            word: body.word,
        });
        Ok(())
    }

    fn apply(&mut self, database: &mut dyn Peer) -> anyhow::Result<()> {
        self.replies.clear();
        let applied = database.apply(&self.events, &mut self.replies);
        applied.context("storing a batch")
    }

    fn write(&self, output: &mut impl Write) -> std::io::Result<()> {
        let answered = self.requests.iter().zip(&self.events).zip(&self.replies);
        for ((request, event), reply) in answered {
            writeln!(output, "{}", reply.line(*request, &event.word))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::workload::numbers;
    use crate::reply::{fold, lines};

    /// Half of all events are duplicates, within a batch and over batches. The second half of the
    /// requests is sent to a node that opens the database again.
    #[test]
    fn the_node_answers_every_event_as_a_fold_does() -> anyhow::Result<()> {
        let numbers = numbers(0.5).take(6 * BATCH + 10);
        let events: Vec<_> = numbers.map(|number| Event::new(number, 10)).collect();
        let requests = events.iter().zip(1..);
        let requests: Vec<_> = requests
            .map(|(event, number)| event.request(number))
            .collect();
        let directory = tempfile::tempdir()?;
        let state = directory.path().join("state");
        let mut replies = Vec::new();
        for part in requests.chunks(3 * BATCH + 5) {
            serve(&state, part.concat().as_bytes(), &mut replies)?;
        }
        let expected: Vec<_> = lines(&events, &fold(&events)).collect();
        assert!(String::from_utf8(replies)?.lines().eq(expected));
        Ok(())
    }

    #[test]
    fn a_line_that_is_no_request_is_an_error_that_shows_it() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let served = serve(directory.path(), &b"{\"body\": {}}\n"[..], Vec::new());
        let error = served.map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains(r#"{\"body\": {}}"#)));
        Ok(())
    }
}
