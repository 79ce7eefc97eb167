//! A stream of requests that is always the same.

use super::requests::{checkpoint, event, restore};
use crate::oracle::Request;

/// Returns the request with a number. All types occur, with duplicate and conflicting events.
/// `word` makes the word of an event from a number.
pub fn request(number: usize, word: impl Fn(usize) -> String) -> Request {
    let event = |number: usize, of: usize| event(format!("e{number}"), word(of));
    let name = |number: usize| format!("c{}", number % 3);
    match number % 20 {
        4 => event(number - 1, number - 1),
        5 => event(number - 2, number),
        7 => checkpoint(name(number)),
        11 => restore(name(number / 20)),
        14 | 15 => Request::Commit,
        18 => Request::Rollback,
        _ => event(number, number),
    }
}
