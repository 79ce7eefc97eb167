//! The way of events to the node: over a client, or straight into the node that this process is.

use std::collections::VecDeque;

use exactly_once::client::{Client, ClientError};
use exactly_once::inspect::Query;
use exactly_once::{Handle, Pending, Refusal, Reply, Request};
use serde::Deserialize;

/// At most this many calls wait for their replies while the next one is made.
const MAX_CALLS: usize = 4;

/// A query whose node ends before its reply is asked again, at most this many times.
const MAX_TRIES: u32 = 100;

/// Where events are sent.
pub(super) enum Way<'d> {
    /// To another process, over its socket.
    Client(&'d mut Client),
    /// Into the state that this process has open.
    Own {
        handle: Handle,
        /// The calls whose replies were not taken, in order.
        calls: VecDeque<Pending<Vec<Result<Reply, Refusal>>>>,
    },
}

/// The part of the record of an event that matters here.
#[derive(Deserialize)]
struct FoundEvent {
    in_state: bool,
}

impl Way<'_> {
    pub(super) fn own(handle: Handle) -> Self {
        Self::Own {
            handle,
            calls: VecDeque::new(),
        }
    }

    /// Sends events, in order.
    pub(super) fn send(&mut self, events: &[Request<'_>]) -> anyhow::Result<()> {
        match self {
            Self::Client(client) => {
                for event in events {
                    client.send(event)?;
                }
            }
            Self::Own { handle, calls } => calls.push_back(handle.submit(events)),
        }
        Ok(())
    }

    /// Writes what was sent, without waiting for replies.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Client(client) => Ok(client.flush()?),
            Self::Own { .. } => Ok(()),
        }
    }

    /// Gives the replies that are due by now.
    pub(super) fn look(
        &mut self,
        mut give: impl FnMut(Reply) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Client(client) => {
                while let Some(reply) = client.try_receive()? {
                    give(reply?)?;
                }
                Ok(())
            }
            Self::Own { calls, .. } if calls.len() > MAX_CALLS => self.wait(give).map(drop),
            Self::Own { .. } => Ok(()),
        }
    }

    /// True if the state has an event with this id.
    pub(super) fn has(&mut self, event_id: String) -> anyhow::Result<bool> {
        let client = match self {
            Self::Client(client) => client,
            Self::Own { handle, .. } => return Ok(handle.contains(&event_id).wait()?),
        };
        let query = Query::GetEvent { event_id };
        let mut tries = 1..=MAX_TRIES;
        loop {
            let mut is_found = false;
            let asked = client.ask(&query, |record| {
                let found: FoundEvent = serde_json::from_slice(record)?;
                is_found = found.in_state;
                anyhow::Ok(())
            });
            let has_ended =
                |error: &anyhow::Error| matches!(error.downcast_ref(), Some(ClientError::Ended));
            match asked {
                Ok(()) => return Ok(is_found),
                // The node was another import, and has just ended.
                Err(error) if has_ended(&error) && tries.next().is_some() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the next replies, and gives them; false if there are replies to everything.
    pub(super) fn wait(
        &mut self,
        mut give: impl FnMut(Reply) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        match self {
            Self::Client(client) => {
                let reply = client.receive()?;
                let is_one = reply.is_some();
                reply.map_or(Ok(()), |reply| give(reply?))?;
                Ok(is_one)
            }
            Self::Own { calls, .. } => {
                let Some(call) = calls.pop_front() else {
                    return Ok(false);
                };
                for reply in call.wait()? {
                    give(reply?)?;
                }
                Ok(true)
            }
        }
    }
}
