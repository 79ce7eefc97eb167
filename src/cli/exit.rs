//! Exit statuses, and the one line on standard error that goes with each failure.

use std::io;
use std::process::ExitCode;

use exactly_once::inspect::InspectError;
use exactly_once::load::LoadError;
use exactly_once::node::NodeError;
use exactly_once::{OpenError, Refusal, StorageError};
use thiserror::Error;

use super::connection::Refused;
use super::owner::{NoChange, note_of_change};
use super::source::NoAnswer;
use super::verify::Damaged;

/// Arguments that are each well-formed and do not go together, or name what there is not.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct WrongArguments(pub(super) String);

/// What is told where a change is made, and only its result cannot be printed.
pub(super) const DONE_BUT_UNTOLD: &str =
    "all is done, and only the result could not be printed: do not run it again";

const INPUT_OR_OUTPUT: u8 = 1;
pub(super) const USAGE: u8 = 2;
const UNUSABLE: u8 = 3;
const HELD: u8 = 4;
pub(super) const STORAGE: u8 = 5;

/// Says on standard error what went wrong, and which status that is.
pub(super) fn status(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if !is_closed_output(&error) && !error.is::<Damaged>() {
        let note = note_of_change().filter(|_| is_denied(&error));
        match note {
            Some(note) => super::say::say(format_args!("{error:#}; {note}")),
            None => super::say::say(format_args!("{error:#}")),
        }
    }
    code(&error).into()
}

/// Whether the system refused something to the user that the process works as.
fn is_denied(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause: &io::Error| cause.kind() == io::ErrorKind::PermissionDenied)
}

fn code(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<OpenError>() {
        return code_of_open(error);
    }
    if let Some(Damaged { status }) = error.downcast_ref() {
        return *status;
    }
    if let Some(error) = error.downcast_ref() {
        return match error {
            InspectError::UnknownCheckpoint { .. }
            | InspectError::BeyondTheEnd { .. }
            | InspectError::LastOutputGone { .. }
            | InspectError::AnotherOutput { .. }
            | InspectError::TwoBeginnings => USAGE,
            _ => STORAGE,
        };
    }
    if let Some(error) = error.downcast_ref::<LoadError>() {
        return match error {
            LoadError::Open(error) => code_of_open(error),
            LoadError::NotEmpty { .. } => UNUSABLE,
            LoadError::LowDisk { .. } | LoadError::Storage(_) => STORAGE,
            _ => INPUT_OR_OUTPUT,
        };
    }
    if let Some(refusal) = error.downcast_ref() {
        return match refusal {
            Refusal::LowDisk { .. } => STORAGE,
            _ => USAGE,
        };
    }
    if error.is::<WrongArguments>() {
        return USAGE;
    }
    if error.is::<NoAnswer>() {
        return HELD;
    }
    if error.is::<NoChange>() {
        return UNUSABLE;
    }
    if let Some(refused) = error.downcast_ref::<Refused>() {
        return refused.status();
    }
    let is_storage =
        error.is::<StorageError>() || matches!(error.downcast_ref(), Some(NodeError::Storage(_)));
    if is_storage { STORAGE } else { INPUT_OR_OUTPUT }
}

fn code_of_open(error: &OpenError) -> u8 {
    match error {
        OpenError::HeldByWriter { .. } | OpenError::HeldByReader { .. } => HELD,
        OpenError::Storage(_)
        | OpenError::AnsweredLost { .. }
        | OpenError::EmptyPageDamaged { .. }
        | OpenError::WatermarkUnusable { .. } => STORAGE,
        _ => UNUSABLE,
    }
}

/// A reader that has seen enough, as in `| head`, is no news to anybody.
fn is_closed_output(error: &anyhow::Error) -> bool {
    let io_error = match error.downcast_ref() {
        Some(NodeError::Output(error)) => Some(error),
        _ => error.downcast_ref::<io::Error>(),
    };
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
