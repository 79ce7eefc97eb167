//! Standard input, standard output and standard error, and how records are shown on them.

pub(crate) mod format;
pub(crate) mod json_lines;
pub(crate) mod printable;
pub(crate) mod progress;
pub(crate) mod stderr;
pub(crate) mod stdin;
pub(crate) mod stdout;
pub(crate) mod table;
