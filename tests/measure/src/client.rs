//! A client of a node's control socket, which sends requests for new events one at a time.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::harness::PAUSE;
use crate::harness::latency::{NEW, ask};
use crate::harness::workload::Event;

/// A connection to a control socket.
pub(crate) struct Client {
    to_node: UnixStream,
    from_node: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the socket at a path. Tries again for this time, because a node that was just
    /// started does not listen yet.
    pub(crate) fn connect(path: &Path, within: Duration) -> anyhow::Result<Self> {
        let started = Instant::now();
        let connected = loop {
            match UnixStream::connect(path) {
                Err(_) if started.elapsed() < within => std::thread::sleep(PAUSE),
                connected => break connected,
            }
        };
        let to_node = connected.with_context(|| {
            let (path, seconds) = (path.display(), within.as_secs());
            format!(
                "nothing listens on {path} {seconds} s after the start; if the node only needs \
                 longer, raise --start-seconds"
            )
        })?;
        let from_node = to_node.try_clone().context("cloning the connection")?;
        Ok(Self {
            to_node,
            from_node: BufReader::new(from_node),
        })
    }

    /// Sends requests for new events one at a time. Returns the time of each reply.
    pub(crate) fn ask(
        &mut self,
        events: impl Iterator<Item = Event>,
    ) -> anyhow::Result<Vec<Duration>> {
        let Self { to_node, from_node } = self;
        let latency = |(event, number): (Event, u64)| {
            let (_, latency) = ask(&event.request(number), NEW, to_node, from_node)?;
            Ok(latency)
        };
        events.zip(1..).map(latency).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, Write};
    use std::os::unix::net::UnixListener;

    /// The socket is made after the first try.
    #[test]
    fn a_client_waits_for_the_socket_and_needs_new_replies() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("control.sock");
        let answer = || -> anyhow::Result<()> {
            std::thread::sleep(10 * PAUSE);
            let (client, _) = UnixListener::bind(&path)?.accept()?;
            let mut to_client = client.try_clone()?;
            let replies = [NEW, NEW, "another"];
            for (reply, line) in replies.iter().zip(BufReader::new(client).lines()) {
                assert!(line?.contains("event_id"));
                writeln!(to_client, "{reply}")?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let node = scope.spawn(answer);
            let mut client = Client::connect(&path, Duration::from_secs(30))?;
            let events = |count| (0..count).map(|number| Event::new(number, 1));
            assert_eq!(client.ask(events(2))?.len(), 2);
            let wrong = client.ask(events(1)).map_err(|error| error.to_string());
            assert!(wrong.is_err_and(|error| error.contains("another")));
            node.join().expect("no assertion of the node has failed")
        })
    }
}
