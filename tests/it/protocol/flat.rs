//! Section 1: a line that has no body but a type is itself the body.

use super::{answers, with_body};
use crate::kit::{accepted, event_line};

/// The bodies of requests whose replies differ in every way.
const BODIES: [&str; 12] = [
    r#"{"type":"process","msg_id":1,"event_id":"e1","word":"a"}"#,
    r#"{"type":"process","msg_id":2,"event_id":"e1","word":"a"}"#,
    r#"{"word":"b","event_id":"e\u0031","x":{"body":{}},"msg_id":3,"type":"process"}"#,
    r#"{"type":"process","event_id":"e2","word":"caf\u00e9"}"#,
    r#"{"type":"checkpoint","msg_id":5,"checkpoint_id":"c"}"#,
    r#"{"type":"process","msg_id":6,"event_id":"e3","word":"a"}"#,
    r#"{"type":"restore","msg_id":7,"checkpoint_id":"c"}"#,
    r#"{"type":"restore","msg_id":8,"checkpoint_id":"none"}"#,
    r#"{"type":"commit","msg_id":9}"#,
    r#"{"type":"rollback","msg_id":10}"#,
    r#"{"type":"nonsense","msg_id":11}"#,
    r#"{"type":"init","msg_id":12,"node_id":"n1","node_ids":["n1"]}"#,
];

#[test]
fn a_flat_request_gets_the_reply_that_it_gets_in_an_envelope() {
    let enveloped = BODIES.map(with_body);
    let sender = |body: &str| body.replacen('{', r#"{"src":"c1","dest":"n1","#, 1);
    let expected = answers(&enveloped);
    assert_eq!(
        expected.len(),
        BODIES.len() - 1,
        "one request has no number"
    );
    assert_eq!(answers(&BODIES.map(sender)), expected);
    let blanks = BODIES.map(|body| format!(" \t{body} \r"));
    let without_sender = answers(&blanks);
    let (init_ok, rest) = without_sender.split_last().expect("there are replies");
    assert_eq!(rest, &expected[..expected.len() - 1]);
    assert!(init_ok.starts_with(r#"{"src": "n1", "dest": null, "body": "#));
}

#[test]
fn a_line_that_has_a_body_is_an_envelope_whatever_else_it_has() {
    let both = r#"{"type":"rollback","msg_id":9,"msg_id":-1,"event_id":5,"body":"#;
    let body = r#"{"type":"process","msg_id":2,"event_id":"e2","word":"a"}"#;
    let lines = [
        event_line(1, "e1", "a"),
        format!("{both}{body}}}"),
        format!(r#"{{"body":{body},"type":"commit","type":"commit"}}"#).replace("e2", "e3"),
    ];
    let expected = [
        accepted(1, "a", 1),
        accepted(2, "a", 2),
        accepted(2, "a", 3),
    ];
    assert_eq!(answers(&lines), expected);
}

#[test]
fn flat_and_enveloped_requests_may_alternate() {
    let lines: Vec<String> = (0..40)
        .map(|number| {
            let flat = format!(
                r#"{{"type":"process","msg_id":{number},"event_id":"e{number}","word":"a"}}"#
            );
            match number % 3 {
                0 => with_body(&flat),
                _ => flat,
            }
        })
        .collect();
    let expected: Vec<String> = (0..40)
        .map(|number| accepted(number, "a", number + 1))
        .collect();
    assert_eq!(answers(&lines), expected);
}
