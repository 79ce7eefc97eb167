//! Section 1: lines, their order, what is ignored, and how replies are escaped.

use super::{answers, answers_to, with_body};
use crate::kit::{ErrorReply, Node, accepted, checkpoint, duplicate, event, event_line};
use crate::oracle::{Oracle, Request, wire};
use std::fmt::Write as _;

#[test]
fn the_first_sample_case_is_answered_byte_for_byte_without_arguments() {
    let input = concat!(
        r#"{"src":"stream","dest":"processor","#,
        r#""body":{"type":"process","msg_id":1,"event_id":"e1","word":"hello"}}"#,
        "\n",
        r#"{"src":"stream","dest":"processor","#,
        r#""body":{"type":"process","msg_id":2,"event_id":"e1","word":"hello"}}"#,
        "\n",
    );
    let output = concat!(
        r#"{"type": "processed", "in_reply_to": 1, "word": "hello", "#,
        r#""count": 1, "was_duplicate": false}"#,
        "\n",
        r#"{"type": "processed", "in_reply_to": 2, "word": "hello", "#,
        r#""count": 1, "was_duplicate": true}"#,
        "\n",
    );
    check_sample(input, output);
}

#[test]
fn the_second_sample_case_is_answered_byte_for_byte_without_arguments() {
    let input = concat!(
        r#"{"src":"stream","dest":"processor","#,
        r#""body":{"type":"process","msg_id":1,"event_id":"e1","word":"hello"}}"#,
        "\n",
        r#"{"src":"client","dest":"processor","#,
        r#""body":{"type":"checkpoint","msg_id":2,"checkpoint_id":"cp1"}}"#,
        "\n",
        r#"{"src":"client","dest":"processor","#,
        r#""body":{"type":"restore","msg_id":3,"checkpoint_id":"cp1"}}"#,
        "\n",
    );
    let output = concat!(
        r#"{"type": "processed", "in_reply_to": 1, "word": "hello", "#,
        r#""count": 1, "was_duplicate": false}"#,
        "\n",
        r#"{"type": "checkpoint_saved", "in_reply_to": 2, "checkpoint_id": "cp1"}"#,
        "\n",
        r#"{"type": "restored", "in_reply_to": 3, "counts": {"hello": 1}}"#,
        "\n",
    );
    check_sample(input, output);
}

fn check_sample(input: &str, output: &str) {
    let node = Node::start(None, &[]);
    node.send_raw(input.as_bytes().to_vec());
    let ended = node.finish();
    assert_eq!(ended.expect_success(), output);
}

#[test]
fn a_reply_comes_while_stdin_is_still_open() {
    let node = Node::start(None, &[]);
    for (msg_id, word) in (1..).zip(["a", "b", "c"]) {
        node.send(&event_line(msg_id, word, word));
        assert_eq!(node.read_line(), accepted(msg_id, word, 1));
    }
    node.finish().expect_all_read();
}

#[test]
fn a_line_may_arrive_in_pieces() {
    let node = Node::start(None, &[]);
    node.send(&event_line(1, "e1", "a"));
    assert_eq!(node.read_line(), accepted(1, "a", 1));
    let line = event_line(2, "e2", "é") + "\n";
    for byte in line.bytes() {
        node.send_raw(vec![byte]);
    }
    assert_eq!(node.read_line(), accepted(2, "é", 1));
    node.finish().expect_all_read();
}

#[test]
fn replies_come_in_the_order_of_the_requests() {
    let mut oracle = Oracle::new();
    let (mut input, mut output) = (String::new(), Vec::new());
    for number in 0..3000 {
        let msg_id = number * 7919 % 3001;
        let request = match number % 50 {
            49 => Request::Commit,
            25 => checkpoint(format!("c{}", number % 3)),
            _ => event(format!("e{}", number % 2000), format!("w{}", number % 9)),
        };
        let body = oracle
            .apply(&request)
            .body(msg_id)
            .expect("none of these fails");
        output.push(body.plain());
        writeln!(input, "{}", request.line(msg_id)).expect("a string takes it");
    }
    assert_eq!(answers_to(input.as_bytes()), output);
}

#[test]
fn a_request_without_msg_id_is_carried_out_and_gets_no_reply() {
    let lines = [
        with_body(r#"{"type":"process","event_id":"e1","word":"a"}"#),
        with_body(r#"{"type":"checkpoint","checkpoint_id":"c1"}"#),
        with_body(r#"{"type":"process","event_id":"e2","word":"a"}"#),
        with_body(r#"{"type":"restore","checkpoint_id":"c1"}"#),
        with_body(r#"{"type":"commit"}"#),
        with_body(r#"{"type":"rollback"}"#),
        event_line(1, "e1", "a"),
        event_line(2, "e2", "a"),
        with_body(r#"{"type":"rollback","msg_id":3}"#),
        with_body(r#"{"type":"commit","msg_id":4}"#),
    ];
    let expected = [
        duplicate(1, "a", 1),
        accepted(2, "a", 2),
        r#"{"type": "rolled_back", "in_reply_to": 3, "discarded_count": 1}"#.to_owned(),
        r#"{"type": "committed", "in_reply_to": 4, "output_count": 0}"#.to_owned(),
    ];
    assert_eq!(answers(&lines), expected);
}

#[test]
fn a_request_without_msg_id_that_fails_gets_an_error_without_in_reply_to() {
    let replies = answers(&[
        with_body(r#"{"type":"restore","checkpoint_id":"c1"}"#),
        with_body(r#"{"type":"nonsense"}"#),
        with_body(r#"{"type":"process","event_id":"e1"}"#),
    ]);
    let errors: Vec<_> = replies.iter().map(|line| ErrorReply::of(line)).collect();
    assert_eq!(
        errors.iter().map(|e| e.code).collect::<Vec<_>>(),
        [20, 10, 12]
    );
    assert!(
        errors.iter().all(|e| e.in_reply_to.is_none()),
        "{replies:?}"
    );
}

#[test]
fn unknown_members_are_ignored_whatever_they_hold() {
    let values = [
        "null",
        "true",
        "-0.5e+300",
        "1e999",
        "123456789012345678901234567890",
        r#""é\u0000\ud83d\ude00""#,
        "[]",
        "{}",
        r#"[{"word":"x","word":"y","msg_id":-1},[[]]]"#,
    ];
    for (value, number) in values.iter().zip(1..) {
        let start = format!(r#""x":{value},"type":"process","x":{value},"msg_id":{number}"#);
        let rest = format!(r#""event_id":"e1","Word":1,"word":"a","":{value}"#);
        let body = format!("{{{start},{rest}}}");
        let line =
            format!(r#"{{"y":{value},"body":{body},"id":{value},"id":1,"src":"c","dest":"d"}}"#);
        assert_eq!(answers(&[line]), [accepted(number, "a", 1)], "{value}");
    }
}

#[test]
fn members_may_come_in_any_order_and_with_escaped_names() {
    let line = "{\"body\" : {\"wo\\u0072d\":\"a\",\t\"event_id\":\"e1\" , \"msg_id\": 1,\
                \"ty\\u0070e\":\"pro\\u0063ess\"}, \"dest\":\"d\",\"src\":\"s\"}";
    assert_eq!(answers(&[line.to_owned()]), [accepted(1, "a", 1)]);
}

#[test]
fn white_space_around_a_request_is_ignored() {
    let line = format!("\t  {} \t", event_line(1, "e1", "a"));
    assert_eq!(answers(&[line]), [accepted(1, "a", 1)]);
}

#[test]
fn blank_lines_are_ignored() {
    let input = format!("\n\n  \n\t\n\r\n \r\n{}\n\n", event_line(1, "e1", "a"));
    assert_eq!(answers_to(input.as_bytes()), [accepted(1, "a", 1)]);
    assert_eq!(answers_to(b"\n \n\r\n"), [""; 0]);
}

#[test]
fn blank_lines_are_counted_in_line_numbers() {
    let input = format!(
        "{}\n\n \n\r\n{}\nnonsense\n",
        "\n".repeat(713),
        event_line(1, "e1", "a")
    );
    let replies = answers_to(input.as_bytes());
    assert_eq!(replies[0], accepted(1, "a", 1));
    let text = ErrorReply::of(&replies[1]).text;
    assert!(text.contains("719"), "line 719 is not JSON: {text}");
}

#[test]
fn lines_may_end_in_carriage_return_and_newline() {
    let input = format!(
        "{}\r\n{}\r\n",
        event_line(1, "e1", "a"),
        event_line(2, "e2", "a")
    );
    assert_eq!(
        answers_to(input.as_bytes()),
        [accepted(1, "a", 1), accepted(2, "a", 2)]
    );
}

#[test]
fn a_last_line_without_a_newline_counts_at_end_of_input() {
    let input = format!("{}\n{}", event_line(1, "e1", "a"), event_line(2, "e2", "a"));
    assert_eq!(
        answers_to(input.as_bytes()),
        [accepted(1, "a", 1), accepted(2, "a", 2)]
    );
    let bad = answers_to(br#"{"src":"c1","body":{"type":"commit","msg_id":1}"#);
    assert_eq!(ErrorReply::of(&bad[0]).code, 12);
}

#[test]
fn no_input_at_all_ends_well_without_a_reply() {
    assert_eq!(answers_to(b""), [""; 0]);
}

/// A string in a request, and the same string as Python's `json.dumps(ensure_ascii=False)` writes
/// it, both without quotes.
const ESCAPES: [(&str, &str); 14] = [
    (r"\u0000\u0001\u001f", r"\u0000\u0001\u001f"),
    (r"\u0008\u0009\u000a\u000b\u000c\u000d", r"\b\t\n\u000b\f\r"),
    (r"\b\f\n\r\t", r"\b\f\n\r\t"),
    (r"\u000E\u001A\u001B", r"\u000e\u001a\u001b"),
    (r#"\"\\\/"#, r#"\"\\/"#),
    ("\u{7f}\\u007f", "\u{7f}\u{7f}"),
    ("\u{80}\\u009f", "\u{80}\u{9f}"),
    ("\u{2028}\\u2029", "\u{2028}\u{2029}"),
    ("é\\u00e9", "éé"),
    ("\\ud83d\\ude00😀\\uD83D\\uDE00", "😀😀😀"),
    (
        "\\ufeff\u{feff}\\ufffe\\uffff",
        "\u{feff}\u{feff}\u{fffe}\u{ffff}",
    ),
    ("\\ud800\\udc00\\udbff\\udfff", "\u{10000}\u{10ffff}"),
    ("<>&'", "<>&'"),
    (" ", " "),
];

#[test]
fn a_word_is_escaped_as_python_escapes_it() {
    for (sent, escaped) in ESCAPES {
        let body = format!(r#"{{"type":"process","msg_id":1,"event_id":"e1","word":"{sent}"}}"#);
        let other = r#"{"type":"process","msg_id":2,"event_id":"e1","word":"w"}"#;
        let expected = [
            accepted(1, "?", 1).replace('?', escaped),
            duplicate(2, "w", 0).replace('}', &format!(r#", "original_word": "{escaped}"}}"#)),
        ];
        assert_eq!(
            answers(&[with_body(&body), with_body(other)]),
            expected,
            "{sent}"
        );
    }
}

#[test]
fn checkpoint_names_and_restored_words_are_escaped_as_python_escapes_them() {
    for (sent, escaped) in ESCAPES {
        let name = format!(r#""checkpoint_id":"{sent}""#);
        let process = format!(r#"{{"type":"process","event_id":"e","word":"{sent}"}}"#);
        let lines = [
            with_body(&process),
            with_body(&format!(r#"{{"type":"checkpoint","msg_id":1,{name}}}"#)),
            with_body(&format!(r#"{{"type":"restore","msg_id":2,{name}}}"#)),
        ];
        let expected = [
            format!(
                r#"{{"type": "checkpoint_saved", "in_reply_to": 1, "checkpoint_id": "{escaped}"}}"#
            ),
            format!(r#"{{"type": "restored", "in_reply_to": 2, "counts": {{"{escaped}": 1}}}}"#),
        ];
        assert_eq!(answers(&lines), expected, "{sent}");
    }
}

#[test]
fn event_ids_are_told_apart_by_their_text_and_not_by_their_spelling() {
    let spelt = |msg_id, id: &str| {
        let rest = format!(r#""event_id":"{id}","word":"a""#);
        with_body(&format!(r#"{{"type":"process","msg_id":{msg_id},{rest}}}"#))
    };
    let lines = [
        spelt(1, "é/"),
        spelt(2, r"\u00e9\/"),
        spelt(3, r"e\u0301/"),
        spelt(4, "É/"),
    ];
    let expected = [
        accepted(1, "a", 1),
        duplicate(2, "a", 1),
        accepted(3, "a", 2),
        accepted(4, "a", 3),
    ];
    assert_eq!(answers(&lines), expected);
}

#[test]
fn the_test_suite_escapes_as_the_literal_table_says() {
    for (_, escaped) in ESCAPES {
        let text: String = serde_json::from_str(&format!("\"{escaped}\"")).expect("valid JSON");
        assert_eq!(wire::quote(&text), format!("\"{escaped}\""));
    }
}
