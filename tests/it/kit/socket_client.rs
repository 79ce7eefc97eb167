//! A client of the control socket: lines in, lines out, and waits of at most [`PATIENCE`].

use super::directory::home_and_data_dir;
use super::node::Node;
use super::wait::{PATIENCE, wait_for};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A node that takes nothing for this long has stopped reading.
const STUCK: Duration = Duration::from_secs(1);

/// The beginning of each line of records in a reply, without an envelope.
const RECORD: &str = r#"{"type": "record", "#;

/// A connection to the control socket.
pub struct SocketClient {
    stream: UnixStream,
    replies: BufReader<UnixStream>,
}

impl SocketClient {
    /// Connects as soon as the node of a directory serves clients.
    pub fn connect(data_dir: &Path) -> Self {
        Self::over(wait_for("a node serves", || dial(data_dir).ok()))
    }

    /// A client over a connection that was made in another way.
    pub fn over(stream: UnixStream) -> Self {
        let read = stream.set_read_timeout(Some(PATIENCE));
        let write = stream.set_write_timeout(Some(PATIENCE));
        read.and(write).expect("it is not zero");
        let replies = stream.try_clone().expect("there is a descriptor left");
        Self {
            stream,
            replies: BufReader::new(replies),
        }
    }

    /// Sends one line, and adds its newline.
    pub fn send(&mut self, line: &str) {
        self.send_raw(format!("{line}\n").as_bytes())
            .expect("the node reads");
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends lines until the node takes no more; returns how many were sent completely.
    pub fn send_until_stuck(&mut self, lines: impl Iterator<Item = String>) -> u64 {
        let set = self.stream.set_write_timeout(Some(STUCK));
        set.expect("it is not zero");
        let mut sent = 0;
        for line in lines {
            match self.send_raw(format!("{line}\n").as_bytes()) {
                Ok(()) => sent += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return sent,
                Err(error) => panic!("the node is there and does not read: {error}"),
            }
        }
        panic!("the node has read {sent} lines of a client that reads nothing");
    }

    /// Tells the node that nothing more is sent.
    pub fn stop_sending(&self) {
        let stopped = self.stream.shutdown(Shutdown::Write);
        stopped.expect("the node has not closed it");
    }

    /// The next line, without its newline; `None` once the connection has ended.
    pub fn next_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.replies.read_until(b'\n', &mut line) {
            Ok(_) => {}
            // The connection ends like this if the node had not read everything.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("no line within {PATIENCE:?}: {error}"),
        }
        let line = line.strip_suffix(b"\n")?;
        Some(String::from_utf8(line.to_vec()).expect("replies are UTF-8"))
    }

    /// The next line; panics if there is none.
    pub fn read_line(&mut self) -> String {
        self.next_line().expect("the node answers")
    }

    /// The lines of the next reply: one line, or records and the line after them. `None` if the
    /// connection ends before the last.
    pub fn next_answer(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let line = self.next_line()?;
            let is_last = !line.starts_with(RECORD);
            lines.push(line);
            if is_last {
                return Some(lines);
            }
        }
    }

    /// Sends a line and reads its reply.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.read_line()
    }

    /// Sends a query and returns its records, as JSON.
    pub fn records(&mut self, query: &str) -> Vec<String> {
        self.send(query);
        records_of(self.next_answer().expect("the node answers"))
    }
}

/// A new directory, the state directory in it, a node on that, and a client.
pub fn node_and_client() -> (TempDir, PathBuf, Node, SocketClient) {
    let (home, data_dir) = home_and_data_dir();
    let node = Node::start(Some(&data_dir), &[]);
    let client = SocketClient::connect(&data_dir);
    (home, data_dir, node, client)
}

/// Connects to the node of a directory.
pub fn dial(data_dir: &Path) -> io::Result<UnixStream> {
    // The path of a directory may be too long for an address; its descriptor's is not.
    let directory = File::open(data_dir)?;
    let fd = directory.as_raw_fd();
    UnixStream::connect(format!("/proc/self/fd/{fd}/control.sock"))
}

/// The records in the lines of a reply, which must be complete.
pub fn records_of(mut lines: Vec<String>) -> Vec<String> {
    let end = lines.pop().expect("an answer has a last line");
    let count = format!(r#""records": {}}}"#, lines.len());
    assert!(
        end.starts_with(r#"{"type": "end", "#) && end.ends_with(&count),
        "{end}"
    );
    let record = |line: &String| {
        let record = line.split_once(r#""record": "#);
        let record = record.and_then(|(_, record)| record.strip_suffix('}'));
        record.expect("it has a record").to_owned()
    };
    lines.iter().map(record).collect()
}
