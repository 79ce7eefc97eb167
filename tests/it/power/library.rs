//! A library for `LD_PRELOAD` that records every call that changes files below a directory.
//!
//! It is not a module of the tests, which have no unsafe code: `preload.rs` compiles it.
//!
//! A mutex is locked over each change and its record, so that both have the same order. So is the
//! file lock of the log: a test that has it cannot kill the process between the two. A sync has a
//! record before and after it: it covers what came before it began, and promises nothing until it
//! has returned. `sync_file_range` promises nothing at all.
//!
//! A record is a line, `KIND NUMBER NUMBER PATH`; the bytes of a write follow it. The test compares
//! all records with the directory, because a call that this library does not know changes files
//! unseen. Environment:
//!
//! - `RECORDER_ROOT`: the directory; paths are relative to it, and it itself is `.`.
//! - `RECORDER_LOG`: the file that the records are appended to.
//! - `RECORDER_BLIND`: if it is set, an fdatasync of a file named `db` does nothing.
//! - `RECORDER_KILL`: while this file exists, an fdatasync of a file named `db` kills the process.

#[path = "../kit/preload/base.rs"]
pub mod base;

use base::{MakeDirectory, O_CREAT, O_TRUNC, OnDescriptor, OnPath, Open, Rename, Resize};
use base::{WriteAt, WriteOn, is_pipe_of, real, target};
use std::ffi::{OsStr, c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

const LOCK_EX: c_int = 2;
const LOCK_UN: c_int = 8;
const SEEK_CUR: c_int = 1;
const SIGKILL: c_int = 9;

unsafe extern "C" {
    fn flock(descriptor: c_int, operation: c_int) -> c_int;
    fn getpid() -> c_int;
    fn kill(process: c_int, signal: c_int) -> c_int;
    fn lseek64(descriptor: c_int, offset: i64, whence: c_int) -> i64;
}

struct Settings {
    root: PathBuf,
    log: c_int,
    is_blind: bool,
    kill: Option<PathBuf>,
}

fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let log = base::path_in("RECORDER_LOG").expect("RECORDER_LOG names the log");
        Settings {
            root: base::path_in("RECORDER_ROOT").expect("RECORDER_ROOT names the directory"),
            log: base::open_to_append(&log),
            is_blind: std::env::var_os("RECORDER_BLIND").is_some(),
            kill: base::path_in("RECORDER_KILL"),
        }
    })
}

/// The path of a file in the records; `None` if it is not below the root.
fn below_root(path: &Path) -> Option<String> {
    let inner = path.strip_prefix(&settings().root).ok()?;
    let inner = inner.to_str().expect("the program's names are text");
    Some(if inner.is_empty() { "." } else { inner }.to_owned())
}

unsafe fn named(path: *const c_char) -> Option<String> {
    below_root(unsafe { base::path_of(path) })
}

fn opened(descriptor: c_int) -> Option<String> {
    below_root(&target(descriptor)?)
}

/// The two locks over a change and its record. A test that kills the process has the file lock of
/// the log, so it finds no change without its record.
struct Order {
    _among_threads: MutexGuard<'static, ()>,
}

impl Drop for Order {
    fn drop(&mut self) {
        unsafe { flock(settings().log, LOCK_UN) };
    }
}

fn in_order() -> Order {
    static ORDER: Mutex<()> = Mutex::new(());
    let among_threads = ORDER.lock().expect("no thread panics with it");
    while unsafe { flock(settings().log, LOCK_EX) } != 0 {
        // A signal has interrupted the call.
    }
    Order {
        _among_threads: among_threads,
    }
}

/// Appends a record. A killed process leaves it whole or not at all.
fn record(kind: &str, numbers: [u64; 2], path: &str, payload: &[u8]) {
    let [first, second] = numbers;
    let mut bytes = format!("{kind} {first} {second} {path}\n").into_bytes();
    bytes.extend(payload);
    base::append(settings().log, &bytes);
}

/// Makes a call that changes a name, and records it if it succeeds.
fn renamed(path: Option<String>, kind: &str, make: impl FnOnce() -> c_int) -> c_int {
    let Some(path) = path else {
        return make();
    };
    let _order = in_order();
    let result = make();
    if result == 0 {
        record(kind, [0; 2], &path, &[]);
    }
    result
}

unsafe fn open_recorded(real: Open, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let make = || unsafe { real(path, flags, mode) };
    let changes = flags & (O_CREAT | O_TRUNC) != 0;
    let Some(name) = changes.then(|| unsafe { named(path) }).flatten() else {
        return make();
    };
    let _order = in_order();
    let existed = settings().root.join(&name).exists();
    let descriptor = make();
    if descriptor >= 0 && !existed {
        record("create", [0; 2], &name, &[]);
    } else if descriptor >= 0 && flags & O_TRUNC != 0 {
        record("resize", [0; 2], &name, &[]);
    }
    descriptor
}

fn resize_recorded(real: Resize, descriptor: c_int, bytes: i64) -> c_int {
    let make = || unsafe { real(descriptor, bytes) };
    let Some(path) = opened(descriptor) else {
        return make();
    };
    let _order = in_order();
    record("resize", [bytes as u64, 0], &path, &[]);
    let result = make();
    assert_eq!(result, 0, "it is resized as it was recorded");
    result
}

/// Records a write and then makes it, because it may reach the disk as soon as it is made.
fn write_recorded(path: &str, bytes: &[u8], at: i64, make: impl FnOnce() -> isize) -> isize {
    record("write", [at as u64, bytes.len() as u64], path, bytes);
    let written = make();
    assert_eq!(written, bytes.len() as isize, "it is written as recorded");
    written
}

/// Kills the process if the test wants it, at a time when every recorded change is made.
fn die_if_ordered() {
    if settings().kill.as_deref().is_some_and(Path::exists) {
        let _order = in_order();
        unsafe { kill(getpid(), SIGKILL) };
        loop {
            std::thread::park();
        }
    }
}

fn sync_recorded(descriptor: c_int, is_ours: bool, make: impl FnOnce() -> c_int) -> c_int {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let Some(path) = opened(descriptor) else {
        return make();
    };
    if is_ours && Path::new(&path).file_name() == Some(OsStr::new("db")) {
        die_if_ordered();
        if settings().is_blind {
            return 0;
        }
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = u64::from(std::process::id());
    let note = |kind| {
        let _order = in_order();
        record(kind, [process, number], &path, &[]);
    };
    note("sync");
    let result = make();
    if result == 0 {
        note("synced");
    }
    result
}

unsafe fn slice<'a>(buffer: *const c_void, bytes: usize) -> &'a [u8] {
    unsafe { std::slice::from_raw_parts(buffer.cast(), bytes) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { open_recorded(real!(c"open" as Open), path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { open_recorded(real!(c"open64" as Open), path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(descriptor: c_int, bytes: i64) -> c_int {
    resize_recorded(unsafe { real!(c"ftruncate" as Resize) }, descriptor, bytes)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(descriptor: c_int, bytes: i64) -> c_int {
    resize_recorded(unsafe { real!(c"ftruncate64" as Resize) }, descriptor, bytes)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(
    descriptor: c_int,
    buffer: *const c_void,
    bytes: usize,
    at: i64,
) -> isize {
    let make = || unsafe { real!(c"pwrite64" as WriteAt)(descriptor, buffer, bytes, at) };
    let Some(path) = opened(descriptor) else {
        return make();
    };
    let _order = in_order();
    write_recorded(&path, unsafe { slice(buffer, bytes) }, at, make)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: c_int, buffer: *const c_void, bytes: usize) -> isize {
    let make = || unsafe { real!(c"write" as WriteOn)(descriptor, buffer, bytes) };
    if let Some(path) = opened(descriptor) {
        let _order = in_order();
        let at = unsafe { lseek64(descriptor, 0, SEEK_CUR) };
        return write_recorded(&path, unsafe { slice(buffer, bytes) }, at, make);
    }
    if is_pipe_of(descriptor, 1) {
        // The write is made outside the locks, because it waits for the reader of a full pipe.
        let order = in_order();
        record("reply", [bytes as u64, 0], "-", &[]);
        drop(order);
        let written = make();
        assert_eq!(written, bytes as isize, "the reply is written as recorded");
        return written;
    }
    make()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(descriptor: c_int) -> c_int {
    let make = || unsafe { real!(c"fsync" as OnDescriptor)(descriptor) };
    sync_recorded(descriptor, false, make)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    let make = || unsafe { real!(c"fdatasync" as OnDescriptor)(descriptor) };
    sync_recorded(descriptor, true, make)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: c_uint) -> c_int {
    let make = || unsafe { real!(c"mkdir" as MakeDirectory)(path, mode) };
    renamed(unsafe { named(path) }, "mkdir", make)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    let make = || unsafe { real!(c"unlink" as OnPath)(path) };
    renamed(unsafe { named(path) }, "unlink", make)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let make = || unsafe { real!(c"rename" as Rename)(from, to) };
    let both = unsafe { named(from).zip(named(to)) };
    let both = both.map(|(from, to)| format!("{from} {to}"));
    renamed(both, "rename", make)
}
