//! Removing copies and unfinished directories before a signal or an early exit ends the process, as
//! no destructor runs then.

use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::Duration;

use exactly_once::StorageError;
use exactly_once::program::IgnoredSignals;
use exactly_once::program::remove_leftovers;
use signal_hook::consts::{
    SIGABRT, SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
    SIGVTALRM, SIGXCPU,
};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// The signals that end a process and can be caught.
const ENDING: [i32; 12] = [
    SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGXCPU, SIGVTALRM,
    SIGPROF, SIGIO,
];

/// How long the removal may take, as the disk may not respond.
const PATIENCE: Duration = Duration::from_secs(5);

/// Starts a thread that removes leftovers when a signal ends the process. The command handles the
/// signals in `handled` itself. A signal that is ignored, as under nohup, stays ignored.
pub(crate) fn clean_up_on_signals(handled: &[i32]) -> Result<(), StorageError> {
    let ignored = IgnoredSignals::read();
    let is_ours = |signal: &i32| !handled.contains(signal) && !ignored.contains(*signal);
    let signals: Vec<i32> = ENDING.into_iter().filter(is_ours).collect();
    let Ok(mut signals) = Signals::new(signals) else {
        // Then a signal ends the process at once, and the next command removes the leftovers.
        return Ok(());
    };
    let wait = move || {
        for signal in &mut signals {
            clean_up();
            emulate_default_handler(signal).unwrap_or_default();
        }
    };
    // Without the thread, the signals would have no effect.
    let thread = Builder::new().name("signals".to_owned()).spawn(wait);
    thread.map(drop).map_err(StorageError::Thread)
}

/// Removes leftovers, and ends the process with a status.
pub(crate) fn exit(status: u8) -> ! {
    clean_up();
    std::process::exit(status.into())
}

fn clean_up() {
    let (done, is_done) = channel::<()>();
    let removing = Builder::new().spawn(move || {
        remove_leftovers();
        drop(done);
    });
    if removing.is_err() {
        remove_leftovers();
    }
    // The channel closes when everything is removed.
    is_done.recv_timeout(PATIENCE).unwrap_or_default();
}
