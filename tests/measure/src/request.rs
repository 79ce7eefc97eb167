//! Requests as the JSON lines that the node reads, one at a time or a file of them.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;

/// How every request begins.
const HEAD: &str = r#"{"src":"stream","dest":"processor","body":{"type":"#;

/// A request that is answered with one line.
pub enum Request<'a> {
    /// Counts an event, with the number of its word.
    Process(&'a dyn Display, u32),
    /// Saves a checkpoint under a name.
    Checkpoint(&'a str),
    /// Restores the checkpoint of a name.
    Restore(&'a str),
}

impl Request<'_> {
    /// Appends the line, its end included. Ids and names must need no escapes.
    pub fn append(&self, msg_id: u64, line: &mut Vec<u8>) {
        match self {
            Self::Process(id, word) => writeln!(
                line,
                r#"{HEAD}"process","msg_id":{msg_id},"event_id":"{id}","word":"word{word}"}}}}"#
            ),
            Self::Checkpoint(name) => writeln!(
                line,
                r#"{HEAD}"checkpoint","msg_id":{msg_id},"checkpoint_id":"{name}"}}}}"#
            ),
            Self::Restore(name) => writeln!(
                line,
                r#"{HEAD}"restore","msg_id":{msg_id},"checkpoint_id":"{name}"}}}}"#
            ),
        }
        .expect("a vector takes all that is written to it");
    }
}

/// Writes a file of `process` requests and waits until the disk has it, so that writing it does
/// not go on beside what is measured next. Returns its size in bytes.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_file<I: Display>(
    path: &Path,
    events: impl Iterator<Item = (I, u32)>,
) -> anyhow::Result<u64> {
    let write = || {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let mut line = Vec::new();
        for ((id, word), msg_id) in events.zip(1..) {
            line.clear();
            Request::Process(&id, word).append(msg_id, &mut line);
            file.write_all(&line)?;
        }
        let file = file.into_inner().map_err(|error| error.into_error())?;
        file.sync_all()?;
        Ok::<_, std::io::Error>(file.metadata()?.len())
    };
    write().with_context(|| {
        let path = path.display();
        format!("writing the requests to {path}; make room there or choose another --directory")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_protocol() -> anyhow::Result<()> {
        let requests = [
            Request::Process(&"e1", 7),
            Request::Checkpoint("cp"),
            Request::Restore("cp"),
        ];
        let mut lines = Vec::new();
        for request in requests {
            request.append(1, &mut lines);
        }
        let expected = [
            r#"{"type":"process","msg_id":1,"event_id":"e1","word":"word7"}"#,
            r#"{"type":"checkpoint","msg_id":1,"checkpoint_id":"cp"}"#,
            r#"{"type":"restore","msg_id":1,"checkpoint_id":"cp"}"#,
        ];
        for (line, body) in String::from_utf8(lines)?.lines().zip(expected) {
            let whole = format!(r#"{{"src":"stream","dest":"processor","body":{body}}}"#);
            assert_eq!(line, whole);
        }
        Ok(())
    }
}
