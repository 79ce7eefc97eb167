//! The exit statuses, as `--help` lists them, and the error for wrong arguments.

use thiserror::Error;

/// Arguments that are well-formed, but contradict each other or name something unusable.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct WrongArguments(pub(crate) String);

/// The error if a change was made, but its result could not be printed.
pub(crate) const DONE_BUT_NOT_PRINTED: &str =
    "the change was made, but the result could not be printed; do not run the command again";

pub(crate) const INPUT_OR_OUTPUT: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const UNUSABLE: u8 = 3;
pub(crate) const HELD: u8 = 4;
pub(crate) const STORAGE: u8 = 5;
pub(crate) const NOT_RUNNING: u8 = 6;
pub(crate) const REFUSED: u8 = 7;
pub(crate) const UNCLEAR: u8 = 8;
pub(crate) const ROTATED: u8 = 9;
