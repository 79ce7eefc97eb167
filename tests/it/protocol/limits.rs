//! Section 5: a value at each limit is accepted, and one more is refused.

use super::malformed::{Bad, MsgId, check_refused};
use super::{answers, answers_to, with_body};
use crate::kit::{ErrorReply, accepted, event_line};

/// The longest line, without its newline.
const MAX_LINE_BYTES: usize = 1 << 20;
const MAX_NESTING: usize = 128;

/// Texts of exactly this many bytes of UTF-8: in one-byte characters, in longer ones, and escaped.
fn texts_of(bytes: usize) -> Vec<String> {
    let (pairs, quads) = (bytes / 2, bytes / 4);
    vec![
        "x".repeat(bytes),
        "é".repeat(pairs) + &"x".repeat(bytes - 2 * pairs),
        "x".repeat(bytes - 4 * quads) + &"😀".repeat(quads),
        r"\u00e9".repeat(pairs) + &"x".repeat(bytes - 2 * pairs),
        r"\ud83d\ude00".repeat(quads) + &r"\n".repeat(bytes - 4 * quads),
    ]
}

/// A member with a limit, and a body as a function of the text in it.
struct Limited {
    member: &'static str,
    max_bytes: usize,
    body: fn(&str) -> String,
    /// True if the request succeeds on a new state.
    succeeds: bool,
}

const LIMITED: [Limited; 4] = [
    Limited {
        member: "event_id",
        max_bytes: 512,
        body: |text| format!(r#"{{"type":"process","msg_id":7,"event_id":"{text}","word":"w"}}"#),
        succeeds: true,
    },
    Limited {
        member: "word",
        max_bytes: 1024,
        body: |text| format!(r#"{{"type":"process","msg_id":7,"event_id":"e","word":"{text}"}}"#),
        succeeds: true,
    },
    Limited {
        member: "checkpoint_id",
        max_bytes: 256,
        body: |text| format!(r#"{{"type":"checkpoint","msg_id":7,"checkpoint_id":"{text}"}}"#),
        succeeds: true,
    },
    Limited {
        member: "checkpoint_id",
        max_bytes: 256,
        body: |text| format!(r#"{{"type":"restore","msg_id":7,"checkpoint_id":"{text}"}}"#),
        succeeds: false,
    },
];

#[test]
fn texts_of_exactly_the_limit_in_bytes_are_accepted() {
    for Limited {
        member,
        max_bytes,
        body,
        succeeds,
    } in LIMITED
    {
        for text in texts_of(max_bytes).into_iter().chain(texts_of(1)) {
            let replies = answers(&[with_body(&body(&text))]);
            assert_eq!(replies.len(), 1);
            if succeeds {
                assert!(
                    !replies[0].contains(r#""error""#),
                    "{member} {text}: {}",
                    replies[0]
                );
            } else {
                assert_eq!(
                    ErrorReply::of(&replies[0]).code,
                    20,
                    "{member} {text}: {}",
                    replies[0]
                );
            }
        }
    }
}

#[test]
fn texts_one_byte_over_the_limit_or_empty_are_malformed() {
    let mut rows = Vec::new();
    for Limited {
        member,
        max_bytes,
        body,
        ..
    } in LIMITED
    {
        for text in texts_of(max_bytes + 1)
            .into_iter()
            .chain([String::new(), "x".repeat(99_999)])
        {
            rows.push(Bad::new(with_body(&body(&text)), MsgId::Is(7), member));
        }
    }
    check_refused(&rows, 12);
}

#[test]
fn the_longest_texts_survive_everything_together() {
    let long = |bytes| texts_of(bytes).swap_remove(1);
    let (event_id, word, name) = (long(512), long(1024), long(256));
    let checkpoint = |kind, msg_id| {
        with_body(&format!(
            r#"{{"type":"{kind}","msg_id":{msg_id},"checkpoint_id":"{name}"}}"#
        ))
    };
    let lines = [
        event_line(1, &event_id, &word),
        checkpoint("checkpoint", 2),
        checkpoint("restore", 3),
    ];
    let expected = [
        accepted(1, &word, 1),
        format!(r#"{{"type": "checkpoint_saved", "in_reply_to": 2, "checkpoint_id": "{name}"}}"#),
        format!(r#"{{"type": "restored", "in_reply_to": 3, "counts": {{"{word}": 1}}}}"#),
    ];
    assert_eq!(answers(&lines), expected);
}

#[test]
fn msg_id_may_be_anything_from_zero_to_the_largest_of_64_bits() {
    for msg_id in [
        0,
        1,
        u64::from(u32::MAX) + 1,
        1 << 53,
        (1 << 53) + 1,
        1 << 63,
        u64::MAX,
    ] {
        let replies = answers(&[event_line(msg_id, "e1", "a"), event_line(msg_id, "e2", "a")]);
        assert_eq!(
            replies,
            [accepted(msg_id, "a", 1), accepted(msg_id, "a", 2)]
        );
    }
}

#[test]
fn a_msg_id_that_is_no_such_integer_is_malformed() {
    let values = [
        "18446744073709551616",
        "100000000000000000000000000000000000000000",
        "-1",
        "1.0",
        "1e2",
        "1E0",
        "0.5",
        r#""1""#,
        "null",
        "true",
        "[1]",
        "{}",
    ];
    let bad = |value| {
        let body = format!(r#"{{"type":"process","msg_id":{value},"event_id":"bad","word":"w"}}"#);
        Bad::new(with_body(&body), MsgId::Absent, "msg_id")
    };
    check_refused(&values.map(bad), 12);
}

/// A `process` line of exactly this many bytes, padded by an ignored member.
fn line_of(bytes: usize, msg_id: u64, event_id: &str) -> String {
    let line = |padding: &str| {
        let start = format!(r#""type":"process","msg_id":{msg_id}"#);
        let rest = format!(r#""event_id":"{event_id}","word":"a","x":"{padding}""#);
        with_body(&format!("{{{start},{rest}}}"))
    };
    line(&"x".repeat(bytes - line("").len()))
}

#[test]
fn a_line_of_exactly_one_mebibyte_is_accepted() {
    let (first, last) = (
        line_of(MAX_LINE_BYTES, 1, "e1"),
        line_of(MAX_LINE_BYTES, 2, "e2"),
    );
    assert_eq!(first.len(), MAX_LINE_BYTES);
    let input = format!("{first}\n{last}");
    assert_eq!(
        answers_to(input.as_bytes()),
        [accepted(1, "a", 1), accepted(2, "a", 2)]
    );
}

#[test]
fn a_line_over_one_mebibyte_is_refused_without_upsetting_the_next_line() {
    let long = |bytes| Bad::new(line_of(bytes, 7, "bad"), MsgId::Absent, "");
    check_refused(&[long(MAX_LINE_BYTES + 1), long(5 * MAX_LINE_BYTES)], 12);
    let spaces = Bad::new("x".repeat(2 * MAX_LINE_BYTES), MsgId::Absent, "");
    check_refused(&[spaces], 12);
}

#[test]
fn a_last_line_over_one_mebibyte_without_a_newline_is_refused_too() {
    let input = format!(
        "{}\n{}",
        event_line(1, "e1", "a"),
        line_of(MAX_LINE_BYTES + 1, 2, "e2")
    );
    let replies = answers_to(input.as_bytes());
    assert_eq!(replies[0], accepted(1, "a", 1));
    let error = ErrorReply::of(&replies[1]);
    assert_eq!(
        (error.code, error.in_reply_to, replies.len()),
        (12, None, 2)
    );
}

/// Nested arrays and objects, `levels` deep.
fn nested(levels: usize) -> String {
    let open: String = (0..levels)
        .map(|n| if n % 2 == 0 { "[" } else { r#"{"k":"# })
        .collect();
    let close: String = (0..levels)
        .rev()
        .map(|n| if n % 2 == 0 { "]" } else { "}" })
        .collect();
    let middle = if levels.is_multiple_of(2) { "0" } else { "" };
    open + middle + &close
}

/// Lines whose deepest value is at this level; the envelope is level 1, its body level 2.
fn lines_of_depth(depth: usize) -> Vec<String> {
    let process = |before: &str, after: &str| {
        let members = r#""type":"process","msg_id":7,"event_id":"e1","word":"a""#;
        format!("{{{before}{members}{after}}}")
    };
    let (outside, inside) = (nested(depth - 1), nested(depth - 2));
    let around = |member: &str| {
        format!(
            r#"{{{member}"src":"c","dest":"d","body":{}}}"#,
            process("", "")
        )
    };
    vec![
        with_body(&process("", &format!(r#","x":{inside}"#))),
        with_body(&process(&format!(r#""x":{inside},"#), "")),
        around(&format!(r#""x":{outside},"#)),
        with_body(&process("", "")).replace("}}", &format!(r#"}},"x":{outside}}}"#)),
    ]
}

#[test]
fn nesting_of_128_levels_is_accepted_in_ignored_members() {
    for line in lines_of_depth(MAX_NESTING) {
        assert_eq!(
            answers(std::slice::from_ref(&line)),
            [accepted(7, "a", 1)],
            "{line}"
        );
    }
}

#[test]
fn nesting_of_129_levels_is_malformed_in_ignored_members_too() {
    let lines = lines_of_depth(MAX_NESTING + 1);
    let rows: Vec<_> = lines
        .into_iter()
        .map(|line| Bad::new(line, MsgId::Is(7), ""))
        .collect();
    check_refused(&rows, 12);
}

#[test]
fn brackets_to_the_end_of_the_longest_line_are_malformed_and_harmless() {
    let start = r#"{"src":"c","dest":"d","body":{"type":"commit","msg_id":7,"x":"#;
    let open = start.to_owned() + &"[".repeat(MAX_LINE_BYTES - start.len());
    let deep = start.to_owned() + &nested(200_000) + "}}";
    let rows = [
        Bad::new(open, MsgId::Either, ""),
        Bad::new("[".repeat(MAX_LINE_BYTES), MsgId::Absent, ""),
        Bad::new(deep, MsgId::Either, ""),
    ];
    check_refused(&rows, 12);
}
