//! A stream of requests for duplicates. They are prepared in memory and sent again and again, so
//! that sending them takes little of the processors' time.

use std::io::{self, BufRead, Write};
use std::iter::from_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};

/// Requests between two checks if the stream is over: they fill a pipe about twice.
const REQUESTS_OF_PIECE: usize = 1000;

/// The end of every reply to a duplicate.
const DUPLICATE: &[u8] = b"\"was_duplicate\": true}\n";

/// The requests of a stream, at least one.
pub(crate) struct Stream(Vec<Piece>);

/// Requests that are written at a time.
#[derive(Default)]
struct Piece {
    text: String,
    requests: u64,
}

impl Stream {
    /// Prepares the requests, each of which is a line with its end.
    pub(crate) fn new(mut requests: impl Iterator<Item = String>) -> Self {
        let pieces = from_fn(|| {
            let mut piece = Piece::default();
            for request in requests.by_ref().take(REQUESTS_OF_PIECE) {
                piece.text += &request;
                piece.requests += 1;
            }
            (piece.requests > 0).then_some(piece)
        });
        Self(pieces.collect())
    }

    /// Sends the requests again and again until the stream is over. Returns the number of requests
    /// that were sent.
    pub(crate) fn send(&self, mut to_node: impl Write, is_over: &AtomicBool) -> io::Result<u64> {
        let Self(pieces) = self;
        let mut sent = 0;
        for piece in pieces.iter().cycle() {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            to_node.write_all(piece.text.as_bytes())?;
            sent += piece.requests;
        }
        Ok(sent)
    }
}

/// The number of replies to a stream that were read.
#[derive(Default)]
pub(crate) struct Replies(AtomicU64);

impl Replies {
    /// Reads all replies up to the end of the output, of which each must call its event a
    /// duplicate. Reads on after a wrong one, because the node would wait for a reader.
    pub(crate) fn read(&self, mut from_node: impl BufRead) -> anyhow::Result<()> {
        let (mut line, mut wrong) = (Vec::new(), None);
        for count in 1.. {
            line.clear();
            let bytes = from_node.read_until(b'\n', &mut line);
            if bytes.context("reading the replies to the stream")? == 0 {
                break;
            }
            if wrong.is_none() && !line.ends_with(DUPLICATE) {
                wrong = Some(String::from_utf8_lossy(&line).into_owned());
            }
            self.0.store(count, Ordering::Relaxed);
        }
        ensure!(
            wrong.is_none(),
            "an old duplicate was answered with {wrong:?}; a figure of wrong replies is worth \
             nothing"
        );
        Ok(())
    }

    /// Returns the number of replies up to now.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Calls `work`. Returns its result, and the replies a second meanwhile.
    pub(crate) fn rate_during<T>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, f64)> {
        let (before, started) = (self.count(), Instant::now());
        let done = work()?;
        let replies = self.count() - before;
        Ok((done, replies as f64 / started.elapsed().as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that ends the stream at its third piece.
    struct Pipe<'a> {
        text: String,
        pieces: usize,
        is_over: &'a AtomicBool,
    }

    impl Write for Pipe<'_> {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.text += &String::from_utf8_lossy(piece);
            self.pieces += 1;
            self.is_over.store(self.pieces == 3, Ordering::Relaxed);
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_requests_are_sent_again_and_again_until_the_stream_is_over() -> anyhow::Result<()> {
        let lines = || (0..REQUESTS_OF_PIECE + 1).map(|number| format!("{number}\n"));
        let is_over = AtomicBool::new(false);
        let mut pipe = Pipe {
            text: String::new(),
            pieces: 0,
            is_over: &is_over,
        };
        let sent = Stream::new(lines()).send(&mut pipe, &is_over)?;
        let expected = lines().chain(lines().take(REQUESTS_OF_PIECE));
        assert_eq!(pipe.text, expected.collect::<String>());
        assert_eq!(sent, 2 * REQUESTS_OF_PIECE as u64 + 1);
        Ok(())
    }

    #[test]
    fn a_wrong_reply_is_an_error_after_all_replies_were_read() -> anyhow::Result<()> {
        let right = format!("{{{}", String::from_utf8_lossy(DUPLICATE));
        let new = right.replace("true", "false");
        let cut = right.trim_end();
        let read = |text: String| {
            let replies = Replies::default();
            let read = replies.read(text.as_bytes());
            (replies.count(), read.map_err(|error| error.to_string()))
        };
        assert_eq!(read(right.repeat(3)), (3, Ok(())));
        for wrong in [
            format!("{right}{new}{right}"),
            format!("{right}{right}{cut}"),
        ] {
            let (count, read) = read(wrong);
            assert_eq!(count, 3);
            assert!(read.is_err_and(|error| error.contains("worth nothing")));
        }
        Ok(())
    }

    #[test]
    fn the_rate_counts_only_replies_that_were_read_meanwhile() -> anyhow::Result<()> {
        let right = String::from_utf8_lossy(DUPLICATE).repeat(5);
        let replies = Replies::default();
        replies.read(right.as_bytes())?;
        let (done, rate) = replies.rate_during(|| Ok(7))?;
        assert!(done == 7 && rate == 0.0, "{rate}");
        Ok(())
    }
}
