//! The control socket of a running node. Its clients send the same requests as standard input, and
//! also queries and deletions of checkpoints.

use crate::kit::{
    ErrorReply, SocketClient, binary, event_line, line, node_and_client, run, run_node, scratch_dir,
};
mod answers;
mod bad_clients;
mod checkpoint_deletion;
mod client_life;
mod client_limit;
mod envelopes;
mod full_dump;
mod linearization;
mod lives;
mod queries;
mod slow_clients;
mod socket_file;
mod waiting;

/// The requests that only clients of the socket may send, with the members that they need if there
/// is an event `e1` and a checkpoint `a`.
const ONLY_HERE: [(&str, &str); 11] = [
    ("stats", ""),
    ("counts", ""),
    ("list_checkpoints", ""),
    ("show_checkpoint", r#""checkpoint_id":"a""#),
    ("diff_checkpoints", r#""first":"a""#),
    ("outputs", r#""from":1,"limit":2"#),
    ("get_event", r#""event_id":"e1""#),
    ("get_word", r#""word":"w""#),
    ("history", ""),
    ("dump", ""),
    ("delete_checkpoint", r#""checkpoint_id":"a""#),
];

/// The commands that print the same records of a directory at rest. `stats` and `history` also show
/// the process or times.
const COMMANDS: [(&str, &[&str]); 8] = [
    ("counts", &["dump", "--only", "counts"]),
    ("list_checkpoints", &["checkpoints", "list"]),
    ("show_checkpoint", &["checkpoints", "show", "a"]),
    ("diff_checkpoints", &["checkpoints", "diff", "a"]),
    ("outputs", &["outputs", "--from", "1", "--limit", "2"]),
    ("get_event", &["get", "e1"]),
    ("get_word", &["get", "--word", "w"]),
    ("dump", &["dump"]),
];

/// Sends events, a commit, a checkpoint, and events whose outputs stay pending.
fn prepare(client: &mut SocketClient) {
    let mut lines: Vec<String> = (0..6)
        .map(|id| event_line(id, &format!("e{id}"), "w"))
        .collect();
    lines.push(line("commit", 6, ""));
    lines.push(line("checkpoint", 7, r#""checkpoint_id":"a""#));
    lines.extend((8..12).map(|id| event_line(id, &format!("e{id}"), "x")));
    for line in lines {
        let reply = client.ask(&line);
        assert!(!reply.contains(r#""code""#), "{reply}");
    }
}

#[test]
fn requests_of_the_control_socket_are_unknown_on_standard_input() {
    let home = scratch_dir();
    let numbered = (1..).zip(ONLY_HERE);
    let input: String = numbered
        .map(|(id, (kind, members))| line(kind, id, members) + "\n")
        .collect();
    let replies = run_node(&home.path().join("data"), &[], input).expect_success();
    assert_eq!(replies.lines().count(), ONLY_HERE.len());
    for (msg_id, reply) in (1..).zip(replies.lines()) {
        let error = ErrorReply::of(reply);
        assert_eq!(
            (error.code, error.in_reply_to),
            (10, Some(msg_id)),
            "{reply}"
        );
    }
}

#[test]
fn an_answer_has_the_records_that_a_command_prints_of_the_directory_at_rest() {
    let (_home, data_dir, node, mut client) = node_and_client();
    prepare(&mut client);
    let mut answered = Vec::new();
    for (kind, members) in ONLY_HERE {
        if kind == "delete_checkpoint" {
            continue;
        }
        let records = client.records(&line(kind, 20, members));
        assert!(!records.is_empty(), "{kind}");
        answered.push((kind, records));
    }
    node.finish().expect_all_read();
    for (kind, arguments) in COMMANDS {
        let mut command = binary();
        command.args(arguments).arg("--data-dir").arg(&data_dir);
        let printed = run(&mut command, "").expect_quiet_success();
        let found = answered.iter().find(|(answered, _)| *answered == kind);
        let (_, records) = found.expect("everything was asked");
        assert_eq!(printed.lines().collect::<Vec<_>>(), *records, "{kind}");
    }
}
