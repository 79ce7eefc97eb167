//! What the libraries for `LD_PRELOAD` share: calls of the real C library, the files of
//! descriptors, and writes of their own, which do not pass through the library again.
//!
//! It is no module of the tests. Each of the libraries has it as a module.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

const RTLD_NEXT: *mut c_void = -1_isize as *mut c_void;
const O_WRONLY: c_int = 0o1;
pub const O_CREAT: c_int = 0o100;
pub const O_TRUNC: c_int = 0o1000;
const O_APPEND: c_int = 0o2000;
const O_CLOEXEC: c_int = 0o2000000;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
}

pub type Open = unsafe extern "C" fn(*const c_char, c_int, c_uint) -> c_int;
pub type OnDescriptor = unsafe extern "C" fn(c_int) -> c_int;
pub type SyncRange = unsafe extern "C" fn(c_int, i64, i64, c_uint) -> c_int;
pub type Resize = unsafe extern "C" fn(c_int, i64) -> c_int;
pub type Read = unsafe extern "C" fn(c_int, *mut c_void, usize) -> isize;
pub type WriteAt = unsafe extern "C" fn(c_int, *const c_void, usize, i64) -> isize;
pub type WriteOn = unsafe extern "C" fn(c_int, *const c_void, usize) -> isize;
pub type OnPath = unsafe extern "C" fn(*const c_char) -> c_int;
pub type MakeDirectory = unsafe extern "C" fn(*const c_char, c_uint) -> c_int;
pub type Rename = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;

/// The function that the program would have called without this library, as a `$type`. It can only
/// be used in an unsafe block.
macro_rules! real {
    ($name:literal as $type:ty) => {{
        static REAL: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
        let address = *REAL.get_or_init(|| $crate::base::find($name));
        std::mem::transmute::<usize, $type>(address)
    }};
}
pub(crate) use real;

pub fn find(name: &CStr) -> usize {
    let address = unsafe { dlsym(RTLD_NEXT, name.as_ptr()) } as usize;
    assert_ne!(address, 0, "the C library has {name:?}");
    address
}

/// The path in an environment variable.
pub fn path_in(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

/// Opens a file for appending, with the real call.
pub fn open_to_append(path: &Path) -> c_int {
    let path = CString::new(path.as_os_str().to_owned().into_vec());
    let path = path.expect("a path has no zero byte");
    let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    let descriptor = unsafe { real!(c"open64" as Open)(path.as_ptr(), flags, 0o600) };
    assert!(descriptor >= 0, "a file of our own can be opened");
    descriptor
}

/// Appends in one call, so that the bytes stay whole and in order among threads, even if the
/// process is killed. Leaves errno as it was.
pub fn append(descriptor: c_int, bytes: &[u8]) {
    let errno = errno();
    let bytes_at = bytes.as_ptr().cast();
    let written = unsafe { real!(c"write" as WriteOn)(descriptor, bytes_at, bytes.len()) };
    assert_eq!(written, bytes.len() as isize, "what is appended is whole");
    set_errno(errno);
}

fn errno() -> c_int {
    unsafe { *__errno_location() }
}

pub fn set_errno(errno: c_int) {
    unsafe { *__errno_location() = errno };
}

/// The file that a descriptor is open on.
pub fn target(descriptor: c_int) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()
}

/// True if two descriptors are open on the same pipe.
pub fn is_pipe_of(descriptor: c_int, other: c_int) -> bool {
    target(descriptor).is_some_and(|file| {
        file.as_os_str().as_bytes().starts_with(b"pipe:") && target(other).as_ref() == Some(&file)
    })
}

/// # Safety
///
/// `path` must be a C string that lives as long as the result.
pub unsafe fn path_of<'a>(path: *const c_char) -> &'a Path {
    let path = unsafe { CStr::from_ptr(path) };
    Path::new(OsStr::from_bytes(path.to_bytes()))
}
