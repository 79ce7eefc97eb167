//! The replies to requests in their order, in little memory.

use crate::request::{Outcome, Refusal, Reply};

/// Bytes that the answer to most requests takes.
pub(crate) const REPLY_BYTES: usize = size_of::<u64>();

/// Stands for an answer that says more.
const OTHER: u64 = u64::MAX;
/// The highest count that has room beside another bit, and is not [`OTHER`] then.
const MAX_COUNT: u64 = u64::MAX / 2 - 1;

/// Replies in the order in which they were given.
///
/// Nearly all are of events that were accepted or are duplicates. They are written by one thread
/// and read by another, and what they say fits into a fifth of an [`Result<Reply, Refusal>`].
#[derive(Debug)]
pub(crate) struct Replies {
    /// Of each request twice the count of its word, plus 1 for a duplicate; or [`OTHER`].
    counts: Vec<u64>,
    /// The replies to the others.
    others: Vec<Result<Reply, Refusal>>,
}

impl Replies {
    /// No replies; this many are expected.
    pub(crate) fn expecting(replies: usize) -> Self {
        Self {
            counts: Vec::with_capacity(replies),
            others: Vec::new(),
        }
    }

    /// Adds the answer to the next request, and returns how many bytes it takes beyond
    /// [`REPLY_BYTES`].
    pub(crate) fn push(&mut self, answer: Result<Reply, Refusal>) -> usize {
        let (count, bytes) = match answer {
            Ok(Reply::Processed {
                count: count @ ..=MAX_COUNT,
                outcome: Outcome::Accepted,
            }) => (2 * count, 0),
            Ok(Reply::Processed {
                count: count @ ..=MAX_COUNT,
                outcome: Outcome::Duplicate,
            }) => (2 * count + 1, 0),
            other => {
                let bytes = bytes_of(&other);
                self.others.push(other);
                (OTHER, bytes)
            }
        };
        self.counts.push(count);
        bytes
    }

    /// Adds a count that is asked for, in the form of the answer to a duplicate.
    pub(crate) fn push_count(&mut self, count: u64) {
        let outcome = Outcome::Duplicate;
        self.push(Ok(Reply::Processed { count, outcome }));
    }

    /// Bytes that the replies take beyond [`REPLY_BYTES`] each, about.
    pub(crate) fn more_bytes(&self) -> usize {
        self.others.iter().map(bytes_of).sum()
    }

    /// The replies, in order.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = Result<Reply, Refusal>> {
        let mut others = self.others.into_iter();
        let answer = move |count| match count {
            OTHER => others.next().expect("an answer that is no count is here"),
            count => Ok(Reply::Processed {
                count: count / 2,
                outcome: match count % 2 {
                    0 => Outcome::Accepted,
                    _ => Outcome::Duplicate,
                },
            }),
        };
        self.counts.into_iter().map(answer)
    }
}

/// Bytes that an answer takes which says more than a count, about.
fn bytes_of(answer: &Result<Reply, Refusal>) -> usize {
    let more = match answer {
        Ok(Reply::Restored { counts }) => size_of_val(&**counts),
        Ok(Reply::Processed {
            outcome: Outcome::Conflict { original_word },
            ..
        }) => original_word.len(),
        Err(Refusal::UnknownCheckpoint { checkpoint_id }) => checkpoint_id.len(),
        _ => 0,
    };
    size_of::<Result<Reply, Refusal>>() + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_comes_back_in_its_place() {
        let processed = |count, outcome| Ok(Reply::Processed { count, outcome });
        let original_word = "w".into();
        let replies = [
            processed(0, Outcome::Duplicate),
            processed(1, Outcome::Accepted),
            processed(7, Outcome::Conflict { original_word }),
            processed(MAX_COUNT, Outcome::Duplicate),
            processed(MAX_COUNT + 1, Outcome::Accepted),
            processed(u64::MAX, Outcome::Duplicate),
            Ok(Reply::CheckpointSaved),
            processed(2, Outcome::Accepted),
        ];
        let mut kept = Replies::expecting(replies.len());
        for answer in &replies {
            kept.push(answer.clone());
        }
        assert!(kept.into_iter().eq(replies));
    }
}
