//! The control socket of a running node: clients beside standard input that send the same requests,
//! ask questions, and delete checkpoints.

mod answers;
pub mod asked;
mod bad_clients;
mod checkpoints;
mod file;
mod init;
mod life;
mod lives;
mod places;
mod shown;
mod slow_clients;
pub mod socket_client;
mod witness;

use crate::client::reply::ErrorReply;
use crate::client::{Node, run_once, scratch_dir};
use crate::command::{binary, run};
use asked::{event, line};
use socket_client::SocketClient;

/// What only clients of the socket may ask, each with members that it needs, where there is an
/// event `e1` and a checkpoint `a`.
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

/// Commands that print the same of a directory at rest; none does so of a process, and of times.
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

/// Has a node make events, a commit, a checkpoint and pending outputs.
fn prepare(client: &mut SocketClient) {
    let mut lines: Vec<String> = (0..6).map(|id| event(id, &format!("e{id}"), "w")).collect();
    lines.push(line("commit", 6, ""));
    lines.push(line("checkpoint", 7, r#""checkpoint_id":"a""#));
    lines.extend((8..12).map(|id| event(id, &format!("e{id}"), "x")));
    for line in lines {
        let reply = client.ask(&line);
        assert!(!reply.contains(r#""code""#), "{reply}");
    }
}

#[test]
fn on_standard_input_the_further_requests_are_unknown() {
    let home = scratch_dir();
    let numbered = (1..).zip(ONLY_HERE);
    let input: String = numbered
        .map(|(id, (kind, members))| line(kind, id, members) + "\n")
        .collect();
    let (stdout, stderr, status) = run_once(&home.path().join("data"), input.as_bytes());
    assert!(status.success(), "{stderr}");
    let replies = String::from_utf8(stdout).expect("replies are UTF-8");
    assert_eq!(replies.lines().count(), ONLY_HERE.len());
    for (msg_id, reply) in (1..).zip(replies.lines()) {
        let error = ErrorReply::read(reply).unwrap_or_else(|reason| panic!("{reason}"));
        assert_eq!(
            (error.code, error.in_reply_to),
            (10, Some(msg_id)),
            "{reply}"
        );
    }
}

#[test]
fn an_answer_has_the_records_that_a_command_prints_of_the_directory_at_rest() {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    let node = Node::start(Some(&data_dir), &[]);
    let mut client = SocketClient::connect(&data_dir);
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
    node.finish().expect_quiet_success();
    for (kind, arguments) in COMMANDS {
        let mut command = binary();
        command.args(arguments).arg("--data-dir").arg(&data_dir);
        let printed = run(&mut command, "").expect_quiet_success();
        let found = answered.iter().find(|(answered, _)| *answered == kind);
        let (_, records) = found.expect("everything was asked");
        assert_eq!(printed.lines().collect::<Vec<_>>(), *records, "{kind}");
    }
}
