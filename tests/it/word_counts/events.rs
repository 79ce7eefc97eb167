//! `import --print` of a text: which requests it makes, and what it refuses.

use super::of_text;
use crate::kit::{binary, exit, finish, records_in, run, scratch_dir, spawn};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// A printed request; no other member is allowed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    r#type: String,
    msg_id: u64,
    event_id: String,
    word: String,
}

/// The most first deliveries between the two deliveries of an event, without shuffling.
const MAX_DELAY_EVENTS: usize = 1_000;

/// Words of different lengths, with characters of one to four bytes between all kinds of spaces.
const TEXT: &str = " one\ttwo\u{b}two\r\n\u{fc}ber \u{1f600}x\u{c}\"quoted\" back\\slash  end";

#[test]
fn an_event_is_a_word_with_the_name_of_its_file_and_its_byte_offset() {
    let home = scratch_dir();
    fs::create_dir(home.path().join("folder")).expect("it can be made");
    fs::write(home.path().join("folder/some text.txt"), TEXT).expect("it can be written");
    let output = of_text(home.path(), &["folder/some text.txt"], "").expect_quiet_success();
    let expected: Vec<_> = places(TEXT.as_bytes(), "folder/some text.txt");
    assert_eq!(expected.len(), 8);
    assert_eq!(events_of(&output), expected);
    let numbers = requests(&output).into_iter().map(|r| r.msg_id);
    assert!(numbers.eq(1..=8), "{output}");
    let line = r#"{"type":"process","msg_id":1,"event_id":"folder/some text.txt:1","word":"one"}"#;
    assert_eq!(output.lines().next(), Some(line));
}

#[test]
fn several_files_come_one_after_the_other_in_the_order_of_the_arguments() {
    let home = scratch_dir();
    let texts = [("b.txt", "x y"), ("a.txt", ""), ("c.txt", "y\nz\n")];
    for (name, text) in texts {
        fs::write(home.path().join(name), text).expect("it can be written");
    }
    let output = of_text(home.path(), &["b.txt", "a.txt", "c.txt"], "").expect_quiet_success();
    let expected = texts.map(|(name, text)| places(text.as_bytes(), name));
    assert_eq!(events_of(&output), expected.concat());
    let numbers = requests(&output).into_iter().map(|r| r.msg_id);
    assert!(numbers.eq(1..=4), "{output}");
}

#[test]
fn standard_input_has_the_name_that_it_is_given_and_needs_one() {
    let home = scratch_dir();
    for arguments in [
        &["-", "--source", "the book"][..],
        &["--source", "the book"],
    ] {
        let output = of_text(home.path(), arguments, TEXT).expect_quiet_success();
        assert_eq!(events_of(&output), places(TEXT.as_bytes(), "the book"));
    }
    for arguments in [&["-"][..], &[], &["/dev/stdin"], &["/proc/self/fd/0"]] {
        let line = of_text(home.path(), arguments, TEXT).expect_refusal(exit::USAGE);
        assert!(line.contains("--source NAME"), "{line}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let home = scratch_dir();
    let text = numbered_words(3_000);
    let with = |arguments: &[&str]| {
        let all = [&["--source", "text", "--redeliver", "0.3"], arguments].concat();
        of_text(home.path(), &all, &text).expect_quiet_success()
    };
    for shuffle in [&[][..], &["--shuffle"]] {
        let seeded = |seed| with(&[&["--seed", seed], shuffle].concat());
        assert!(seeded("7") == seeded("7"));
        assert!(seeded("7") != seeded("8"));
        assert!(
            seeded("0") == with(shuffle),
            "the seed is 0 if none is given"
        );
    }
}

#[test]
fn a_share_of_0_sends_each_event_once_and_in_order() {
    let home = scratch_dir();
    let text = numbered_words(2_000);
    let output = of_text(
        home.path(),
        &["--source", "text", "--redeliver", "0"],
        &text,
    )
    .expect_quiet_success();
    assert_eq!(events_of(&output), places(text.as_bytes(), "text"));
    let usual = of_text(home.path(), &["--source", "text"], &text).expect_quiet_success();
    assert!(output == usual, "nothing is sent again if not asked for");
}

#[test]
fn a_share_of_1_sends_each_event_exactly_twice() {
    let home = scratch_dir();
    let text = numbered_words(5_000);
    let expected = places(text.as_bytes(), "text");
    for shuffle in [&[][..], &["--shuffle"]] {
        let arguments = [
            &["--source", "text", "--redeliver", "1", "--seed", "3"],
            shuffle,
        ]
        .concat();
        let output = of_text(home.path(), &arguments, &text).expect_quiet_success();
        let sent = events_of(&output);
        let mut deliveries = BTreeMap::new();
        for event in &sent {
            *deliveries.entry(event).or_insert(0) += 1;
        }
        assert!(
            deliveries
                .keys()
                .copied()
                .eq(&BTreeSet::from_iter(expected.clone()))
        );
        assert!(deliveries.values().all(|&times| times == 2));
        let numbers = requests(&output).into_iter().map(|r| r.msg_id);
        assert!(numbers.eq(1..=10_000), "each delivery has its own number");
    }
}

#[test]
fn without_shuffling_first_deliveries_are_in_order_and_redeliveries_soon_after_them() {
    let home = scratch_dir();
    let text = numbered_words(5_000);
    let arguments = ["--source", "text", "--redeliver", "0.5", "--seed", "3"];
    let output = of_text(home.path(), &arguments, &text).expect_quiet_success();
    let (mut first, mut delays) = (Vec::new(), Vec::new());
    for event in events_of(&output) {
        match first.iter().rposition(|earlier| *earlier == event) {
            Some(at) => delays.push(first.len() - 1 - at),
            None => first.push(event),
        }
    }
    assert_eq!(first, places(text.as_bytes(), "text"));
    assert!((2_000..3_000).contains(&delays.len()), "{}", delays.len());
    assert!(delays.iter().all(|&delay| delay <= MAX_DELAY_EVENTS));
    let is_late = |delay: &&usize| **delay > MAX_DELAY_EVENTS / 2;
    assert!(
        delays.iter().filter(is_late).count() > 100,
        "some redeliveries come late"
    );
}

#[test]
fn shuffling_changes_the_order_and_nothing_else() {
    let home = scratch_dir();
    let text = numbered_words(2_000);
    let output =
        of_text(home.path(), &["--source", "text", "--shuffle"], &text).expect_quiet_success();
    let (mut sent, mut expected) = (events_of(&output), places(text.as_bytes(), "text"));
    assert_ne!(sent, expected);
    sent.sort();
    expected.sort();
    assert_eq!(sent, expected);
}

#[test]
fn two_inputs_of_the_same_name_are_wrong_arguments_and_nothing_is_sent() {
    let home = scratch_dir();
    for folder in ["a", "b"] {
        fs::create_dir(home.path().join(folder)).expect("it can be made");
        fs::write(home.path().join(folder).join("x.txt"), "x").expect("it can be written");
    }
    for arguments in [
        &["a/x.txt", "a/x.txt"][..],
        &["a/x.txt", "b/x.txt", "--source", "x"],
        &["-", "a/x.txt", "--source", "x"],
    ] {
        let finished = of_text(home.path(), arguments, "y");
        let line = finished.expect_refusal(exit::USAGE);
        assert!(line.contains("are both named"), "{line}");
    }
}

#[test]
fn a_word_that_is_not_utf_8_is_left_out_and_named_with_its_offset() {
    let home = scratch_dir();
    fs::write(home.path().join("latin.txt"), b"abc d\xffe f").expect("it can be written");
    let finished = of_text(home.path(), &["latin.txt"], "").expect_status(exit::REFUSED);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    for part in ["latin.txt", "line 1", "not UTF-8", "byte 5"] {
        assert!(
            finished.stderr.contains(part),
            "{part}: {}",
            finished.stderr
        );
    }
    let expected = places(b"abc d_e f", "latin.txt");
    assert_eq!(
        events_of(&finished.stdout),
        [&expected[..1], &expected[2..]].concat()
    );
    let accepted = of_text(home.path(), &["latin.txt", "--skip-bad", "1"], "");
    assert_eq!(events_of(&accepted.expect_quiet_success()).len(), 2);
}

#[test]
fn a_file_that_cannot_be_read_is_refused_with_its_name() {
    let home = scratch_dir();
    fs::create_dir(home.path().join("folder")).expect("it can be made");
    for (name, cause) in [
        ("missing.txt", "os error 2"),
        ("folder", "os error 21"),
        (".", "os error 21"),
    ] {
        let line = of_text(home.path(), &[name], "").expect_refusal(exit::INPUT_OR_OUTPUT);
        assert!(line.contains(name) && line.contains(cause), "{line}");
    }
}

#[test]
fn a_share_outside_0_to_1_is_a_wrong_argument() {
    for share in ["1.01", "-0.1", "NaN", "inf", "half", ""] {
        let share = format!("--redeliver={share}");
        let finished = run(binary().args(["import", "--print", &share]), "");
        assert_eq!(finished.code(), Some(exit::USAGE), "{share}");
        assert_eq!(finished.stdout, "");
        assert!(
            finished.stderr.contains("from 0 to 1"),
            "{}",
            finished.stderr
        );
    }
}

#[test]
fn it_ends_quietly_when_its_reader_is_gone() {
    let home = scratch_dir();
    let text = numbered_words(50_000);
    fs::write(home.path().join("text"), text).expect("it can be written");
    let mut command = binary();
    command
        .current_dir(home.path())
        .args(["import", "--print", "--input-format", "words", "text"]);
    let mut child = spawn(&mut command);
    drop(child.stdout.take());
    let finished = finish(child);
    assert_eq!(finished.code(), Some(exit::INPUT_OR_OUTPUT));
    assert_eq!(finished.stderr, "");
}

fn requests(output: &str) -> Vec<Request> {
    let requests: Vec<Request> = records_in(output);
    for request in &requests {
        assert_eq!(request.r#type, "process");
    }
    requests
}

/// The ids and words that were sent.
fn events_of(output: &str) -> Vec<(String, String)> {
    let requests = requests(output).into_iter();
    requests
        .map(|request| (request.event_id, request.word))
        .collect()
}

/// The ids and words of a text, found by testing each byte for the start of a word.
fn places(text: &[u8], name: &str) -> Vec<(String, String)> {
    let is_space = |at: usize| b" \t\n\x0b\x0c\r".contains(&text[at]);
    let starts = (0..text.len()).filter(|&at| !is_space(at) && (at == 0 || is_space(at - 1)));
    starts
        .map(|start| {
            let end = (start..text.len()).find(|&at| is_space(at));
            let word = &text[start..end.unwrap_or(text.len())];
            let word = String::from_utf8(word.to_vec()).expect("the texts are UTF-8");
            (format!("{name}:{start}"), word)
        })
        .collect()
}

fn numbered_words(count: usize) -> String {
    (0..count).map(|number| format!("w{number} ")).collect()
}
