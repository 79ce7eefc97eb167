//! Pauses of commands that print repeatedly.

use std::io::{self, ErrorKind};
use std::thread::sleep;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Pauses for this long. Fails with [`ErrorKind::BrokenPipe`] as soon as standard output has no
/// reader, which a command that has nothing to write would not notice otherwise.
pub(crate) fn pause(time: Duration) -> io::Result<()> {
    let stdout = io::stdout();
    let timeout = Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    };
    // Without requested events, poll reports only errors and hang-ups.
    let mut output = [PollFd::new(&stdout, PollFlags::empty())];
    let polled = poll(&mut output, Some(&timeout));
    let gone = PollFlags::ERR | PollFlags::HUP;
    if polled.is_ok() && output[0].revents().intersects(gone) {
        return Err(ErrorKind::BrokenPipe.into());
    }
    if polled != Ok(0) {
        // Standard output cannot be polled, so poll did not wait.
        sleep(time);
    }
    Ok(())
}
