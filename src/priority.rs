//! Leaving the processors to those who are in a hurry.

/// The lowest priority there is.
const NICEST: i32 = 19;

/// Gives the calling thread only the time that others leave, for good.
pub fn yield_to_others() {
    // Where that cannot be, it is as quick as the others.
    rustix::process::setpriority_process(None, NICEST).unwrap_or_default();
}
