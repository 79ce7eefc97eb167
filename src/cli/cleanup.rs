//! Ends that nothing returns from: by a signal, or by an exit in the middle of the work. Copies and
//! unfinished directories are removed before.

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

/// The signals that end a process, and that it can do something before.
const ENDING: [i32; 12] = [
    SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGXCPU, SIGVTALRM,
    SIGPROF, SIGIO,
];

/// How long the removal may take: the disk may not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has the signals that end a process remove what would be left, all but `handled`, which the
/// command sees to itself. A signal that is ignored, as by nohup, stays ignored.
pub(crate) fn clean_up_on_signals(handled: &[i32]) -> Result<(), StorageError> {
    let ignored = IgnoredSignals::read();
    let is_ours = |signal: &i32| !handled.contains(signal) && !ignored.contains(*signal);
    let signals: Vec<i32> = ENDING.into_iter().filter(is_ours).collect();
    let Ok(mut signals) = Signals::new(signals) else {
        // A signal ends the process at once then, and the next command removes what it leaves.
        return Ok(());
    };
    let wait = move || {
        for signal in &mut signals {
            clean_up();
            emulate_default_handler(signal).unwrap_or_default();
        }
    };
    // Without the thread the signals would be lost.
    let thread = Builder::new().name("signals".to_owned()).spawn(wait);
    thread.map(drop).map_err(StorageError::Thread)
}

/// Ends the process with a status, and leaves nothing.
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
    // The sender goes when all is removed.
    is_done.recv_timeout(PATIENCE).unwrap_or_default();
}
