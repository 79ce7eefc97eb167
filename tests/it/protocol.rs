//! The real program keeps each rule of the protocol page.
//!
//! The name of a test is the rule that it proves; the modules follow the sections of the page.

mod envelope;
mod flat;
mod floor;
mod hostile;
mod lifecycle;
mod limits;
mod malformed;
mod semantics;
mod signals;
mod transport;

use crate::kit::{input_of, run_node, scratch_dir};
use std::path::Path;

/// A request line with this body, from `c1`.
fn with_body(body: &str) -> String {
    format!(r#"{{"src":"c1","dest":"n1","body":{body}}}"#)
}

/// The replies of a new state to these bytes.
fn answers_to(input: &[u8]) -> Vec<String> {
    answers_in(&scratch_dir().path().join("data"), input)
}

/// The replies of a new state to these lines.
fn answers(lines: &[String]) -> Vec<String> {
    answers_to(input_of(lines).as_bytes())
}

/// The replies of one process on `dir`, which must end with status 0.
fn answers_in(dir: &Path, input: &[u8]) -> Vec<String> {
    let text = run_node(dir, &[], input).expect_success();
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "a partial reply: {text:?}"
    );
    text.split_terminator('\n').map(str::to_owned).collect()
}
