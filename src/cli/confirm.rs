//! Asking the user on a terminal.

use std::io::{self, BufRead, Write};

/// Prints a text on standard error, and reads the answer from standard input; true if it is yes.
pub(crate) fn is_confirmed(text: &str) -> io::Result<bool> {
    let mut stderr = io::stderr();
    write!(stderr, "{text} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
