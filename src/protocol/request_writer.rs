//! Writes requests and queries as a client sends them: flat, one a line.

use serde::Serialize;

use crate::inspect::Query;
use crate::inspect::json_text::{put_number, put_string};
use crate::request::Request;

/// Writes a request as a line, with its newline. Returns false, and writes nothing, if the protocol
/// does not have it: a source position belongs to the process that opens the state.
pub(crate) fn put_request(out: &mut Vec<u8>, msg_id: u64, request: &Request<'_>) -> bool {
    let (kind, members) = match *request {
        Request::Process { event_id, word } => (
            "process",
            [Some(("event_id", event_id)), Some(("word", word))],
        ),
        Request::Checkpoint { checkpoint_id } => named("checkpoint", checkpoint_id),
        Request::Restore { checkpoint_id } => named("restore", checkpoint_id),
        Request::DeleteCheckpoint { checkpoint_id } => named("delete_checkpoint", checkpoint_id),
        Request::Commit => ("commit", [None, None]),
        Request::Rollback => ("rollback", [None, None]),
        Request::Advance { .. } => return false,
    };
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"msg_id\":");
    put_number(out, msg_id);
    for (name, value) in members.into_iter().flatten() {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        put_string(out, value);
    }
    out.extend_from_slice(b"}\n");
    true
}

type Members<'a> = [Option<(&'static str, &'a str)>; 2];

fn named<'a>(kind: &'static str, checkpoint_id: &'a str) -> (&'static str, Members<'a>) {
    (kind, [Some(("checkpoint_id", checkpoint_id)), None])
}

/// A query with its number.
#[derive(Serialize)]
struct Numbered<'a> {
    #[serde(flatten)]
    query: &'a Query,
    msg_id: u64,
}

/// Writes a query as a line, with its newline.
pub(crate) fn put_query(out: &mut Vec<u8>, msg_id: u64, query: &Query) {
    let line = serde_json::to_writer(&mut *out, &Numbered { query, msg_id });
    line.expect("a query is JSON, and a vector takes any number of bytes");
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::BatchReader;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[ -~\\\\\"]{1,20}", "\\PC{1,9}", "(.|[\\x00-\\x1f]){1,9}"]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            requests in prop::collection::vec((0..6_usize, any::<u64>(), text(), text()), 1..20),
        ) {
            let requests: Vec<_> = requests
                .iter()
                .map(|(kind, msg_id, first, second)| {
                    let request = match kind {
                        0 => Request::Process { event_id: first, word: second },
                        1 => Request::Checkpoint { checkpoint_id: first },
                        2 => Request::Restore { checkpoint_id: first },
                        3 => Request::DeleteCheckpoint { checkpoint_id: first },
                        4 => Request::Commit,
                        _ => Request::Rollback,
                    };
                    (*msg_id, request)
                })
                .collect();
            let mut lines = Vec::new();
            for (msg_id, request) in &requests {
                prop_assert!(put_request(&mut lines, *msg_id, request));
            }
            let mut reader = BatchReader::for_control(&lines[..]);
            let mut found = Vec::new();
            while let Some(batch) = reader.read()? {
                for line in &batch.lines {
                    let request = line.body.request(&batch.text);
                    found.push(format!("{:?} {:?}", line.msg_id, request));
                }
            }
            let expected = requests.iter().map(|(msg_id, request)| {
                format!("{:?} {:?}", Some(msg_id), Some(request))
            });
            prop_assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }
}
