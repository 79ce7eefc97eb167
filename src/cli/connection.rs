//! A connection to a running process for one command: queries and requests, without a second try.

use std::io;
use std::time::Duration;

use exactly_once::client::{Client, ClientError, ErrorReply, NoConnection};

use crate::cli::address::Address;
use crate::cli::streams::stderr::say;

/// After this time without a reply, a line on standard error says so, once.
const NOTICE_AFTER: Duration = Duration::from_secs(10);

/// Connects to the process that has a state open.
pub(crate) fn connect(address: Address<'_>) -> io::Result<Client> {
    let mut first = Some(address.connect()?);
    let connect = move || {
        let stream = first.take();
        stream.ok_or_else(|| NoConnection::Ever(ClientError::Ended.into()))
    };
    Ok(Client::over(connect).when_silent(NOTICE_AFTER, tell_of_silence))
}

/// Says that a process has sent nothing for a while.
pub(crate) fn tell_of_silence(time: Duration) {
    say(format_args!(
        "waiting for the process that has the directory open, which has sent nothing for {} s",
        time.as_secs()
    ));
}

/// True if a new connection may succeed: the process has ended, or cannot answer now.
pub(crate) fn is_temporary(error: &anyhow::Error) -> bool {
    let reply = match error.downcast_ref() {
        Some(ClientError::Ended) => return true,
        Some(ClientError::Refused(reply)) => Some(reply),
        _ => error.downcast_ref(),
    };
    reply.is_some_and(ErrorReply::is_temporary)
}
