//! The answers to requests in their order, in little memory.

use crate::request::{Answer, Outcome, Refusal, Reply};

/// Bytes that the answer to most requests takes.
pub(crate) const ANSWER_BYTES: usize = size_of::<u64>();

/// Stands for an answer that says more.
const OTHER: u64 = u64::MAX;
/// The highest count that has room beside another bit, and is not [`OTHER`] then.
const MAX_COUNT: u64 = u64::MAX / 2 - 1;

/// Answers in the order in which they were given.
///
/// Nearly all are of events that were accepted or are duplicates. They are written by one thread
/// and read by another, and what they say fits into a fifth of an [`Answer`].
#[derive(Debug)]
pub(crate) struct Answers {
    /// Of each request twice the count of its word, plus 1 for a duplicate; or [`OTHER`].
    counts: Vec<u64>,
    /// The answers to the others.
    others: Vec<Answer>,
}

impl Answers {
    /// No answers; this many are expected.
    pub(crate) fn expecting(answers: usize) -> Self {
        Self {
            counts: Vec::with_capacity(answers),
            others: Vec::new(),
        }
    }

    /// Adds the answer to the next request, and returns how many bytes it takes beyond
    /// [`ANSWER_BYTES`].
    pub(crate) fn push(&mut self, answer: Answer) -> usize {
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

    /// Bytes that the answers take beyond [`ANSWER_BYTES`] each, about.
    pub(crate) fn more_bytes(&self) -> usize {
        self.others.iter().map(bytes_of).sum()
    }

    /// The answers, in order.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = Answer> {
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
fn bytes_of(answer: &Answer) -> usize {
    let more = match answer {
        Ok(Reply::Restored { counts }) => size_of_val(&**counts),
        Ok(Reply::Processed {
            outcome: Outcome::Conflict { original_word },
            ..
        }) => original_word.len(),
        Err(Refusal::UnknownCheckpoint { checkpoint_id }) => checkpoint_id.len(),
        _ => 0,
    };
    size_of::<Answer>() + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_comes_back_in_its_place() {
        let processed = |count, outcome| Ok(Reply::Processed { count, outcome });
        let original_word = "w".into();
        let answers = [
            processed(0, Outcome::Duplicate),
            processed(1, Outcome::Accepted),
            processed(7, Outcome::Conflict { original_word }),
            processed(MAX_COUNT, Outcome::Duplicate),
            processed(MAX_COUNT + 1, Outcome::Accepted),
            processed(u64::MAX, Outcome::Duplicate),
            Ok(Reply::CheckpointSaved),
            processed(2, Outcome::Accepted),
        ];
        let mut kept = Answers::expecting(answers.len());
        for answer in &answers {
            kept.push(answer.clone());
        }
        assert!(kept.into_iter().eq(answers));
    }
}
