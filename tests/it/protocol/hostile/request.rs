//! Valid requests of every type, written in the various ways that JSON allows.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

/// Strings as JSON writes them, without quotes.
const TEXTS: [&str; 12] = [
    "e1",
    "w",
    "word-17",
    "é",
    "😀",
    "a b",
    r"caf\u00e9",
    r"\ud83d\ude00",
    r#"\"\\\/"#,
    r"\b\f\n\r\t",
    r"\u0000",
    "\u{2028}",
];
/// Values of unknown members.
const VALUES: [&str; 11] = [
    "null",
    "true",
    "-0.5e+300",
    "1e999",
    "123456789012345678901234567890",
    "\"\"",
    "[]",
    "{}",
    r#"[{"word":"x","word":"y","msg_id":-1},[[]]]"#,
    r#"{"type":"commit","body":{"type":1}}"#,
    r#"["{",":","}"]"#,
];
const SPACES: [&str; 6] = ["", "", "", " ", "\t ", "\r"];

/// One request without a newline, in an envelope or flat.
pub fn random(rng: &mut impl Rng) -> String {
    let mut body = vec![member("type", &format!("\"{}\"", pick(&KINDS, rng)), rng)];
    body.extend(needed(rng));
    if rng.random_bool(0.9) {
        let msg_id = rng.random::<u64>() >> rng.random_range(0..64_u32);
        body.push(member("msg_id", &msg_id.to_string(), rng));
    }
    let mut envelope = vec![member("src", "\"c1\"", rng), member("dest", "\"n1\"", rng)];
    if rng.random_bool(0.3) {
        body.extend(envelope);
        return object(body, rng);
    }
    let body = object(body, rng);
    envelope.push(member("body", &body, rng));
    object(envelope, rng)
}

const KINDS: [&str; 6] = [
    "process",
    "checkpoint",
    "restore",
    "commit",
    "rollback",
    "init",
];

/// The members of all types: each type ignores those that it does not know.
fn needed(rng: &mut impl Rng) -> Vec<String> {
    let names = ["event_id", "word", "checkpoint_id", "node_id"];
    let texts = names.map(|name| member(name, &text(rng), rng));
    let ids = format!("[{},{}]", text(rng), text(rng));
    let ids = member("node_ids", &ids, rng);
    texts.into_iter().chain([ids]).collect()
}

fn pick<'a>(texts: &[&'a str], rng: &mut impl Rng) -> &'a str {
    texts[rng.random_range(0..texts.len())]
}

fn text(rng: &mut impl Rng) -> String {
    format!("\"{}{}\"", pick(&TEXTS, rng), pick(&TEXTS, rng))
}

/// A member, at times with an escape in its name or with white space.
fn member(name: &str, value: &str, rng: &mut impl Rng) -> String {
    let escaped = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
    let name = if rng.random_bool(0.1) { &escaped } else { name };
    let [before, after] = [pick(&SPACES, rng), pick(&SPACES, rng)];
    format!("\"{name}\"{before}:{after}{value}")
}

/// An object of these members and some unknown ones, in any order.
fn object(mut members: Vec<String>, rng: &mut impl Rng) -> String {
    for _ in 0..rng.random_range(0..3) {
        members.push(member("x", pick(&VALUES, rng), rng));
    }
    members.shuffle(rng);
    let [before, after] = [pick(&SPACES, rng), pick(&SPACES, rng)];
    format!("{{{before}{}{after}}}", members.join(","))
}
