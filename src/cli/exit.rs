//! How a command ends: its exit status, and one line on standard error for a failure.

use std::io;
use std::process::ExitCode;

use crate::cli::commands::verify::Damaged;
use crate::cli::connection::Refused;
use crate::cli::owner::{CannotBecomeOwner, note_on_user};
use crate::cli::state::CannotAsk;
use crate::cli::status::{HELD, INPUT_OR_OUTPUT, STORAGE, UNUSABLE, USAGE, WrongArguments};
use crate::cli::streams::stderr::say;
use exactly_once::inspect::InspectError;
use exactly_once::load::LoadError;
use exactly_once::node::NodeError;
use exactly_once::{OpenError, Refusal, StorageError};

/// Prints what went wrong on standard error, and returns the exit status.
pub(crate) fn report(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if !is_closed_output(&error) && !error.is::<Damaged>() {
        let note = note_on_user().filter(|_| is_denied(&error));
        match note {
            Some(note) => say(format_args!("{error:#}; {note}")),
            None => say(format_args!("{error:#}")),
        }
    }
    code(&error).into()
}

/// True if the system denied permission to the user that the process works as.
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
    if error.is::<CannotAsk>() {
        return HELD;
    }
    if error.is::<CannotBecomeOwner>() {
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

/// True if the reader of standard output has ended, as `| head` does, which is not reported.
fn is_closed_output(error: &anyhow::Error) -> bool {
    let io_error = match error.downcast_ref() {
        Some(NodeError::Output(error)) => Some(error),
        _ => error.downcast_ref::<io::Error>(),
    };
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
