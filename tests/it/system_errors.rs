//! If a system call fails on a sound directory, the message says what that means and what helps,
//! and does not speak of damage.

use crate::kit::{EachCommand, Finished, Homes, caught, exit, on_all_threads, preload, verified};
use rustix::io::Errno;
use std::fmt;
use std::fs;

/// Each error with a part of its message: what helps, or which user is concerned.
const ERRORS: [(Errno, &str); 18] = [
    (Errno::ACCESS, "user "),
    (Errno::PERM, "user "),
    (Errno::MFILE, "ulimit -n"),
    (Errno::NFILE, "fs.file-max"),
    (Errno::NOSPC, "make room"),
    (Errno::DQUOT, "quota"),
    (Errno::FBIG, "ulimit -f"),
    (Errno::NOLCK, "lock service"),
    (Errno::STALE, "mount it again"),
    (Errno::ROFS, "read-only"),
    (Errno::NOMEM, "memory.max"),
    (Errno::IO, "dmesg"),
    (Errno::NOTDIR, "check the path"),
    (Errno::LOOP, "in a circle"),
    (Errno::NAMETOOLONG, "a shorter one"),
    (Errno::TIMEDOUT, "does not answer"),
    (Errno::NODEV, "does not answer"),
    // The program has no remedy for this one, so it names `verify`.
    (Errno::BADMSG, "exactly-once verify"),
];

/// The calls that fail, and the beginning of the file names for which they fail.
const CALLS: [(&str, &str); 13] = [
    ("open", ""),
    ("open", "sentinel"),
    ("open", "lock"),
    ("open", "db"),
    ("open", "conf"),
    ("open", "snap."),
    ("open", "watermark"),
    ("read", ""),
    ("read", "db"),
    ("write", ""),
    ("sync", ""),
    ("lock", "db"),
    ("mkdir", ""),
];

/// A command for which a call fails.
#[derive(Debug)]
struct Case<'a> {
    command: &'a EachCommand,
    call: &'static str,
    file: &'static str,
    errno: Errno,
    cure: &'static str,
}

#[test]
fn each_error_of_the_system_over_a_sound_directory_is_told_with_what_helps_by_each_command() {
    let homes = Homes::new();
    let commands = EachCommand::all();
    let mut cases = Vec::new();
    for (number, command) in commands.iter().enumerate() {
        for (at, (call, file)) in CALLS.into_iter().enumerate() {
            // Each call fails with a quarter of the errors in each command, in turn. Opening any
            // file fails with all of them.
            let some = (0..ERRORS.len()).filter(|error| (error + number + at) % 4 == 0);
            let of_all = (0..ERRORS.len()).filter(|_| (call, file) == ("open", ""));
            for error in some.chain(of_all) {
                let (errno, cure) = ERRORS[error];
                cases.push(Case {
                    command,
                    call,
                    file,
                    errno,
                    cure,
                });
            }
        }
    }
    let (mut failures, mut refused) = (Vec::new(), 0);
    on_all_threads(
        cases.len() as u64,
        |number| Ok(caught(|| cases[number as usize].play(&homes))),
        |outcome| match outcome {
            Ok(was_refused) => refused += u64::from(was_refused),
            Err(report) => failures.push(report),
        },
    );
    println!("{refused} of {} refused", cases.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(refused * 2 > cases.len() as u64, "{refused} were refused");
}

impl Case<'_> {
    /// Returns true if the command was refused.
    fn play(&self, homes: &Homes) -> Result<bool, String> {
        let home = homes.make();
        let root = fs::canonicalize(home.path()).expect("it is there");
        let temporary = root.join("tmp");
        fs::create_dir(&temporary).expect("there is room");
        let finished = self.command.run(home.path(), |command| {
            command.env("TMPDIR", &temporary);
            let library = preload::library("system_errors", "system_errors/library.rs");
            command.env("LD_PRELOAD", library);
            command
                .env("REFUSED_ROOT", &root)
                .env("REFUSED_CALL", self.call);
            command.env("REFUSED_FILE", self.file);
            let errno = self.errno.raw_os_error().to_string();
            command.env("REFUSED_ERRNO", errno);
        });
        let was_refused = !finished.status.success();
        if was_refused {
            self.judge(&finished)
                .map_err(|reason| format!("{self}: {reason}: {finished:?}"))?;
        }
        verified(&home.state());
        Ok(was_refused)
    }

    fn judge(&self, finished: &Finished) -> Result<(), &'static str> {
        let line = &finished.stderr;
        let code = finished.code().ok_or("it was killed")?;
        if line.lines().count() != 1 {
            return Err("the message is not one line");
        }
        for of_damage in [
            "damage",
            "restore",
            "from a copy",
            "lost",
            "a bug",
            "not an exactly",
        ] {
            if line.contains(of_damage) {
                return Err("it speaks of damage");
            }
        }
        let code_is_right = match code {
            exit::INPUT_OR_OUTPUT | exit::UNUSABLE | exit::STORAGE => true,
            _ => code > exit::LOST && self.errno == Errno::IO,
        };
        if !code_is_right {
            return Err("the exit status is wrong");
        }
        if !line.contains(&format!("os error {}", self.errno.raw_os_error())) {
            return Err("the error of the system is not named");
        }
        let is_told = line.contains(self.cure);
        is_told.then_some(()).ok_or("what helps is missing")
    }
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            call,
            file,
            errno,
            ..
        } = self;
        write!(f, "{} with {errno:?} of {call} {file}", command.name)
    }
}
