//! A library for `LD_PRELOAD` that fails system calls with any error of the system.
//!
//! It is not a module of the tests, which have no unsafe code: `preload.rs` compiles it.
//! Environment:
//!
//! - `REFUSED_ROOT`: calls fail only on files below this directory.
//! - `REFUSED_CALL`: what fails: `open`, `read`, `write`, `sync`, `lock`, `mkdir` or `map`.
//! - `REFUSED_FILE`: the beginning of the names of these files; empty for all.
//! - `REFUSED_ERRNO`: the number of the error.

#[path = "../kit/preload/base.rs"]
pub mod base;

use base::{MakeDirectory, OnDescriptor, Open, Read, WriteAt, WriteOn, path_of, real, target};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

type ReadAt = unsafe extern "C" fn(c_int, *mut c_void, usize, i64) -> isize;
type Lock = unsafe extern "C" fn(c_int, c_int) -> c_int;
type Map = unsafe extern "C" fn(*mut c_void, usize, c_int, c_int, c_int, i64) -> *mut c_void;
type SendFile = unsafe extern "C" fn(c_int, c_int, *mut i64, usize) -> isize;

struct Settings {
    root: PathBuf,
    call: String,
    file: String,
    errno: c_int,
}

fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let text = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
        Settings {
            root: text("REFUSED_ROOT").into(),
            call: text("REFUSED_CALL"),
            file: text("REFUSED_FILE"),
            errno: text("REFUSED_ERRNO").parse().expect("it is a number"),
        }
    })
}

/// True if a call has to fail; then its error is set.
fn fails(call: &str, path: impl FnOnce() -> Option<PathBuf>) -> bool {
    let settings = settings();
    let is_of_interest = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.starts_with(&settings.root) && name.starts_with(&settings.file)
    };
    let fails = settings.call == call && path().is_some_and(is_of_interest);
    if fails {
        base::set_errno(settings.errno);
    }
    fails
}

fn absolute(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok()
}

macro_rules! on_path {
    ($call:literal, $name:literal, $function:ident, $type:ty, $($argument:ident: $of:ty),*) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $function(path: *const c_char, $($argument: $of),*) -> c_int {
            if fails($call, || absolute(unsafe { path_of(path) })) {
                return -1;
            }
            unsafe { real!($name as $type)(path, $($argument),*) }
        }
    };
}

macro_rules! on_descriptor {
    ($call:literal, $name:literal, $function:ident, $type:ty, $result:ty,
     $($argument:ident: $of:ty),*) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $function(descriptor: c_int, $($argument: $of),*) -> $result {
            if fails($call, || target(descriptor)) {
                return -1;
            }
            unsafe { real!($name as $type)(descriptor, $($argument),*) }
        }
    };
}

on_path!("open", c"open", open, Open, flags: c_int, mode: c_uint);
on_path!("open", c"open64", open64, Open, flags: c_int, mode: c_uint);
on_path!("mkdir", c"mkdir", mkdir, MakeDirectory, mode: c_uint);
on_descriptor!("read", c"read", read, Read, isize, buffer: *mut c_void, bytes: usize);
on_descriptor!("read", c"pread", pread, ReadAt, isize,
    buffer: *mut c_void, bytes: usize, at: i64);
on_descriptor!("read", c"pread64", pread64, ReadAt, isize,
    buffer: *mut c_void, bytes: usize, at: i64);
on_descriptor!("write", c"write", write, WriteOn, isize, buffer: *const c_void, bytes: usize);
on_descriptor!("write", c"pwrite", pwrite, WriteAt, isize,
    buffer: *const c_void, bytes: usize, at: i64);
on_descriptor!("write", c"pwrite64", pwrite64, WriteAt, isize,
    buffer: *const c_void, bytes: usize, at: i64);
on_descriptor!("sync", c"fsync", fsync, OnDescriptor, c_int,);
on_descriptor!("sync", c"fdatasync", fdatasync, OnDescriptor, c_int,);
on_descriptor!("lock", c"flock", flock, Lock, c_int, operation: c_int);

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(
    to: c_int,
    descriptor: c_int,
    at: *mut i64,
    bytes: usize,
) -> isize {
    if fails("read", || target(descriptor)) {
        return -1;
    }
    unsafe { real!(c"sendfile64" as SendFile)(to, descriptor, at, bytes) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    at: *mut c_void,
    bytes: usize,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: i64,
) -> *mut c_void {
    if fails("map", || target(descriptor)) {
        return -1_isize as *mut c_void;
    }
    unsafe { real!(c"mmap64" as Map)(at, bytes, protection, flags, descriptor, offset) }
}
