//! Reads reply lines strictly: every byte counts, except in the text of an error.

use crate::oracle::Expected;
use crate::oracle::wire::{Body, quote};
use serde::Deserialize;

/// The body of an error; it may have no other member.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorReply {
    r#type: String,
    pub in_reply_to: Option<u64>,
    pub code: u32,
    pub text: String,
}

impl ErrorReply {
    /// Reads an unwrapped error line as `read` does, and panics with the error.
    #[track_caller]
    pub fn of(line: &str) -> Self {
        Self::read(line).unwrap_or_else(|reason| panic!("{reason}"))
    }

    /// Reads an unwrapped error line; fails unless it has the style of the protocol page.
    pub fn read(line: &str) -> Result<Self, String> {
        let error: Self = serde_json::from_str(line).map_err(|e| format!("{e}: {line}"))?;
        if error.r#type != "error" || error.text.is_empty() {
            return Err(format!("not an error with a text: {line}"));
        }
        let styled = error.body().plain();
        if styled != line {
            return Err(format!(
                "the error should be written\n  {styled}\nbut was\n  {line}"
            ));
        }
        Ok(error)
    }

    fn body(&self) -> Body {
        let start = Body::new("error", self.in_reply_to).with("code", self.code);
        start.with("text", quote(&self.text))
    }
}

/// Fails unless an unwrapped reply line is what the oracle expects.
pub fn check(line: &str, expected: &Expected, msg_id: u64) -> Result<(), String> {
    let Some(body) = expected.body(msg_id) else {
        let error = ErrorReply::read(line)?;
        if error.code != 20 || error.in_reply_to != Some(msg_id) {
            return Err(format!(
                "expected error 20 in reply to {msg_id}, got {line}"
            ));
        }
        return Ok(());
    };
    let expected = body.plain();
    if expected == line {
        return Ok(());
    }
    Err(format!("expected\n  {expected}\ngot\n  {line}"))
}

/// Panics unless an unwrapped reply line is what the oracle expects.
#[track_caller]
pub fn assert_is(line: &str, expected: &Expected, msg_id: u64) {
    check(line, expected, msg_id).unwrap_or_else(|reason| panic!("{reason}"));
}
