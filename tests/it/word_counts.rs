//! Real text that a channel repeats and shuffles is counted as coreutils count it.

mod events;
mod source;

use crate::kit::{
    Finished, binary, dump, on_directory, record_in, run, run_pipeline, scratch_dir, shell,
};
use serde::Deserialize;
use std::path::Path;

/// A `count` line of a dump; no other member is allowed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    r#type: String,
    word: String,
    count: u64,
}

#[test]
fn text_sent_twice_over_a_channel_that_repeats_and_shuffles_is_counted_as_coreutils_count_it() {
    let home = scratch_dir();
    let (text, data_dir) = (home.path().join("text.rs"), home.path().join("data"));
    source::write(&text);
    let expected = coreutils_counts(&text);
    let words: u64 = expected.iter().map(|(_, count)| count).sum();
    assert_eq!(words, source::word_count(&text), "coreutils lost no word");
    assert!(words >= 100_000, "too little text: {words} words");
    assert!(expected.iter().any(|(word, _)| !word.is_ascii()));

    let first = send(&text, "1", &data_dir);
    let new = first.lines().filter(|line| is_reply(line, false)).count();
    let again = first.lines().filter(|line| is_reply(line, true)).count();
    assert_eq!(new as u64, words, "each word is new once");
    assert_eq!(new + again, first.lines().count());
    // A fifth of the events is sent twice; the margin is too wide to fail by chance.
    let share = again as f64 / new as f64;
    assert!((0.15..0.25).contains(&share), "{share}");
    assert_eq!(dumped_counts(&data_dir), expected);

    let second = send(&text, "2", &data_dir);
    assert!(second.lines().count() as u64 > words);
    let other = second.lines().find(|line| !is_reply(line, true));
    assert_eq!(other, None, "every event is a duplicate");
    assert_eq!(dumped_counts(&data_dir), expected);
}

/// Sends a text to a node and returns its replies.
fn send(text: &Path, seed: &str, data_dir: &Path) -> String {
    let mut events = binary();
    events
        .args(["import", "--print", "--input-format", "words"])
        .arg(text);
    events.args(["--redeliver", "0.2", "--shuffle", "--seed", seed]);
    let mut node = on_directory("run", data_dir, &[]);
    let (sent, answered) = run_pipeline(&mut events, &mut node);
    assert_eq!(sent.expect_quiet_success(), "");
    answered.expect_quiet_success()
}

fn is_reply(line: &str, was_duplicate: bool) -> bool {
    // A word cannot imitate these ends, because its quotes are escaped.
    let end = if was_duplicate {
        r#", "was_duplicate": true}"#
    } else {
        r#", "was_duplicate": false}"#
    };
    line.starts_with(r#"{"type": "processed", "#) && line.ends_with(end)
}

/// The words of a file with their counts, in byte order.
fn coreutils_counts(text: &Path) -> Vec<(String, u64)> {
    const PIPELINE: &str = r"tr -s '[:space:]' '\n' < $1 | sed '/^$/d' | sort | uniq -c";
    let lines = run(shell(PIPELINE).env("LC_ALL", "C").arg(text), "").expect_quiet_success();
    let count = |line: &str| {
        let (count, word) = line.trim_start().split_once(' ').expect("`COUNT WORD`");
        (word.to_owned(), count.parse().expect("a number"))
    };
    lines.split_terminator('\n').map(count).collect()
}

fn dumped_counts(data_dir: &Path) -> Vec<(String, u64)> {
    let lines = dump::lines(data_dir, Some("counts")).unwrap_or_else(|e| panic!("{e}"));
    let count = |line: &String| {
        let count: Count = record_in(line);
        assert_eq!(count.r#type, "count");
        (count.word, count.count)
    };
    lines.iter().map(count).collect()
}

/// Prints the requests of texts, with these arguments and this standard input, in `directory`.
fn of_text(directory: &Path, arguments: &[&str], input: &str) -> Finished {
    let mut command = binary();
    command.args(["import", "--print", "--input-format", "words"]);
    run(command.args(arguments).current_dir(directory), input)
}
