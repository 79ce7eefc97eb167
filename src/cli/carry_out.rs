//! Carrying out one request on a state: in a directory at rest, or by the process that has it open.

use std::time::SystemTime;

use exactly_once::client::ErrorReply;
use exactly_once::{Engine, Reply, Request};

use crate::cli::free_space::FloorArgs;
use crate::cli::state::{StateArgs, either};

/// Carries out a request, and returns its reply.
pub(crate) fn carry_out(
    state: &StateArgs,
    floor: FloorArgs,
    request: Request<'_>,
) -> anyhow::Result<Reply> {
    request.check_lengths()?;
    let mut options = floor.options(state.timeout);
    options.must_exist = true;
    let requests = [request];
    either(
        state.address(),
        |directory| {
            let mut engine = Engine::open(directory, &options)?;
            let replies = engine.submit(&requests, SystemTime::now())?;
            engine.close()?;
            Ok(only(replies)?)
        },
        |mut client| {
            let reply: Result<Reply, ErrorReply> = only(client.submit(&requests)?);
            Ok(reply?)
        },
    )
}

/// The reply to the only request.
fn only<T>(replies: Vec<T>) -> T {
    let mut replies = replies.into_iter();
    replies.next().expect("each request has a reply")
}
