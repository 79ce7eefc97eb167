//! A library for `LD_PRELOAD` that kills the process at one of its calls, or makes that call fail.
//!
//! It is no module of the tests, which have no unsafe code: `preload.rs` compiles it. It counts,
//! from 1, the calls that change files below a directory and the writes to the pipe that is stdout.
//! At one of them it does something. Environment:
//!
//! - `CALLS_ROOT`: the directory.
//! - `CALLS_FROM`: where the counting begins: `start`, at the start of the process; `end`, at the
//!   read that finds the end of stdin; any other text, at the read of stdin that brings in the last
//!   byte of the text.
//! - `CALLS_AT`: the number of the call.
//! - `CALLS_DO`: what is done. `kill before`, `kill half` and `kill after` kill the process before
//!   the call, after the first half of it, or after it; `kill half` does not make a call without
//!   halves. `fail ERRNO` makes the call fail without effect. `short ERRNO` makes the first half of
//!   a write, and the next call fails; a call without halves fails at once. `gone ERRNO` makes
//!   every later call fail too. With these three, only writes to files and syncs count.
//! - `CALLS_NOTE`: the file that gets a line, such as `before CALL FILE`, when it is done.
//! - `CALLS_TRACE`: if it is set, the file that gets a line, `CALL FILE`, for every call counted.

#[path = "../preload/base.rs"]
pub mod base;

use base::{MakeDirectory, O_CREAT, O_TRUNC, OnDescriptor, OnPath, Open, Read, Rename, Resize};
use base::{SyncRange, WriteAt, WriteOn, is_pipe_of, real, target};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

const SIGKILL: c_int = 9;

unsafe extern "C" {
    fn getpid() -> c_int;
    fn kill(process: c_int, signal: c_int) -> c_int;
}

enum Beginning {
    Start,
    End,
    Text(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    KillBefore,
    KillHalf,
    KillAfter,
    Fail(c_int),
    Short(c_int),
    Gone(c_int),
}

impl Deed {
    fn read(text: &str) -> Option<Self> {
        let (deed, how) = text.split_once(' ')?;
        match (deed, how) {
            ("kill", "before") => Some(Self::KillBefore),
            ("kill", "half") => Some(Self::KillHalf),
            ("kill", "after") => Some(Self::KillAfter),
            ("fail", errno) => errno.parse().ok().map(Self::Fail),
            ("short", errno) => errno.parse().ok().map(Self::Short),
            ("gone", errno) => errno.parse().ok().map(Self::Gone),
            _ => None,
        }
    }

    fn is_kill(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillHalf | Self::KillAfter)
    }
}

struct Settings {
    root: PathBuf,
    beginning: Beginning,
    at: u64,
    deed: Deed,
    note: PathBuf,
    trace: Option<c_int>,
}

fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let text = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
        let beginning = match &*text("CALLS_FROM") {
            "start" => Beginning::Start,
            "end" => Beginning::End,
            text => Beginning::Text(text.into()),
        };
        Settings {
            root: text("CALLS_ROOT").into(),
            beginning,
            at: text("CALLS_AT").parse().expect("CALLS_AT is a number"),
            deed: Deed::read(&text("CALLS_DO")).expect("CALLS_DO is known"),
            note: text("CALLS_NOTE").into(),
            trace: base::path_in("CALLS_TRACE").map(|path| base::open_to_append(&path)),
        }
    })
}

static HAS_BEGUN: AtomicBool = AtomicBool::new(false);

fn has_begun() -> bool {
    matches!(settings().beginning, Beginning::Start) || HAS_BEGUN.load(Ordering::SeqCst)
}

/// Begins the counting if it begins at these bytes of stdin.
fn look_at_input(bytes: &[u8]) {
    static UNMATCHED: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let begins = match &settings().beginning {
        Beginning::Start => true,
        Beginning::End => bytes.is_empty(),
        Beginning::Text(text) => {
            let mut seen = UNMATCHED.lock().expect("no thread panics");
            seen.extend(bytes);
            let is_there = seen.windows(text.len()).any(|window| window == text);
            // The text may span two reads.
            let done = (seen.len() + 1).saturating_sub(text.len());
            seen.drain(..done);
            is_there
        }
    };
    if begins {
        HAS_BEGUN.store(true, Ordering::SeqCst);
    }
}

/// The name of a file of interest; `None` until calls are counted.
fn name_of(path: &Path) -> Option<String> {
    let is_below = has_begun() && path.starts_with(&settings().root);
    let name = is_below.then(|| path.file_name()).flatten()?;
    Some(name.to_string_lossy().into_owned())
}

fn opened(descriptor: c_int) -> Option<String> {
    has_begun().then(|| name_of(&target(descriptor)?)).flatten()
}

fn answers(descriptor: c_int) -> Option<String> {
    (has_begun() && is_pipe_of(descriptor, 1)).then(|| "stdout".to_owned())
}

/// A call on a file of interest.
struct Call {
    name: &'static str,
    file: String,
    /// The number of bytes that it writes; 0 if it does something else.
    bytes: usize,
}

impl Call {
    fn can_fail(&self) -> bool {
        let fails = ["write", "pwrite", "fsync", "fdatasync", "sync_file_range"];
        self.file != "stdout" && fails.contains(&self.name)
    }

    /// Counts the call, and makes it as far as it is to be made. `make` gets the number of bytes.
    fn make(self, make: impl FnOnce(usize) -> isize) -> isize {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        static IS_HALVED: AtomicBool = AtomicBool::new(false);
        let Settings { at, deed, .. } = *settings();
        if !deed.is_kill() && !self.can_fail() {
            return make(self.bytes);
        }
        self.trace();
        let number = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
        let half = self.bytes / 2;
        match deed {
            Deed::KillHalf if number == at && half > 0 => {
                make(half);
                self.die("half")
            }
            Deed::KillBefore | Deed::KillHalf if number == at => self.die("before"),
            Deed::KillAfter if number == at => {
                make(self.bytes);
                self.die("after")
            }
            Deed::Short(_) if number == at && half > 0 => {
                IS_HALVED.store(true, Ordering::SeqCst);
                self.note("short");
                make(half)
            }
            Deed::Short(errno) if IS_HALVED.swap(false, Ordering::SeqCst) => self.fail(errno),
            Deed::Fail(errno) | Deed::Short(errno) if number == at => self.fail(errno),
            Deed::Gone(errno) if number >= at => self.fail(errno),
            _ => make(self.bytes),
        }
    }

    fn trace(&self) {
        if let Some(trace) = settings().trace {
            base::append(trace, format!("{} {}\n", self.name, self.file).as_bytes());
        }
    }

    fn note(&self, what: &str) {
        let line = format!("{what} {} {}\n", self.name, self.file);
        // The first line opens the file, so the file only exists if something was done.
        static NOTE: OnceLock<c_int> = OnceLock::new();
        let note = *NOTE.get_or_init(|| base::open_to_append(&settings().note));
        base::append(note, line.as_bytes());
    }

    fn fail(&self, errno: c_int) -> isize {
        self.note("fail");
        base::set_errno(errno);
        -1
    }

    fn die(&self, when: &str) -> ! {
        self.note(when);
        unsafe { kill(getpid(), SIGKILL) };
        loop {
            std::thread::park();
        }
    }
}

/// Makes a call, and counts it if it is on a file of interest.
fn write_counted(
    name: &'static str,
    file: Option<String>,
    bytes: usize,
    make: impl FnOnce(usize) -> isize,
) -> isize {
    match file {
        Some(file) => Call { name, file, bytes }.make(make),
        None => make(bytes),
    }
}

fn counted(name: &'static str, file: Option<String>, make: impl FnOnce() -> c_int) -> c_int {
    write_counted(name, file, 0, |_| make() as isize) as c_int
}

unsafe fn named(path: *const c_char) -> Option<String> {
    name_of(unsafe { base::path_of(path) })
}

unsafe fn open_counted(real: Open, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let changes = flags & (O_CREAT | O_TRUNC) != 0;
    let file = changes.then(|| unsafe { named(path) }).flatten();
    counted("open", file, || unsafe { real(path, flags, mode) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { open_counted(real!(c"open" as Open), path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    unsafe { open_counted(real!(c"open64" as Open), path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(descriptor: c_int, bytes: i64) -> c_int {
    counted("ftruncate", opened(descriptor), || unsafe {
        real!(c"ftruncate" as Resize)(descriptor, bytes)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(descriptor: c_int, bytes: i64) -> c_int {
    counted("ftruncate", opened(descriptor), || unsafe {
        real!(c"ftruncate64" as Resize)(descriptor, bytes)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn read(descriptor: c_int, buffer: *mut c_void, bytes: usize) -> isize {
    let got = unsafe { real!(c"read" as Read)(descriptor, buffer, bytes) };
    if got >= 0 && !has_begun() && is_pipe_of(descriptor, 0) {
        look_at_input(unsafe { std::slice::from_raw_parts(buffer.cast(), got as usize) });
    }
    got
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(
    descriptor: c_int,
    buffer: *const c_void,
    bytes: usize,
    at: i64,
) -> isize {
    write_counted("pwrite", opened(descriptor), bytes, |bytes| unsafe {
        real!(c"pwrite" as WriteAt)(descriptor, buffer, bytes, at)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(
    descriptor: c_int,
    buffer: *const c_void,
    bytes: usize,
    at: i64,
) -> isize {
    write_counted("pwrite", opened(descriptor), bytes, |bytes| unsafe {
        real!(c"pwrite64" as WriteAt)(descriptor, buffer, bytes, at)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: c_int, buffer: *const c_void, bytes: usize) -> isize {
    let file = opened(descriptor).or_else(|| answers(descriptor));
    write_counted("write", file, bytes, |bytes| unsafe {
        real!(c"write" as WriteOn)(descriptor, buffer, bytes)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(descriptor: c_int) -> c_int {
    counted("fsync", opened(descriptor), || unsafe {
        real!(c"fsync" as OnDescriptor)(descriptor)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    counted("fdatasync", opened(descriptor), || unsafe {
        real!(c"fdatasync" as OnDescriptor)(descriptor)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sync_file_range(
    descriptor: c_int,
    at: i64,
    bytes: i64,
    flags: c_uint,
) -> c_int {
    counted("sync_file_range", opened(descriptor), || unsafe {
        real!(c"sync_file_range" as SyncRange)(descriptor, at, bytes, flags)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: c_uint) -> c_int {
    counted("mkdir", unsafe { named(path) }, || unsafe {
        real!(c"mkdir" as MakeDirectory)(path, mode)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    counted("unlink", unsafe { named(path) }, || unsafe {
        real!(c"unlink" as OnPath)(path)
    })
}

/// The file of the call is the one that is replaced.
#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    counted("rename", unsafe { named(to) }, || unsafe {
        real!(c"rename" as Rename)(from, to)
    })
}
