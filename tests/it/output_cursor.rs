//! `outputs --after LINE`: a consumer that gives its last line reads each output exactly once. It
//! is refused if the log has another output at that offset, or ends before it.

use crate::kit::{
    ErrorReply, Finished, Node, Process, SocketClient, backup, carry_out, event, exit, finish,
    home_and_data_dir, line, node_and_client, on_directory, record_in, run_on,
};
use crate::oracle::Request;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Sends these events to a node and commits, so that each adds an output.
fn release(data_dir: &Path, ids: &[&str]) {
    let events = ids.iter().map(|&id| event(id, "w"));
    carry_out(data_dir, &[], events.chain([Request::Commit]));
}

fn outputs(data_dir: &Path, arguments: &[&str]) -> Finished {
    run_on("outputs", data_dir, arguments)
}

/// The lines that `outputs` shows after a line.
fn after(data_dir: &Path, last: &str) -> Vec<String> {
    let shown = outputs(data_dir, &["--after", last]).expect_quiet_success();
    shown.lines().map(str::to_owned).collect()
}

/// A directory that was replaced by its backup: the consumer has five outputs, the backup two.
struct PutBack {
    _home: TempDir,
    data_dir: PathBuf,
    /// The lines that the consumer has.
    seen: Vec<String>,
}

impl PutBack {
    fn new() -> Self {
        let (home, data_dir) = home_and_data_dir();
        let copy = home.path().join("copy");
        release(&data_dir, &["a", "b"]);
        backup(&data_dir, &copy);
        release(&data_dir, &["c", "d", "e"]);
        let seen = after(&data_dir, "");
        assert_eq!(seen.len(), 5);
        fs::remove_dir_all(&data_dir).expect("it is ours");
        fs::rename(&copy, &data_dir).expect("the name is free");
        Self {
            _home: home,
            data_dir,
            seen,
        }
    }
}

#[track_caller]
fn assert_names(text: &str, names: &[&str]) {
    for name in names {
        assert!(text.contains(name), "{name} is not in: {text}");
    }
}

#[test]
fn after_each_line_come_those_that_follow_it_and_an_empty_line_is_before_the_first() {
    let (_home, data_dir) = home_and_data_dir();
    release(&data_dir, &["a", "b\u{e9}\"\\ \u{7}"]);
    release(&data_dir, &["c"]);
    let all = outputs(&data_dir, &[]).expect_quiet_success();
    let all: Vec<&str> = all.lines().collect();
    assert_eq!(all.len(), 3);
    for none in ["", " \n"] {
        assert_eq!(after(&data_dir, none), all);
    }
    for (index, line) in all.iter().enumerate() {
        assert_eq!(after(&data_dir, line), all[index + 1..]);
        // The same output with reordered members, an unknown one, and no commit.
        let output: Value = record_in(line);
        let turned = json!({
            "count": output["count"], "seen_at": [1, {"x": null}], "word": output["word"],
            "event_id": output["event_id"], "offset": output["offset"],
        });
        assert_eq!(after(&data_dir, &turned.to_string()), all[index + 1..]);
    }
    let limited = outputs(&data_dir, &["--after", all[0], "--limit", "1"]);
    assert_eq!(limited.expect_quiet_success(), format!("{}\n", all[1]));
}

#[test]
fn a_log_that_is_shorter_or_has_another_output_is_refused_with_both_and_what_to_do() {
    let PutBack {
        _home,
        data_dir,
        seen,
    } = PutBack::new();
    let last = seen.last().expect("there are five");
    let told = outputs(&data_dir, &["--after", last]).expect_refusal(exit::USAGE);
    assert_names(
        &told,
        &["output 4", "\"e\"", "ends before 2", "from a copy"],
    );
    release(&data_dir, &["x", "y", "z"]);
    let told = outputs(&data_dir, &["--after", last]).expect_refusal(exit::USAGE);
    let both = [
        "the consumer has output 4 (event \"e\"",
        "the log has output 4 (event \"z\"",
    ];
    assert_names(&told, &both);
    assert_names(&told, &["count 5", "from a copy", "both have"]);
    // The node that has the directory open refuses it too, whichever member differs.
    let node = Node::start(Some(&data_dir), &[]);
    let mut client = SocketClient::connect(&data_dir);
    let refused = |line: &str| outputs(&data_dir, &["--after", line]).expect_refusal(exit::USAGE);
    assert_names(&refused(last), &both);
    for (true_member, other) in [
        (r#""event_id":"b""#, r#""event_id":"B""#),
        (r#""word":"w""#, r#""word":"v""#),
        (r#""count":2"#, r#""count":3"#),
    ] {
        let changed = seen[1].replace(true_member, other);
        assert_names(
            &refused(&changed),
            &["the consumer has output 1", "the log has output 1"],
        );
    }
    // The consumer can go on after an output that both have.
    assert_eq!(after(&data_dir, &seen[1]).len(), 3);
    let asked = client.records(&line("outputs", 1, &format!(r#""after":{}"#, seen[1])));
    assert_eq!(asked, after(&data_dir, &seen[1]));
    client.send(&line("outputs", 2, &format!(r#""after":{last}"#)));
    let error = ErrorReply::of(&client.read_line());
    assert_eq!(error.code, 20, "{}", error.text);
    assert_names(&error.text, &both);
    node.finish().expect_all_read();
}

#[test]
fn an_empty_log_is_told_to_be_empty() {
    let (_home, data_dir) = home_and_data_dir();
    release(&data_dir, &[]);
    let line = r#"{"offset":3,"commit":1,"event_id":"e","word":"w","count":1}"#;
    for arguments in [["--from", "1"], ["--after", line]] {
        let told = outputs(&data_dir, &arguments).expect_refusal(exit::USAGE);
        assert_names(&told, &["the log is empty"]);
    }
}

#[test]
fn a_line_that_is_no_output_or_is_cut_is_refused_with_what_to_do() {
    let (_home, data_dir) = home_and_data_dir();
    release(&data_dir, &["a"]);
    let whole = after(&data_dir, "").remove(0);
    for end in 1..whole.len() {
        let told = outputs(&data_dir, &["--after", &whole[..end]]);
        assert_names(
            &told.expect_refusal(exit::USAGE),
            &["cut off", "the one before it"],
        );
    }
    for (line, named) in [
        ("9", "no output"),
        (
            r#"{"offset":0,"event_id":"a","word":"w"}"#,
            "missing field `count`",
        ),
        (
            r#"{"offset":0,"event_id":"a","count":1}"#,
            "missing field `word`",
        ),
        (
            r#"{"offset":"0","event_id":"a","word":"w","count":1}"#,
            "string \"0\"",
        ),
        (
            r#"{"offset":-1,"event_id":"a","word":"w","count":1}"#,
            "`-1`",
        ),
        (&format!("{whole}{whole}"), "trailing characters"),
    ] {
        let told = outputs(&data_dir, &["--after", line]).expect_refusal(exit::USAGE);
        assert_names(&told, &["--after", named]);
    }
    outputs(&data_dir, &["--after", &whole, "--from", "0"]).expect_status(exit::USAGE);
}

#[test]
fn a_client_whose_query_has_a_wrong_output_is_told_which_member_it_is() {
    let (_home, _, node, mut client) = node_and_client();
    for (members, why) in [
        (
            r#""after":1"#,
            "after must be an output, which is an object, and is a number",
        ),
        (
            r#""after":{}"#,
            "after.offset is missing; a request needs it",
        ),
        (
            r#""after":{"offset":0,"event_id":7,"word":"w","count":1}"#,
            "after.event_id must be a string, and is a number",
        ),
        (
            r#""after":{"offset":0,"event_id":"e","word":"w","count":1.5}"#,
            "after.count must be an integer from 0 to 18446744073709551615, and is another number",
        ),
        (
            r#""after":{"offset":0,"event_id":"e","word":"w","count":1},"from":0"#,
            "outputs can be asked for from an offset or after an output, not both; send one",
        ),
    ] {
        let reply = client.ask(&line("outputs", 1, members));
        let error = ErrorReply::of(&reply);
        assert_eq!(error.code, 12, "{reply}");
        assert!(error.text.ends_with(why), "{reply}");
    }
    node.finish().expect_all_read();
}

/// Checks that a follower notices when a copy replaces its directory, which no process has open.
fn assert_follower_finds_out(arguments: &[&str], is_live: bool) {
    let (home, data_dir) = home_and_data_dir();
    let copy = home.path().join("copy");
    release(&data_dir, &["a", "b"]);
    backup(&data_dir, &copy);
    release(&data_dir, &["c", "d"]);
    // The log of the copy becomes longer than the one that is followed.
    release(&copy, &["x", "y", "z"]);
    let node = is_live.then(|| Node::start(Some(&data_dir), &[]));
    if is_live {
        drop(SocketClient::connect(&data_dir));
    }
    let mut command = on_directory("outputs", &data_dir, &["--follow"]);
    let follower = Node::start_as(command.args(arguments));
    for id in ["c", "d"] {
        let line = follower.read_line();
        assert!(line.contains(&format!(r#""event_id":"{id}""#)), "{line}");
    }
    // One step replaces the directory, so that the follower never finds it missing or locked.
    if let Some(node) = node {
        node.kill();
    }
    let replaced = rustix::fs::renameat_with(
        rustix::fs::CWD,
        &copy,
        rustix::fs::CWD,
        &data_dir,
        rustix::fs::RenameFlags::EXCHANGE,
    );
    replaced.expect("the file system can do that");
    let told = follower.wait().expect_refusal(exit::USAGE);
    assert_names(&told, &["output 3 (event \"d\"", "output 3 (event \"y\""]);
}

#[test]
fn a_follower_whose_directory_is_replaced_by_a_copy_is_refused_and_shows_nothing_of_it() {
    let second = r#"{"offset":1,"commit":1,"event_id":"b","word":"w","count":2}"#;
    for arguments in [["--from", "2"], ["--after", second]] {
        for is_live in [false, true] {
            assert_follower_finds_out(&arguments, is_live);
        }
    }
}

#[test]
fn the_last_line_of_a_file_is_all_that_a_consumer_needs_to_go_on() {
    let (home, data_dir) = home_and_data_dir();
    let seen = home.path().join("seen.jsonl");
    let consume = || {
        let last = fs::read_to_string(&seen).unwrap_or_default();
        let last = last.lines().last().unwrap_or_default().to_owned();
        let append = File::options().append(true).create(true).open(&seen);
        let mut command = on_directory("outputs", &data_dir, &["--after", &last]);
        let stdout = append.expect("there is room");
        let command = command.stdin(Stdio::null()).stderr(Stdio::piped());
        finish(Process::start(command.stdout(stdout))).expect_quiet_success();
    };
    for ids in [&["a", "b"][..], &["c"], &["d", "e"]] {
        release(&data_dir, ids);
        consume();
        consume();
        // A kill may leave the last line without its newline.
        let text = fs::read_to_string(&seen).expect("it is there");
        fs::write(&seen, text.trim_end()).expect("it is ours");
    }
    let text = fs::read_to_string(&seen).expect("it is there");
    let all = outputs(&data_dir, &[]).expect_quiet_success();
    assert_eq!(format!("{text}\n"), all);
}
