//! Kills a real process at one of its system calls, or makes that call fail.
//!
//! A small library between the process and the C library counts the calls that change files below a
//! directory, and the writes of replies. Its source says which calls count.

use super::preload;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

/// The point at which the counting of calls begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    Start,
    /// The read of the first request whose `msg_id` begins with these digits.
    Request(usize),
    EndOfInput,
}

/// The side of a call on which the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    /// After the first half of a write; a call without halves is not made at all.
    Half,
    After,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Io,
    NoSpace,
    /// The first half of a write is made, and there is no space for the rest.
    HalfTheSpace,
    /// This call and all later ones fail.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Kill(Moment),
    Fail(Fault),
}

/// What is done to a process, and at which of its calls, counted from 1.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    pub beginning: Beginning,
    pub number: u64,
    pub deed: Deed,
}

impl Aim {
    /// Makes a process that will run on `data_dir` meet the deed, and write so to `note`. The
    /// directory must be canonical, as the system names open files so.
    pub fn arm(self, command: &mut Command, data_dir: &Path, note: &Path) {
        let library = preload::library("calls", "kit/syscalls/library.rs");
        command.env("LD_PRELOAD", library);
        command.env("CALLS_ROOT", data_dir).env("CALLS_NOTE", note);
        command.env("CALLS_FROM", self.beginning.to_string());
        command.env("CALLS_AT", self.number.to_string());
        command.env("CALLS_DO", self.deed.to_string());
        command.env_remove("CALLS_TRACE");
    }
}

impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => write!(f, "start"),
            Self::Request(msg_id) => write!(f, r#""msg_id":{msg_id}"#),
            Self::EndOfInput => write!(f, "end"),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill(Moment::Before) => "kill before",
            Self::Kill(Moment::Half) => "kill half",
            Self::Kill(Moment::After) => "kill after",
            Self::Fail(Fault::Io) => "fail 5",
            Self::Fail(Fault::NoSpace) => "fail 28",
            Self::Fail(Fault::HalfTheSpace) => "short 28",
            Self::Fail(Fault::Gone) => "gone 5",
        })
    }
}

/// The deed that was done, and its call.
#[derive(Clone, Debug)]
pub struct Hit {
    /// `before`, `half` or `after`; `short` or `fail`.
    pub how: String,
    /// The call and the name of its file, such as `pwrite db`.
    pub call: String,
}

impl Hit {
    /// Takes the note of a process that has ended or is running; `None` if it has met nothing yet.
    pub fn take(note: &Path) -> Option<Self> {
        let hit = Self::read(note)?;
        fs::remove_file(note).expect("it was just read");
        Some(hit)
    }

    /// Reads the first line of a note.
    pub fn read(note: &Path) -> Option<Self> {
        let text = fs::read_to_string(note).ok()?;
        let first = text.lines().next()?;
        Some(
            first
                .parse()
                .unwrap_or_else(|()| panic!("a note: {text:?}")),
        )
    }
}

impl FromStr for Hit {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (how, call) = line.split_once(' ').ok_or(())?;
        // Each of sled's own snapshot files has a number in its name.
        let call = call
            .split_once(" snap.")
            .map_or(call.to_owned(), |(name, file)| {
                let is_new = file.ends_with(".generating");
                format!("{name} {}", if is_new { "snap.new" } else { "snap" })
            });
        Ok(Self {
            how: how.to_owned(),
            call,
        })
    }
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.how, self.call)
    }
}
