//! How a command ends: its exit status, and one line on standard error for a failure.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::commands::ping::NotRunning;
use crate::cli::commands::send::SomeRefused;
use crate::cli::commands::verify::Damaged;
use crate::cli::door::NoNode;
use crate::cli::import::{Rotated, TooManySkipped};
use crate::cli::owner::{CannotBecomeOwner, note_on_user};
use crate::cli::state::CannotAsk;
use crate::cli::status::{
    HELD, INPUT_OR_OUTPUT, NOT_RUNNING, REFUSED, ROTATED, STORAGE, UNCLEAR, UNUSABLE, USAGE,
    WrongArguments,
};
use crate::cli::streams::stderr::say;
use exactly_once::client::{ClientError, ErrorReply, RelayError};
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
    if error.is::<NotRunning>() {
        return NOT_RUNNING;
    }
    if let Some(error) = error.downcast_ref::<CannotAsk>() {
        return match error.is_not_running() {
            true => NOT_RUNNING,
            false => HELD,
        };
    }
    if error.is::<CannotBecomeOwner>() {
        return UNUSABLE;
    }
    if let Some(reply) = error.downcast_ref() {
        return code_of_reply(reply);
    }
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return code_of_client(error);
    }
    if let Some(error) = error.downcast_ref::<RelayError>() {
        return match error {
            RelayError::Unclear { .. } => UNCLEAR,
            RelayError::System(_) => STORAGE,
            RelayError::Client { source, .. } => code_of_client(source),
            _ => INPUT_OR_OUTPUT,
        };
    }
    if error.is::<SomeRefused>() || error.is::<TooManySkipped>() {
        return REFUSED;
    }
    if error.is::<Rotated>() {
        return ROTATED;
    }
    let is_storage = error.is::<StorageError>()
        || error.is::<Arc<StorageError>>()
        || matches!(error.downcast_ref(), Some(NodeError::Storage(_)));
    if is_storage { STORAGE } else { INPUT_OR_OUTPUT }
}

fn code_of_reply(reply: &ErrorReply) -> u8 {
    match reply.is_temporary() || reply.is_damage() {
        true => STORAGE,
        false => USAGE,
    }
}

fn code_of_client(error: &ClientError) -> u8 {
    match error {
        ClientError::Silent { .. } => STORAGE,
        ClientError::Unclear { .. } => UNCLEAR,
        ClientError::Refused(reply) => code_of_reply(reply),
        ClientError::NoConnection(why) | ClientError::Unreachable { source: why, .. } => {
            why.downcast_ref().map_or(INPUT_OR_OUTPUT, code_of_no_node)
        }
        _ => INPUT_OR_OUTPUT,
    }
}

fn code_of_no_node(why: &NoNode) -> u8 {
    match why {
        NoNode::CannotAsk(why) if why.is_not_running() => NOT_RUNNING,
        NoNode::CannotAsk(_) => HELD,
        NoNode::Open(error) => code_of_open(error),
        NoNode::Storage(_) => STORAGE,
        NoNode::Socket(_) | NoNode::Ended => INPUT_OR_OUTPUT,
    }
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
    let of_node = match error.downcast_ref() {
        Some(NodeError::Output(error)) => Some(error),
        _ => None,
    };
    let of_relay = match error.downcast_ref() {
        Some(RelayError::Output(error)) => Some(error),
        _ => None,
    };
    let io_error = of_node.or(of_relay).or(error.downcast_ref::<io::Error>());
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
