//! A library for `LD_PRELOAD` that traces in which order a node writes, syncs and answers.
//!
//! It is not a module of the tests, which have no unsafe code: `preload.rs` compiles it.
//! It traces only calls on the database file and on the pipe of stdout. Environment:
//!
//! - `SHIM_TRACE`: the file to which a line `enter CALL FILE BYTES` is appended before each of
//!   these calls, and a line `return CALL FILE RESULT` after it has returned. So a call whose
//!   `return` comes before the `enter` of another one was made first.
//! - `SHIM_GATE`: while this file exists, an fdatasync of the database waits, after its line.
//! - `SHIM_FAIL`: if this file exists, an fdatasync of the database removes it and fails with EIO,
//!   without a sync. The next one works again, as in the kernel.

#[path = "../kit/preload/base.rs"]
pub mod base;

use base::{OnDescriptor, SyncRange, WriteAt, WriteOn, real};
use std::ffi::{c_int, c_uint, c_void};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

const EIO: c_int = 5;

struct Settings {
    trace: c_int,
    gate: Option<PathBuf>,
    fail: Option<PathBuf>,
}

fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let trace = base::path_in("SHIM_TRACE").expect("SHIM_TRACE names the trace");
        Settings {
            trace: base::open_to_append(&trace),
            gate: base::path_in("SHIM_GATE"),
            fail: base::path_in("SHIM_FAIL"),
        }
    })
}

/// The name of a file in the trace; `None` if its calls are not traced.
fn name_of(descriptor: c_int) -> Option<&'static str> {
    if base::target(descriptor)?.file_name()? == "db" {
        return Some("db");
    }
    base::is_pipe_of(descriptor, 1).then_some("stdout")
}

fn trace(line: std::fmt::Arguments<'_>) {
    let mut bytes = Vec::new();
    writeln!(bytes, "{line}").expect("a vector takes it");
    base::append(settings().trace, &bytes);
}

/// Makes a call, with a line before it and one after it.
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
    trace(format_args!("return {call} {name} {result}"));
    result
}

fn exists(path: &Option<PathBuf>) -> bool {
    path.as_deref().is_some_and(Path::exists)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    traced("fdatasync", descriptor, 0, |name| {
        if name == Some("db") {
            while exists(&settings().gate) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let fail = settings().fail.as_deref();
            if fail.is_some_and(|fail| std::fs::remove_file(fail).is_ok()) {
                base::set_errno(EIO);
                return -1;
            }
        }
        unsafe { real!(c"fdatasync" as OnDescriptor)(descriptor) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sync_file_range(
    descriptor: c_int,
    at: i64,
    bytes: i64,
    flags: c_uint,
) -> c_int {
    traced("sync_file_range", descriptor, bytes as usize, |_| unsafe {
        real!(c"sync_file_range" as SyncRange)(descriptor, at, bytes, flags)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(
    descriptor: c_int,
    buffer: *const c_void,
    bytes: usize,
    at: i64,
) -> isize {
    traced("pwrite", descriptor, bytes, |_| unsafe {
        real!(c"pwrite64" as WriteAt)(descriptor, buffer, bytes, at)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(
    descriptor: c_int,
    buffer: *const c_void,
    bytes: usize,
    at: i64,
) -> isize {
    traced("pwrite", descriptor, bytes, |_| unsafe {
        real!(c"pwrite" as WriteAt)(descriptor, buffer, bytes, at)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: c_int, buffer: *const c_void, bytes: usize) -> isize {
    traced("write", descriptor, bytes, |_| unsafe {
        real!(c"write" as WriteOn)(descriptor, buffer, bytes)
    })
}
