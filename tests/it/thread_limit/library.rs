//! A library for `LD_PRELOAD` that limits how many threads a process has at a time, as the system
//! does for a user or a container.
//!
//! It is not a module of the tests, which have no unsafe code: `preload.rs` compiles it.
//! `THREADS_LIMIT` names a file with the limit, which is read again for each new thread.

use std::ffi::{c_char, c_int, c_void};

const RTLD_NEXT: *mut c_void = -1_isize as *mut c_void;
const EAGAIN: c_int = 11;

type Start = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
type Create = unsafe extern "C" fn(*mut c_void, *const c_void, Start, *mut c_void) -> c_int;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

fn limit() -> Option<usize> {
    let path = std::env::var_os("THREADS_LIMIT")?;
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut c_void,
    attributes: *const c_void,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if limit().is_some_and(|limit| threads >= limit) {
        return EAGAIN;
    }
    let real = unsafe { dlsym(RTLD_NEXT, c"pthread_create".as_ptr()) };
    let real: Create = unsafe { std::mem::transmute(real) };
    unsafe { real(thread, attributes, start, argument) }
}
