//! A library for `LD_PRELOAD` for what happens while a node reads ahead.
//!
//! It is not a module of the tests, which have no unsafe code: `preload.rs` compiles it. It changes
//! calls of `pread64` in threads that are named `read`. Environment:
//!
//! - `READ_GATE`: a file. The calls wait as long as it is there.
//! - `READ_WAITS`: a file that is made when the first of them waits.
//! - `READ_ERRNO`: the number of an error with which they fail, if it is set.

#[path = "../kit/preload/base.rs"]
pub mod base;

use base::{path_in, real};
use std::ffi::{c_int, c_void};
use std::fs::{self, File};
use std::thread;
use std::time::Duration;

type ReadAt = unsafe extern "C" fn(c_int, *mut c_void, usize, i64) -> isize;

/// Returns the error of a call in a thread that reads ahead, once the gate is gone.
fn error_of_call() -> Option<c_int> {
    let name = fs::read_to_string("/proc/thread-self/comm").ok()?;
    if name != "read\n" {
        return None;
    }
    while path_in("READ_GATE").is_some_and(|gate| gate.exists()) {
        path_in("READ_WAITS").map(File::create)?.ok()?;
        thread::sleep(Duration::from_millis(1));
    }
    std::env::var("READ_ERRNO").ok()?.parse().ok()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pread64(
    descriptor: c_int,
    buffer: *mut c_void,
    bytes: usize,
    at: i64,
) -> isize {
    if let Some(errno) = error_of_call() {
        base::set_errno(errno);
        return -1;
    }
    unsafe { real!(c"pread64" as ReadAt)(descriptor, buffer, bytes, at) }
}
