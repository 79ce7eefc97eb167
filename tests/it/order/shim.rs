//! A library for `LD_PRELOAD` that tells in which order a node writes, syncs and answers.
//!
//! It is no module of the tests, which have no unsafe code: `order.rs` compiles it with `rustc`.
//! Only calls on the database file and on the pipe that stdout is are of interest. Environment:
//!
//! - `SHIM_TRACE`: the file to which a line is appended before each of these calls,
//!   `enter CALL FILE BYTES`, and one behind it, `return CALL FILE RESULT`. A line before a call
//!   is written before the call begins and one behind it after the call has returned, so that the
//!   order of two such lines proves the order of the calls.
//! - `SHIM_GATE`: while this file exists, an fdatasync of the database waits, after its line.
//! - `SHIM_FAIL`: if this file exists, an fdatasync of the database removes it and fails with EIO,
//!   without having synced. The next one works again, as the kernel's own does.

use std::ffi::{CStr, OsString, c_char, c_int, c_void};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

const RTLD_NEXT: *mut c_void = -1_isize as *mut c_void;
const EIO: c_int = 5;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
}

type Sync = unsafe extern "C" fn(c_int) -> c_int;
type SyncRange = unsafe extern "C" fn(c_int, i64, i64, u32) -> c_int;
type WriteAt = unsafe extern "C" fn(c_int, *const c_void, usize, i64) -> isize;
type WriteOn = unsafe extern "C" fn(c_int, *const c_void, usize) -> isize;

/// The function that the program would have called without this library.
fn real(known: &OnceLock<usize>, name: &CStr) -> usize {
    *known.get_or_init(|| {
        let address = unsafe { dlsym(RTLD_NEXT, name.as_ptr()) } as usize;
        assert_ne!(address, 0, "the C library has {name:?}");
        address
    })
}

fn real_write() -> WriteOn {
    static REAL: OnceLock<usize> = OnceLock::new();
    unsafe { std::mem::transmute(real(&REAL, c"write")) }
}

struct Settings {
    trace: File,
    gate: Option<PathBuf>,
    fail: Option<PathBuf>,
}

fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let path = |name| std::env::var_os(name).map(|path: OsString| PathBuf::from(path));
        let trace = path("SHIM_TRACE").expect("SHIM_TRACE names the trace");
        let trace = File::options().append(true).create(true).open(trace);
        Settings {
            trace: trace.expect("the trace can be opened"),
            gate: path("SHIM_GATE"),
            fail: path("SHIM_FAIL"),
        }
    })
}

/// The name that a file of interest has in the trace.
fn name_of(descriptor: c_int) -> Option<&'static str> {
    let target = |descriptor| std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok();
    let file = target(descriptor)?;
    if file.file_name()? == "db" {
        return Some("db");
    }
    let is_pipe = file.to_string_lossy().starts_with("pipe:");
    (is_pipe && target(1)? == file).then_some("stdout")
}

/// Appends a line in one call, which the system keeps whole and in order among threads.
///
/// The real `write`, as the standard library's ends up in this library.
fn trace(line: std::fmt::Arguments<'_>) {
    let mut bytes = Vec::new();
    writeln!(bytes, "{line}").expect("a vector takes it");
    let descriptor = settings().trace.as_raw_fd();
    let written = unsafe { real_write()(descriptor, bytes.as_ptr().cast(), bytes.len()) };
    assert_eq!(written, bytes.len() as isize, "the trace is whole");
}

/// Makes a call with a line before it and one behind it, and leaves errno as the call did.
fn traced<T: std::fmt::Display>(
    call: &str,
    descriptor: c_int,
    bytes: usize,
    make: impl FnOnce(Option<&'static str>) -> T,
) -> T {
    let Some(name) = name_of(descriptor) else {
        return make(None);
    };
    trace(format_args!("enter {call} {name} {bytes}"));
    let result = make(Some(name));
    let errno = unsafe { *__errno_location() };
    trace(format_args!("return {call} {name} {result}"));
    unsafe { *__errno_location() = errno };
    result
}

fn exists(path: &Option<PathBuf>) -> bool {
    path.as_deref().is_some_and(Path::exists)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    static REAL: OnceLock<usize> = OnceLock::new();
    let real: Sync = unsafe { std::mem::transmute(real(&REAL, c"fdatasync")) };
    traced("fdatasync", descriptor, 0, |name| {
        if name == Some("db") {
            while exists(&settings().gate) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let fail = settings().fail.as_deref();
            if fail.is_some_and(|fail| std::fs::remove_file(fail).is_ok()) {
                unsafe { *__errno_location() = EIO };
                return -1;
            }
        }
        unsafe { real(descriptor) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sync_file_range(descriptor: c_int, at: i64, bytes: i64, flags: u32) -> c_int {
    static REAL: OnceLock<usize> = OnceLock::new();
    let real: SyncRange = unsafe { std::mem::transmute(real(&REAL, c"sync_file_range")) };
    traced("sync_file_range", descriptor, bytes as usize, |_| unsafe {
        real(descriptor, at, bytes, flags)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(
    descriptor: c_int,
    buffer: *const c_void,
    bytes: usize,
    at: i64,
) -> isize {
    static REAL: OnceLock<usize> = OnceLock::new();
    let real: WriteAt = unsafe { std::mem::transmute(real(&REAL, c"pwrite64")) };
    traced("pwrite", descriptor, bytes, |_| unsafe {
        real(descriptor, buffer, bytes, at)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(
    descriptor: c_int,
    buffer: *const c_void,
    bytes: usize,
    at: i64,
) -> isize {
    static REAL: OnceLock<usize> = OnceLock::new();
    let real: WriteAt = unsafe { std::mem::transmute(real(&REAL, c"pwrite")) };
    traced("pwrite", descriptor, bytes, |_| unsafe {
        real(descriptor, buffer, bytes, at)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: c_int, buffer: *const c_void, bytes: usize) -> isize {
    traced("write", descriptor, bytes, |_| unsafe {
        real_write()(descriptor, buffer, bytes)
    })
}
