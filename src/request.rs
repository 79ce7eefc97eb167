//! Requests, their replies and refusals.
//!
//! These types are independent of JSON and of the disk.

use thiserror::Error;

use crate::state::counts::WordCount;
use crate::state::limits::{
    MAX_CHECKPOINT_ID_BYTES, MAX_EVENT_ID_BYTES, MAX_SOURCE_BYTES, MAX_WORD_BYTES,
};

/// One request, borrowed from the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request<'a> {
    /// Count an event, unless its id is in the state already.
    Process {
        /// The event's id, 1 to [`MAX_EVENT_ID_BYTES`] bytes.
        event_id: &'a str,
        /// The word to count, 1 to [`MAX_WORD_BYTES`] bytes.
        word: &'a str,
    },
    /// Save the state under a name, replacing an older checkpoint of that name.
    Checkpoint {
        /// The name, 1 to [`MAX_CHECKPOINT_ID_BYTES`] bytes.
        checkpoint_id: &'a str,
    },
    /// Delete a checkpoint; the state stays as it is.
    DeleteCheckpoint {
        /// The name of a saved checkpoint.
        checkpoint_id: &'a str,
    },
    /// Make the state that of a checkpoint.
    Restore {
        /// The name of a saved checkpoint.
        checkpoint_id: &'a str,
    },
    /// Release every pending output.
    Commit,
    /// Discard every pending output, and the events they came from.
    Rollback,
    /// Set the source position: the requests before it came from the source up to there. It becomes
    /// part of the state. It is opaque: an offset, a file name and a line, anything. A restore sets
    /// it back to the checkpoint's, a rollback to that of the last commit, so that a source read
    /// again from there delivers every event that left the state.
    ///
    /// It is refused if an earlier request of the same call was refused, so that no event is
    /// skipped: put it last.
    Advance {
        /// The position, at most [`MAX_SOURCE_BYTES`] bytes.
        source: &'a [u8],
    },
}

/// What became of one `process` request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The event is new to the state and has been counted.
    Accepted,
    /// The event's id was in the state already, with the same word; nothing changed.
    Duplicate,
    /// The event's id was in the state already, with another word; nothing changed.
    Conflict {
        /// The word that was counted when the id was accepted.
        original_word: Box<str>,
    },
}

/// The reply to a request that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Answers [`Request::Process`].
    Processed {
        /// Number of events of the state that now carry the requested word.
        count: u64,
        /// What became of the event.
        outcome: Outcome,
    },
    /// Answers [`Request::Checkpoint`].
    CheckpointSaved,
    /// Answers [`Request::DeleteCheckpoint`].
    CheckpointDeleted,
    /// Answers [`Request::Restore`].
    Restored {
        /// The counts above 0, in byte order of the words.
        counts: Vec<WordCount>,
    },
    /// Answers [`Request::Commit`].
    Committed {
        /// Number of outputs that this commit released.
        output_count: u64,
    },
    /// Answers [`Request::Rollback`].
    RolledBack {
        /// Number of pending outputs that were discarded.
        discarded_count: u64,
    },
    /// Answers [`Request::Advance`].
    Advanced,
}

/// Why a request was not carried out: nothing of it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A member of the request is empty.
    #[error("{member} is empty; it needs 1 to {max_bytes} bytes")]
    Empty {
        /// The member's name.
        member: &'static str,
        /// The largest size in bytes.
        max_bytes: usize,
    },
    /// A member of the request is too long.
    #[error("{member} has {bytes} bytes; shorten it to at most {max_bytes} bytes")]
    TooLong {
        /// The member's name.
        member: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// The largest size in bytes.
        max_bytes: usize,
    },
    /// The checkpoint to restore or to delete does not exist.
    #[error("there is no checkpoint named {checkpoint_id:?}; save it first, or name another one")]
    UnknownCheckpoint {
        /// The name in the request.
        checkpoint_id: String,
    },
    /// A request before this [`Request::Advance`] in the same call was refused.
    #[error(
        "an earlier request of the call was refused, so the source position is unchanged; send the \
         refused requests again, and then the position"
    )]
    AfterRefused,
    /// The disk is nearly full.
    #[error(
        "the disk of the state directory has {free_bytes} bytes free, and {floor_bytes} must stay \
         free; make room and send the request again"
    )]
    LowDisk {
        /// Bytes that are free.
        free_bytes: u64,
        /// Bytes that must be free for requests to be accepted.
        floor_bytes: u64,
    },
}

/// What became of an event that was processed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Processed {
    /// Number of events of the state that now carry the requested word.
    pub count: u64,
    /// What became of the event.
    pub outcome: Outcome,
}

impl Outcome {
    /// True if the event's id was in the state already, with the same word or another one.
    #[must_use]
    pub fn was_duplicate(&self) -> bool {
        *self != Self::Accepted
    }
}

impl Request<'_> {
    /// Checks that the lengths are in range.
    ///
    /// # Errors
    ///
    /// [`Refusal::Empty`] or [`Refusal::TooLong`], with the member's name.
    pub fn check_lengths(&self) -> Result<(), Refusal> {
        match self {
            Self::Process { event_id, word } => {
                check_length("event_id", event_id, MAX_EVENT_ID_BYTES)?;
                check_length("word", word, MAX_WORD_BYTES)
            }
            Self::Checkpoint { checkpoint_id }
            | Self::Restore { checkpoint_id }
            | Self::DeleteCheckpoint { checkpoint_id } => {
                check_length("checkpoint_id", checkpoint_id, MAX_CHECKPOINT_ID_BYTES)
            }
            Self::Advance { source } if source.len() > MAX_SOURCE_BYTES => Err(Refusal::TooLong {
                member: "source",
                bytes: source.len(),
                max_bytes: MAX_SOURCE_BYTES,
            }),
            Self::Advance { .. } | Self::Commit | Self::Rollback => Ok(()),
        }
    }
}

fn check_length(member: &'static str, text: &str, max_bytes: usize) -> Result<(), Refusal> {
    match text.len() {
        0 => Err(Refusal::Empty { member, max_bytes }),
        bytes if bytes > max_bytes => Err(Refusal::TooLong {
            member,
            bytes,
            max_bytes,
        }),
        _ => Ok(()),
    }
}
