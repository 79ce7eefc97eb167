//! The text of the lock file, which tells other processes which one has locked the directory.
//!
//! A process id has a meaning only in one place. So the file also says where that is: two processes
//! are at the same place if they run in the same boot and PID namespace, and they see the same
//! processes.
//!
//! ```text
//! PID
//! BOOT_ID PID_NAMESPACE HOST_NAME
//! ```

use std::fs;

use crate::error::Holder;

/// The text of a lock file of this process.
pub(crate) fn of_this_process() -> String {
    let pid = std::process::id();
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    match place() {
        Some(place) => format!("{pid}\n{place} {host}\n"),
        None => format!("{pid}\n"),
    }
}

/// Reads the text of a lock file. The second line may be missing.
pub(crate) fn parse(text: &str) -> Holder {
    parse_at(text, place().as_deref())
}

fn parse_at(text: &str, here: Option<&str>) -> Holder {
    let mut lines = text.lines();
    let Some(pid) = lines.next().and_then(|line| line.trim().parse().ok()) else {
        return Holder::Unknown;
    };
    let there = lines.next().and_then(|line| line.rsplit_once(' '));
    match there {
        Some((place, host)) if Some(place) != here => Holder::Elsewhere {
            host: host.to_owned(),
            pid,
        },
        _ => Holder::Here(pid),
    }
}

/// The place whose process ids this process sees; `None` if the system does not tell.
fn place() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_id_is_named_as_such_only_where_it_means_that_process() {
        let here = "boot pid:[1]";
        let parse = |text: &str| parse_at(text, Some(here));
        assert_eq!(parse("7\nboot pid:[1] host\n"), Holder::Here(7));
        assert_eq!(parse("7\n"), Holder::Here(7));
        for other in ["boot pid:[2]", "other pid:[1]"] {
            let found = parse(&format!("7\n{other} host\n"));
            let host = "host".to_owned();
            assert_eq!(found, Holder::Elsewhere { host, pid: 7 });
        }
        for nothing in ["", "\n", "x"] {
            assert_eq!(parse(nothing), Holder::Unknown);
        }
    }

    #[test]
    fn this_process_is_here() {
        let found = parse(&of_this_process());
        assert_eq!(found, Holder::Here(std::process::id()));
    }
}
