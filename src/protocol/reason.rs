//! The reason, in words, why a line that is JSON is not a request.

use crate::protocol::json::MAX_NESTING;

/// The kind of every member that is a number.
pub(super) const NUMBER: &str = "an integer from 0 to 18446744073709551615";

/// The reason why a line is malformed: a member, and what is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reason {
    pub(super) member: &'static str,
    pub(super) problem: Problem,
}

/// What is wrong with a member.
#[derive(Debug, Clone, Copy)]
pub(super) enum Problem {
    Missing,
    Repeated,
    Empty,
    WrongType {
        expected: &'static str,
        found: &'static str,
    },
    LoneSurrogate,
    Nesting,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let member = self.member;
        match self.problem {
            Problem::Missing => write!(f, "{member} is missing; a request needs it"),
            Problem::Repeated => write!(f, "{member} is there more than once; send it once"),
            Problem::Empty => write!(f, "{member} is empty; it needs at least 1 byte"),
            Problem::WrongType { expected, found } => {
                write!(f, "{member} must be {expected}, and is {found}")
            }
            Problem::LoneSurrogate => {
                write!(
                    f,
                    "{member} has a string with a lone surrogate, which is no character; send pairs"
                )
            }
            Problem::Nesting => {
                write!(
                    f,
                    "{member} is nested more than {MAX_NESTING} levels deep; send it flatter"
                )
            }
        }
    }
}
