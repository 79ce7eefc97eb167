//! The log of released outputs, from any offset on.

use serde::Serialize;
use thiserror::Error;

use crate::error::StorageError;
use crate::inspect::Inspection;
use crate::store::Commit;

/// An output that a commit released. Offsets are dense and never change, so that whoever remembers
/// the last one reads each output once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommittedOutput<'a> {
    /// Its place in the log, from 0.
    pub offset: u64,
    /// The commit that released it, from 1.
    pub commit: u64,
    /// The event's id.
    pub event_id: &'a str,
    /// The event's word.
    pub word: &'a str,
    /// The count that the event's reply gave.
    pub count: u64,
}

/// Why outputs cannot be shown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OutputsError {
    /// The log is shorter: an offset of another directory, or of one that was put back.
    #[error(
        "there is no output {from}: the log ends before {end}; is it the directory that the offset is from?"
    )]
    BeyondTheEnd {
        /// The offset that was asked for.
        from: u64,
        /// The offset that the next output will have.
        end: u64,
    },
    /// Something cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Inspection {
    /// Calls `sink` with released outputs in order of their offsets: from `from` on, at most
    /// `limit`. `from` may be the offset that the next output will have.
    ///
    /// # Errors
    ///
    /// [`OutputsError`], or whatever `sink` returns.
    pub fn committed_outputs<E: From<OutputsError> + From<StorageError>>(
        &self,
        from: u64,
        limit: u64,
        mut sink: impl FnMut(&CommittedOutput<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = self.stored.record.scalars.outputs;
        if from > end {
            return Err(OutputsError::BeyondTheEnd { from, end }.into());
        }
        let until = end.min(from.saturating_add(limit));
        if from == until {
            return Ok(());
        }
        for commit in self.copy.reader().commits_from(self.commit_of(from)?) {
            let commit = commit?;
            if commit.first_output >= until {
                break;
            }
            let skip = from.saturating_sub(commit.first_output);
            let mut offset = commit.first_output + skip;
            let ranges = commit.released.slice(skip, until - offset);
            self.copy.reader().walk(ranges, |_, entry| {
                let output = |event_id: &str| {
                    sink(&CommittedOutput {
                        offset,
                        commit: commit.number,
                        event_id,
                        word: entry.word,
                        count: entry.count,
                    })
                };
                let result = entry.event_id.with_text(output);
                offset += 1;
                result
            })?;
        }
        Ok(())
    }

    /// The number of the commit that released an output which is in the log.
    fn commit_of(&self, offset: u64) -> Result<u64, StorageError> {
        let (mut from, mut until) = (1, self.stored.record.scalars.last_commit + 1);
        while until - from > 1 {
            let middle = from + (until - from) / 2;
            if self.commit(middle)?.first_output <= offset {
                from = middle;
            } else {
                until = middle;
            }
        }
        Ok(from)
    }

    fn commit(&self, number: u64) -> Result<Commit, StorageError> {
        let found = self.copy.reader().commits_from(number).next();
        let missing = || StorageError::damaged(format!("commit {number}"), "a commit", "none");
        found.unwrap_or_else(|| Err(missing()))
    }
}
