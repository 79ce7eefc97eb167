//! Section 5: which lines are refused, with which error, and that nothing else changes.

use super::{answers_in, with_body};
use crate::kit::{ErrorReply, accepted, dump, event, home_and_data_dir};
use crate::oracle::Oracle;

/// What `in_reply_to` of a refusal must be.
#[derive(Clone, Copy, Debug)]
pub enum MsgId {
    Is(u64),
    Absent,
    /// The page leaves open whether the `msg_id` of such a line can be read.
    Either,
}

impl MsgId {
    /// True if a refusal may have this `in_reply_to`.
    pub fn allows(self, in_reply_to: Option<u64>) -> bool {
        match self {
            Self::Is(msg_id) => in_reply_to == Some(msg_id),
            Self::Absent => in_reply_to.is_none(),
            Self::Either => true,
        }
    }
}

/// True if the text of a refusal names this number of a line.
pub fn names_line(text: &str, number: usize) -> bool {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let wanted = number.to_string();
    numbers.any(|n| n == wanted)
}

/// A line that must be refused.
pub struct Bad {
    line: Vec<u8>,
    in_reply_to: MsgId,
    /// What the text must name besides the line number.
    names: &'static str,
}

impl Bad {
    pub fn new(line: impl Into<Vec<u8>>, in_reply_to: MsgId, names: &'static str) -> Self {
        Self {
            line: line.into(),
            in_reply_to,
            names,
        }
    }

    fn check(&self, reply: &str, code: u32, line_number: usize) {
        let start = &self.line[..self.line.len().min(200)];
        let context = format!("{} ...\n  {reply}", String::from_utf8_lossy(start));
        let error = ErrorReply::of(reply);
        assert_eq!(error.code, code, "{context}");
        let is_allowed = self.in_reply_to.allows(error.in_reply_to);
        assert!(is_allowed, "in_reply_to: {context}");
        assert!(
            error.text.contains(self.names),
            "should name {}: {context}",
            self.names
        );
        assert!(
            code != 12 || names_line(&error.text, line_number),
            "should name line {line_number}: {context}"
        );
    }
}

/// Sends the bad lines with a good one before, between and after them, and checks that each is
/// refused with `code` and that the state is that of the good lines alone.
pub fn check_refused(rows: &[Bad], code: u32) {
    let good: Vec<_> = (0..=rows.len())
        .map(|n| event(format!("good{n}"), "w"))
        .collect();
    let mut input = Vec::new();
    for (number, request) in good.iter().enumerate() {
        input.extend(request.line(number as u64).into_bytes());
        input.push(b'\n');
        if let Some(bad) = rows.get(number) {
            input.extend(&bad.line);
            input.push(b'\n');
        }
    }
    let (_home, data_dir) = home_and_data_dir();
    let replies = answers_in(&data_dir, &input);
    assert_eq!(
        replies.len(),
        good.len() + rows.len(),
        "one reply to each line"
    );
    for (number, pair) in replies.chunks(2).enumerate() {
        let msg_id = number as u64;
        assert_eq!(
            pair[0],
            accepted(msg_id, "w", msg_id + 1),
            "after {number} bad lines"
        );
        if let Some(bad) = rows.get(number) {
            bad.check(&pair[1], code, 2 * number + 2);
        }
    }
    dump::assert_is(&data_dir, &Oracle::after(&good));
}

/// Bad lines that must all get the same error.
fn rows<L: Into<Vec<u8>>>(
    lines: impl IntoIterator<Item = L>,
    in_reply_to: MsgId,
    names: &'static str,
) -> Vec<Bad> {
    lines
        .into_iter()
        .map(|line| Bad::new(line, in_reply_to, names))
        .collect()
}

/// A `process` line, malformed or not, with these members after `msg_id` 7.
fn process_with(members: &str) -> String {
    with_body(&format!(r#"{{"type":"process","msg_id":7,{members}}}"#))
}

#[test]
fn what_is_not_json_is_malformed() {
    let whole = process_with(r#""event_id":"bad","word":"w""#);
    let mut lines: Vec<String> = [
        "nonsense",
        "{",
        "}",
        "{}{}",
        "{} x",
        "'a'",
        "{'src':'c'}",
        "// comment",
        r#"{"src":"c","dest":"d","body":{"type":"commit","msg_id":7},}"#,
        r#"{"src":"c","dest":"d","body":{"type":"commit","msg_id":7,}}"#,
        r#"{"src":"c" "dest":"d","body":{"type":"commit","msg_id":7}}"#,
        r#"{"src":"c","dest":"d","body":{"type":"commit","msg_id":07}}"#,
        r#"{"src":"c","dest":"d","body":{"type":"commit","msg_id":+7}}"#,
        r#"{"src":"c","dest":"d","body":{"type":"commit","msg_id":7}"#,
        r#"{"src":"c","dest":"d","body":{"type":"commit","msg_id":7}}}"#,
        r#"{src:"c","dest":"d","body":{"type":"commit","msg_id":7}}"#,
    ]
    .map(str::to_owned)
    .into();
    // The value of an ignored member must be JSON too.
    let not_json = [
        "01",
        "1.",
        ".5",
        "1e",
        "-",
        "+1",
        "0x1",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "True",
        "[1,]",
        "[,1]",
        "[1 2]",
        r#"{"a"}"#,
        r#"{"a":}"#,
        "{1:2}",
        r#"{"a":1,}"#,
        r#""\x""#,
        r#""\u12""#,
        r#""\u12G4""#,
        r#""\u+123""#,
        "'a'",
        r#""open"#,
        "[}",
        "\"\u{1}\"",
        "\"\t\"",
        "\u{a0}1",
        "\u{b}1",
        "/**/1",
    ];
    lines.extend(
        not_json.map(|value| process_with(&format!(r#""x":{value},"event_id":"bad","word":"w""#))),
    );
    lines.push(format!("{whole}{whole}"));
    lines.push(format!("{whole},"));
    lines.push(format!("[{whole}"));
    check_refused(&rows(lines, MsgId::Absent, ""), 12);
}

#[test]
fn every_beginning_of_a_request_is_malformed() {
    let whole = process_with(r#""event_id":"bad","word":"w\u00e9\n""#);
    let beginnings = (1..whole.len()).map(|end| whole[..end].to_owned());
    check_refused(&rows(beginnings, MsgId::Absent, ""), 12);
}

#[test]
fn json_that_is_not_an_object_is_malformed() {
    let lines = [
        "null",
        "true",
        "7",
        "-0.5",
        r#""process""#,
        "[]",
        "[{}]",
        r#"[{"body":{}}]"#,
    ];
    check_refused(&rows(lines, MsgId::Absent, ""), 12);
}

#[test]
fn a_line_without_a_body_and_a_type_is_malformed() {
    let lines = [
        "{}",
        r#"{"src":"c","dest":"d"}"#,
        r#"{"src":"c","dest":"d","Body":{"type":"commit"}}"#,
        r#"{"Type":"commit"}"#,
        r#"{"msg_id":7}"#,
        r#"{"x":{"body":{"type":"commit"}}}"#,
    ];
    check_refused(&rows(lines, MsgId::Absent, "body"), 12);
}

#[test]
fn a_body_that_is_not_an_object_is_malformed() {
    let bodies = [
        "null",
        "true",
        "7",
        r#""{}""#,
        "[]",
        r#"[{"type":"commit","msg_id":7}]"#,
    ];
    check_refused(&rows(bodies.map(with_body), MsgId::Absent, "body"), 12);
    let flat_too = |body| format!(r#"{{"type":"commit","msg_id":7,"body":{body}}}"#);
    check_refused(&rows(bodies.map(flat_too), MsgId::Absent, "body"), 12);
}

#[test]
fn a_missing_or_mistyped_type_is_malformed() {
    let bodies = [
        r#"{"msg_id":7}"#,
        r#"{"msg_id":7,"Type":"commit"}"#,
        r#"{"type":null,"msg_id":7}"#,
        r#"{"type":1,"msg_id":7}"#,
        r#"{"type":["commit"],"msg_id":7}"#,
        r#"{"msg_id":7,"type":{"commit":1}}"#,
    ];
    check_refused(&rows(bodies.map(with_body), MsgId::Is(7), "type"), 12);
    let flat = bodies[2..].iter().copied();
    check_refused(&rows(flat, MsgId::Is(7), "type"), 12);
}

#[test]
fn an_unknown_type_is_not_supported() {
    let kinds = [
        "nonsense",
        "Process",
        "processed",
        "commit ",
        "init_ok",
        "comm\\u0000it",
        "é",
    ];
    let flat = |kind| format!(r#"{{"type":"{kind}","msg_id":7,"event_id":"bad"}}"#);
    check_refused(&rows(kinds.map(flat), MsgId::Is(7), ""), 10);
    let body = |kind| with_body(&flat(kind));
    check_refused(&rows(kinds.map(body), MsgId::Is(7), ""), 10);
}

/// Makes a request body from its last member, which may be left out or wrong.
type BodyWith = fn(&str) -> String;

/// The members that requests need, each with the body of such a request.
const NEEDED: [(&str, BodyWith); 5] = [
    ("event_id", |member| {
        format!(r#"{{"type":"process","msg_id":7,"word":"w"{member}}}"#)
    }),
    ("word", |member| {
        format!(r#"{{"type":"process","msg_id":7,"event_id":"bad"{member}}}"#)
    }),
    ("checkpoint_id", |member| {
        format!(r#"{{"type":"checkpoint","msg_id":7{member}}}"#)
    }),
    ("checkpoint_id", |member| {
        format!(r#"{{"type":"restore","msg_id":7{member}}}"#)
    }),
    ("node_id", |member| {
        format!(r#"{{"type":"init","msg_id":7,"node_ids":["n1"]{member}}}"#)
    }),
];

#[test]
fn a_missing_member_is_malformed_and_named() {
    for (name, body) in NEEDED {
        let elsewhere = format!(r#","x":{{"{name}":"there"}}"#);
        let misspelt = format!(r#","{}":"there""#, name.to_uppercase());
        let flat = ["", &elsewhere, &misspelt].map(body);
        let lines = flat.each_ref().map(|body| with_body(body));
        check_refused(&rows(lines, MsgId::Is(7), name), 12);
        check_refused(&rows(flat, MsgId::Is(7), name), 12);
    }
    let init = with_body(r#"{"type":"init","msg_id":7,"node_id":"n1"}"#);
    check_refused(&rows([init], MsgId::Is(7), "node_ids"), 12);
}

#[test]
fn a_member_of_the_wrong_json_type_is_malformed_and_named() {
    for (name, body) in NEEDED {
        let values = [
            "null",
            "true",
            "1",
            "1.5",
            "[]",
            r#"["text"]"#,
            "{}",
            r#"{"a":"text"}"#,
        ];
        let flat = values.map(|value| body(&format!(r#","{name}":{value}"#)));
        let lines = flat.each_ref().map(|body| with_body(body));
        check_refused(&rows(lines, MsgId::Is(7), name), 12);
        check_refused(&rows(flat, MsgId::Is(7), name), 12);
    }
}

#[test]
fn a_repeated_known_member_is_malformed() {
    let mut bad = Vec::new();
    for (name, body) in NEEDED {
        let again = format!(r#","{name}":"there","{name}":"there""#);
        let flat = body(&again);
        bad.extend(rows([with_body(&flat), flat], MsgId::Is(7), name));
    }
    for name in ["src", "dest"] {
        let flat = format!(r#"{{"type":"commit","msg_id":7,"{name}":"a","{name}":"a"}}"#);
        bad.extend(rows([flat], MsgId::Is(7), name));
    }
    let kind = r#""type":"process","event_id":"bad","word":"w","type":"process""#;
    bad.extend(rows(
        [
            format!(r#"{{"msg_id":7,{kind}}}"#),
            with_body(&format!(r#"{{"msg_id":7,{kind}}}"#)),
        ],
        MsgId::Is(7),
        "type",
    ));
    let escaped = process_with(r#""event_id":"bad","word":"w","wor\u0064":"w""#);
    bad.extend(rows([escaped], MsgId::Is(7), "word"));
    let msg_id = process_with(r#""event_id":"bad","word":"w","msg_id":7"#);
    bad.extend(rows([msg_id], MsgId::Either, "msg_id"));
    let whole = process_with(r#""event_id":"bad","word":"w""#);
    let src = whole.replacen('{', r#"{"src":"c1","#, 1);
    bad.extend(rows([src], MsgId::Is(7), "src"));
    let body = whole.replacen('{', r#"{"body":{"type":"commit"},"#, 1);
    bad.extend(rows([body], MsgId::Either, "body"));
    check_refused(&bad, 12);
}

#[test]
fn lone_surrogates_are_malformed_in_known_and_in_ignored_members() {
    let mut lines = Vec::new();
    for text in [
        r"\ud800",
        r"\udbff",
        r"\udc00",
        r"\uDFFF",
        r"a\ud83d",
        r"\ud83dx",
        r"\ud83d\n",
        r"\ud83d\ud83d\ude00",
        r"\ude00\ud83d",
        r"\ud83d\u0041",
        r"\ud83d\\ude00",
        r"\ud83d😀",
    ] {
        lines.extend([
            process_with(&format!(r#""event_id":"{text}","word":"w""#)),
            process_with(&format!(r#""event_id":"bad","word":"{text}""#)),
            process_with(&format!(r#""event_id":"bad","word":"w","x":"{text}""#)),
            process_with(&format!(
                r#""x":[{{"y":"{text}"}}],"event_id":"bad","word":"w""#
            )),
            process_with(&format!(r#""event_id":"bad","word":"w","{text}":0"#)),
            process_with(r#""event_id":"bad","word":"w""#).replacen(
                '{',
                &format!(r#"{{"x":"{text}","#),
                1,
            ),
            process_with(r#""event_id":"bad","word":"w""#).replace("n1", text),
            // A known name that is written with an escape is still known.
            format!(r#"{{"x":"{text}","body":{{"\u006dsg_id":7,"type":"commit"}}}}"#),
            with_body(&format!(
                r#"{{"type":"checkpoint","msg_id":7,"checkpoint_id":"{text}"}}"#
            )),
        ]);
    }
    check_refused(&rows(lines, MsgId::Is(7), ""), 12);
}

#[test]
fn what_is_not_utf8_is_malformed_in_known_and_in_ignored_members() {
    let bytes: [&[u8]; 8] = [
        b"\xff",
        b"\x80",
        b"\xc3",
        b"\xc0\xaf",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
    ];
    let mut lines = Vec::new();
    for bytes in bytes {
        for member in ["word", "event_id", "x"] {
            let text = process_with(r#""event_id":"bad?","word":"w?","x":"y?""#);
            let (before, after) = text
                .split_once(&format!(r#""{member}":""#))
                .expect("it is there");
            let start = format!(r#"{before}"{member}":""#);
            lines.push([start.as_bytes(), bytes, after.as_bytes()].concat());
        }
        lines.push(bytes.to_vec());
    }
    check_refused(&rows(lines, MsgId::Absent, ""), 12);
}

#[test]
fn a_byte_order_mark_is_malformed_on_any_line() {
    let line = format!("\u{feff}{}", process_with(r#""event_id":"bad","word":"w""#));
    let only = "\u{feff}".to_owned();
    check_refused(
        &rows([line.clone(), only, line.clone()], MsgId::Either, ""),
        12,
    );
    let first = super::answers(&[line, process_with(r#""event_id":"e1","word":"w""#)]);
    assert_eq!(
        (ErrorReply::of(&first[0]).code, &*first[1]),
        (12, &*accepted(7, "w", 1))
    );
}
