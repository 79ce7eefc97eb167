//! Pauses of commands that show something again and again.

use std::io::{self, ErrorKind};
use std::thread::sleep;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Pauses for this long; ends with [`ErrorKind::BrokenPipe`] as soon as standard output has no
/// reader any more, as a command that has nothing to write would never notice.
pub(crate) fn pause(time: Duration) -> io::Result<()> {
    let stdout = io::stdout();
    let timeout = Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    };
    // What is not asked for is only told of when it is an error or the end.
    let mut output = [PollFd::new(&stdout, PollFlags::empty())];
    let polled = poll(&mut output, Some(&timeout));
    let gone = PollFlags::ERR | PollFlags::HUP;
    if polled.is_ok() && output[0].revents().intersects(gone) {
        return Err(ErrorKind::BrokenPipe.into());
    }
    if polled != Ok(0) {
        // What cannot be polled is not waited for by that.
        sleep(time);
    }
    Ok(())
}
