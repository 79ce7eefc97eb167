//! What can be asked of a processor, what it answers, and the limits of both.
//!
//! These types know neither JSON nor the disk.

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
    /// Everything before this request came from the source up to this position; the position
    /// becomes part of the state. It is opaque: an offset, a file name and a line, anything.
    /// A restore takes it back to what the checkpoint held, a rollback to what the last commit
    /// held, so that a source which is read again from there delivers every event that left.
    ///
    /// It is refused if a request before it in the same call was, so that no event is passed over:
    /// put it last.
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

/// The answer to a request that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Answers [`Request::Process`].
    Processed {
        /// How many events of the state now carry the requested word.
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
        /// The counts that are not 0, in byte order of the words.
        counts: Vec<WordCount>,
    },
    /// Answers [`Request::Commit`].
    Committed {
        /// How many outputs this commit released.
        output_count: u64,
    },
    /// Answers [`Request::Rollback`].
    RolledBack {
        /// How many pending outputs were discarded.
        discarded_count: u64,
    },
    /// Answers [`Request::Advance`].
    Advanced,
}

/// Why a request was not carried out. Each is definite: nothing was applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A member of the request is empty.
    #[error("{member} is empty; it needs 1 to {max_bytes} bytes")]
    Empty {
        /// The member's name.
        member: &'static str,
        /// The most bytes it may have.
        max_bytes: usize,
    },
    /// A member of the request is too long.
    #[error("{member} has {bytes} bytes of UTF-8; at most {max_bytes} are allowed")]
    TooLong {
        /// The member's name.
        member: &'static str,
        /// How many bytes it has.
        bytes: usize,
        /// The most bytes it may have.
        max_bytes: usize,
    },
    /// The checkpoint to restore or to delete does not exist.
    #[error("there is no checkpoint named {checkpoint_id:?}; save it first, or name another one")]
    UnknownCheckpoint {
        /// The name that was asked for.
        checkpoint_id: String,
    },
    /// An [`Request::Advance`] follows a request of the same call that was refused.
    #[error(
        "a request before it was refused, so the source position stays where it was; send again \
         what is left of the call"
    )]
    AfterRefused,
    /// The disk is nearly full.
    #[error(
        "{free_bytes} bytes are free on the disk of the state directory, and {floor_bytes} are \
         kept free; make room and send this again"
    )]
    LowDisk {
        /// Bytes that are free.
        free_bytes: u64,
        /// Bytes that must be free for a request to be taken.
        floor_bytes: u64,
    },
}

/// What became of an event that was processed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Processed {
    /// How many events of the state now carry the requested word.
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
    /// Checks the lengths that the request must keep.
    ///
    /// # Errors
    ///
    /// [`Refusal::Empty`] or [`Refusal::TooLong`], naming the member.
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
