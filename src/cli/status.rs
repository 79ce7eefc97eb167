//! The exit statuses, as the help of the program lists them, and wrong arguments.

use thiserror::Error;

/// Arguments that are each well-formed and do not go together, or name what there is not.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct WrongArguments(pub(crate) String);

/// What is told where a change is made, and only its result cannot be printed.
pub(crate) const DONE_BUT_NOT_PRINTED: &str =
    "all is done, and only the result could not be printed: do not run it again";

pub(crate) const INPUT_OR_OUTPUT: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const UNUSABLE: u8 = 3;
pub(crate) const HELD: u8 = 4;
pub(crate) const STORAGE: u8 = 5;
