//! Replies to requests, in order and in little memory.

use crate::request::{Outcome, Refusal, Reply};

/// Bytes that most replies take.
pub(crate) const REPLY_BYTES: usize = size_of::<u64>();

/// Stands for a reply in `others`.
const OTHER: u64 = u64::MAX;
/// The highest count that, doubled and with one bit more, is not [`OTHER`].
const MAX_COUNT: u64 = u64::MAX / 2 - 1;

/// Replies in the order in which they were added.
///
/// Nearly all are to events that are accepted or duplicates. One thread writes them and another
/// reads them, and they take a fifth of the memory of a [`Result<Reply, Refusal>`].
#[derive(Debug)]
pub(crate) struct Replies {
    /// For each request, twice the count of its word, plus 1 for a duplicate; or [`OTHER`].
    counts: Vec<u64>,
    /// The replies that are [`OTHER`] in `counts`.
    others: Vec<Result<Reply, Refusal>>,
}

impl Replies {
    /// Makes an empty list with room for this many replies.
    pub(crate) fn expecting(replies: usize) -> Self {
        Self {
            counts: Vec::with_capacity(replies),
            others: Vec::new(),
        }
    }

    /// Adds the reply to the next request, and returns how many bytes it takes beyond
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

    /// Adds a number as a reply, stored as the count of a duplicate.
    pub(crate) fn push_count(&mut self, count: u64) {
        let outcome = Outcome::Duplicate;
        self.push(Ok(Reply::Processed { count, outcome }));
    }

    /// About how many bytes the replies take beyond [`REPLY_BYTES`] each.
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

/// About how many bytes a reply takes that is not just a count.
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
